//! The decoder on arbitrary bytes and registers: a guest can present any.

use mmio::{CpuMode, DecodeError, DecoderMemory, decode};
use proptest::prelude::*;
use testkit::FakeRegisters;

const MODES: [CpuMode; 3] = [CpuMode::Bits16, CpuMode::Bits32, CpuMode::Bits64];

fn registers() -> impl Strategy<Value = FakeRegisters> {
    (any::<[u64; 16]>(), any::<u64>(), any::<u64>(), any::<[u64; 6]>()).prop_map(
        |(gprs, rip, rflags, bases)| FakeRegisters { gprs, rip, rflags, bases, ..FakeRegisters::numbered() },
    )
}

/// Bytes that resemble an instruction more often than random ones: prefixes, then an opcode, often an emulated
/// one, then anything.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let prefix =
        prop::sample::select(&[0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x65, 0x40, 0x48, 0x4f][..]);
    let opcode = prop_oneof![
        any::<u8>().prop_map(|opcode| vec![opcode]),
        any::<u8>().prop_map(|opcode| vec![0x0f, opcode]),
        prop::sample::select(
            &[0x88_u8, 0x89, 0x8a, 0x8b, 0xa4, 0xa5, 0xab, 0xad, 0xc7, 0xf7, 0x81, 0x83][..]
        )
        .prop_map(|opcode| vec![opcode]),
    ];
    (prop::collection::vec(prefix, 0..4), opcode, prop::collection::vec(any::<u8>(), 0..14))
        .prop_map(|(prefixes, opcode, rest)| [prefixes, opcode, rest].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn arbitrary_bytes_and_registers_do_not_break_the_decoder(
        bytes in bytes(),
        registers in registers(),
        mode in prop::sample::select(&MODES[..]),
        read: u64,
    ) {
        match decode(&bytes, mode, &registers) {
            Ok(access) => {
                prop_assert!((1..=15).contains(&access.length()));
                prop_assert!(access.length() <= bytes.len());
                let linear = [access.source(), access.second(), access.destination()];
                let fits = |at: &u64| mode == CpuMode::Bits64 || *at <= 0xffff_ffff;
                prop_assert!(linear.iter().flatten().all(fits));
                let mut after = registers.clone();
                let Ok(written) = access.with_second(!read).complete(read, &mut after) else {
                    // An exception leaves everything as it was.
                    prop_assert_eq!(after, registers);
                    return Ok(());
                };
                prop_assert_eq!(written.is_some(), access.destination().is_some());
                prop_assert!(written.is_none_or(|value| value & !access.width().mask() == 0));
                // Nothing but the status flags and RF changes.
                prop_assert_eq!((after.rflags ^ registers.rflags) & !0x1_08d5, 0);
                prop_assert_eq!(after.bases, registers.bases);
            }
            Err(DecodeError::Truncated(length)) => prop_assert_eq!(length, bytes.len()),
            Err(DecodeError::Invalid | DecodeError::Unsupported(_) | DecodeError::UnsupportedVex) => {}
        }
    }

    #[test]
    fn bytes_after_the_instruction_do_not_matter(
        bytes in bytes(),
        registers in registers(),
        mode in prop::sample::select(&MODES[..]),
    ) {
        if let Ok(access) = decode(&bytes, mode, &registers) {
            prop_assert_eq!(decode(&bytes[..access.length()], mode, &registers), Ok(access));
        }
    }

    #[test]
    fn what_was_decoded_before_does_not_matter(
        steps in prop::collection::vec((bytes(), 0u64..16, prop::sample::select(&MODES[..])), 1..40),
        registers in registers(),
    ) {
        let (mut memory, mut registers) = (DecoderMemory::default(), registers);
        for (mut bytes, rip, mode) in steps {
            bytes.resize(bytes.len().max(15), 0);
            // Few places, so that other bytes come to each of them; and the same again.
            for rip in [rip, rip, rip + 1] {
                registers.rip = rip;
                prop_assert_eq!(memory.decode(&bytes, mode, &registers), decode(&bytes, mode, &registers));
            }
        }
    }
}
