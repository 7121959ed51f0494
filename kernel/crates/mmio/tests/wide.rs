//! Moves of vector registers and CMPXCHG16B. The bytes are assembled by hand from [SDM2].

mod common;

use common::hex;
use mmio::{CpuMode, DecodeError, Gpr, RegisterFile, WideAccess, decode, wide};
use proptest::prelude::*;
use testkit::FakeRegisters;

use CpuMode::{Bits16, Bits32, Bits64};

const DEVICE: u64 = 0xfebc_0000;

fn at_device() -> FakeRegisters {
    FakeRegisters::numbered().with(&[(Gpr::Rbx, DEVICE), (Gpr::R9, DEVICE)])
}

fn decode_wide(text: &str) -> WideAccess {
    let bytes = hex(text);
    assert!(decode(&bytes, Bits64, &at_device()).is_err(), "{text}");
    let access = wide::decode(&bytes, Bits64, &at_device()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!((access.length(), access.linear()), (bytes.len(), DEVICE), "{text}");
    access
}

/// The bytes that a device gives.
fn given() -> [u8; 32] {
    core::array::from_fn(|n| 0xc0 + n as u8)
}

/// What XMM1 is before.
fn before() -> [u8; 32] {
    at_device().vectors[1]
}

/// Puts a register together from (where its bytes come from, up to which byte).
fn parts(parts: &[(&[u8; 32], usize)]) -> [u8; 32] {
    let mut value = [0; 32];
    let mut at = 0;
    for (bytes, end) in parts {
        value[at..*end].copy_from_slice(&bytes[at..*end]);
        at = *end;
    }
    value
}

#[test]
fn loads_fill_the_register_as_far_as_the_encoding_says() {
    let (given, before, zero) = (given(), before(), [0; 32]);
    let high = [&given[..8], &given[..8], &[0; 16]].concat().try_into().unwrap();
    let other = at_device().vectors[2];
    for (text, bytes, expected) in [
        ("0f 28 0b", 16, parts(&[(&given, 16), (&before, 32)])), // movaps xmm1, [rbx]
        ("0f 10 0b", 16, parts(&[(&given, 16), (&before, 32)])), // movups
        ("66 0f 28 0b", 16, parts(&[(&given, 16), (&before, 32)])), // movapd
        ("66 0f 6f 0b", 16, parts(&[(&given, 16), (&before, 32)])), // movdqa
        ("f3 41 0f 6f 09", 16, parts(&[(&given, 16), (&before, 32)])), // movdqu xmm1, [r9]
        ("f2 0f f0 0b", 16, parts(&[(&given, 16), (&before, 32)])), // lddqu
        ("66 0f 38 2a 0b", 16, parts(&[(&given, 16), (&before, 32)])), // movntdqa
        ("f3 0f 10 0b", 4, parts(&[(&given, 4), (&zero, 16), (&before, 32)])), // movss
        ("f2 0f 10 0b", 8, parts(&[(&given, 8), (&zero, 16), (&before, 32)])), // movsd
        ("66 0f 6e 0b", 4, parts(&[(&given, 4), (&zero, 16), (&before, 32)])), // movd
        ("f3 0f 7e 0b", 8, parts(&[(&given, 8), (&zero, 16), (&before, 32)])), // movq
        ("66 48 0f 6e 0b", 8, parts(&[(&given, 8), (&zero, 16), (&before, 32)])), // movq
        ("66 0f 12 0b", 8, parts(&[(&given, 8), (&before, 32)])), // movlpd
        ("0f 16 0b", 8, parts(&[(&before, 8), (&high, 16), (&before, 32)])), // movhps
        ("c5 f8 28 0b", 16, parts(&[(&given, 16), (&zero, 32)])), // vmovaps xmm1, [rbx]
        ("c5 fe 6f 0b", 32, given),                              // vmovdqu ymm1, [rbx]
        ("c5 fd 6f 0b", 32, given),                              // vmovdqa ymm1, [rbx]
        ("c4 c1 7e 6f 09", 32, given),                           // vmovdqu ymm1, [r9]
        ("c4 e2 7d 2a 0b", 32, given),                           // vmovntdqa ymm1, [rbx]
        ("c5 fb 10 0b", 8, parts(&[(&given, 8), (&zero, 32)])),  // vmovsd xmm1, [rbx]
        ("c4 e1 f9 6e 0b", 8, parts(&[(&given, 8), (&zero, 32)])), // vmovq xmm1, [rbx]
        ("c5 e9 12 0b", 8, parts(&[(&given, 8), (&other, 16), (&zero, 32)])), // vmovlpd xmm1, xmm2, [rbx]
        ("c5 e8 16 0b", 8, parts(&[(&other, 8), (&high, 16), (&zero, 32)])), // vmovhps xmm1, xmm2, [rbx]
    ] {
        let access = decode_wide(text);
        assert_eq!((access.bytes(), access.reads(), access.writes()), (bytes, true, false), "{text}");
        let mut registers = at_device();
        assert_eq!(access.complete(&given, &mut registers), None);
        assert_eq!(registers.vectors[1], expected, "{text}");
        registers.vectors[1] = before;
        let rip = 0x1000 + access.length() as u64;
        assert_eq!(registers, FakeRegisters { rip, ..at_device() }, "{text}");
    }
}

#[test]
fn stores_write_the_bytes_that_the_encoding_says() {
    let before = before();
    for (text, bytes, from) in [
        ("0f 29 0b", 16, 0),       // movaps [rbx], xmm1
        ("0f 11 0b", 16, 0),       // movups
        ("66 0f 7f 0b", 16, 0),    // movdqa
        ("66 0f e7 0b", 16, 0),    // movntdq
        ("0f 2b 0b", 16, 0),       // movntps
        ("f3 0f 11 0b", 4, 0),     // movss
        ("66 0f 7e 0b", 4, 0),     // movd
        ("66 48 0f 7e 0b", 8, 0),  // movq
        ("66 0f d6 0b", 8, 0),     // movq
        ("0f 13 0b", 8, 0),        // movlps
        ("66 0f 17 0b", 8, 8),     // movhpd
        ("c5 f8 29 0b", 16, 0),    // vmovaps
        ("c5 fe 7f 0b", 32, 0),    // vmovdqu [rbx], ymm1
        ("c5 fd e7 0b", 32, 0),    // vmovntdq [rbx], ymm1
        ("67 c5 fe 7f 0b", 32, 0), // with an address of 32 bits
    ] {
        let access = decode_wide(text);
        assert_eq!((access.bytes(), access.reads(), access.writes()), (bytes, false, true), "{text}");
        let written = access.complete(&[0; 32], &mut at_device()).unwrap();
        assert_eq!(written[..bytes], before[from..from + bytes], "{text}");
    }
}

#[test]
fn an_operand_relative_to_the_instruction_pointer_counts_from_its_end() {
    // vmovdqu ymm1, [rip+0x10] has 8 bytes.
    let access = wide::decode(&hex("c5 fe 6f 0d 10 00 00 00"), Bits64, &at_device()).unwrap();
    assert_eq!((access.linear(), access.length()), (0x1018, 8));
    // movdqu xmm9, [rip+0x10], which needs VEX of three bytes or REX.
    let access = wide::decode(&hex("c4 61 7a 6f 0d 10 00 00 00"), Bits64, &at_device()).unwrap();
    assert_eq!((access.linear(), access.length()), (0x1019, 9));
}

#[test]
fn a_device_sees_8_bytes_at_a_time_in_ascending_order() {
    let pieces: Vec<_> =
        decode_wide("c5 fe 7f 0b").pieces().map(|(at, offset, _)| (at - DEVICE, offset)).collect();
    assert_eq!(pieces, [(0, 0), (8, 8), (16, 16), (24, 24)]);
    assert_eq!(decode_wide("66 0f 7e 0b").pieces().map(|(.., width)| width.bytes()).collect::<Vec<_>>(), [4]);
}

#[test]
fn cmpxchg16b_exchanges_when_the_pair_is_equal() {
    let access = decode_wide("f0 48 0f c7 0b");
    assert_eq!((access.bytes(), access.reads(), access.writes()), (16, true, true));
    let mut registers = at_device();
    let mut read = [0; 32];
    read[..8].copy_from_slice(&registers.get(Gpr::Rax).to_le_bytes());
    read[8..16].copy_from_slice(&registers.get(Gpr::Rdx).to_le_bytes());
    let written = access.complete(&read, &mut registers).unwrap();
    assert_eq!(written[..8], DEVICE.to_le_bytes());
    assert_eq!((written[8..16].to_vec(), registers.rflags >> 6 & 1), (vec![1; 8], 1));
    assert_eq!(access.complete(&given(), &mut registers), Some(given()));
    assert_eq!(registers.get(Gpr::Rdx).to_le_bytes()[..], given()[8..16]);
    assert_eq!(registers.rflags >> 6 & 1, 0);
}

#[test]
fn what_is_no_move_is_refused() {
    for text in [
        "66 0f fe 03",       // paddd xmm0, [rbx]
        "c5 f9 fe 03",       // vpaddd xmm0, xmm0, [rbx]
        "c4 e2 79 18 03",    // vbroadcastss xmm0, [rbx]
        "c4 e2 79 8c 03",    // vpmaskmovd xmm0, xmm0, [rbx]
        "c4 e3 7d 19 03 01", // vextractf128 [rbx], ymm0, 1
        "0f 6f 03",          // movq mm0, [rbx]
        "0f 50 c1",          // movmskps eax, xmm1
        "c5 f8 28 c1",       // vmovaps xmm0, xmm1
    ] {
        let result = wide::decode(&hex(text), Bits64, &at_device());
        let refused = matches!(result, Err(DecodeError::Unsupported(_) | DecodeError::UnsupportedVex));
        assert!(refused, "{text}: {result:?}");
    }
    // Outside 64-bit mode, with a memory operand: lds eax, [ebx].
    for mode in [Bits16, Bits32] {
        let result = wide::decode(&hex("c5 03"), mode, &at_device());
        assert!(matches!(result, Err(DecodeError::Unsupported(_))), "{result:?}");
    }
    assert!(wide::decode(&hex("c5 fe 6f 03"), Bits32, &at_device()).is_ok());
}

proptest! {
    #[test]
    fn arbitrary_bytes_and_registers_are_survived(
        bytes in (any::<bool>(), prop::collection::vec(any::<u8>(), 0..16)).prop_map(|(vex, mut bytes)| {
            if vex && bytes.len() > 2 {
                bytes[0] = 0xc4 + (bytes[0] & 1);
            }
            bytes
        }),
        gprs: [u64; 16],
        mode in prop::sample::select(&[Bits16, Bits32, Bits64][..]),
    ) {
        let registers = FakeRegisters { gprs, ..FakeRegisters::numbered() };
        if let Ok(access) = wide::decode(&bytes, mode, &registers) {
            prop_assert!((1..=15).contains(&access.length()) && access.length() <= bytes.len());
            let total: usize = access.pieces().map(|(.., width)| width.bytes()).sum();
            prop_assert_eq!(total, access.bytes());
            let written = access.complete(&[0x5a; 32], &mut registers.clone());
            prop_assert_eq!(written.is_some(), access.writes());
        }
    }
}
