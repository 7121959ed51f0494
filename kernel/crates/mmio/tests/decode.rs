//! What instructions read, write, and leave in the registers. The bytes are assembled by hand from [SDM2].

mod common;

use base::Width;
use common::{decode_hex, hex};
use mmio::{CpuMode, DecodeError, Gpr, SegmentRegister, decode};
use testkit::FakeRegisters;

use CpuMode::{Bits16, Bits32, Bits64};

/// The address of the memory operand of most instructions here.
const DEVICE: u64 = 0xfebc_0000;

fn at_device() -> FakeRegisters {
    FakeRegisters::numbered().with(&[(Gpr::Rbx, DEVICE)])
}

/// Executes a load and returns width, address and the whole destination register.
fn load(text: &str, into: Gpr, read: u64) -> (Width, u64, u64) {
    let mut registers = at_device();
    let access = decode_hex(text, Bits64, &registers).unwrap();
    assert_eq!(access.destination(), None, "{text}");
    assert_eq!(access.complete(read, &mut registers), Ok(None), "{text}");
    assert_eq!(registers.rip, 0x1000 + access.length() as u64, "{text}");
    (access.width(), access.source().unwrap(), registers.gprs[into.index()])
}

/// Executes a store and returns width, address and value written.
fn store(text: &str, mode: CpuMode, mut registers: FakeRegisters) -> (Width, u64, u64) {
    let before = registers.clone();
    let access = decode_hex(text, mode, &registers).unwrap();
    assert_eq!(access.source(), None, "{text}");
    let written = access.complete(u64::MAX, &mut registers).unwrap().unwrap();
    let rip = before.rip + access.length() as u64;
    assert_eq!(registers, FakeRegisters { rip, ..before }, "{text}");
    (access.width(), access.destination().unwrap(), written)
}

#[test]
fn loads_extend_as_the_encoding_requires() {
    use Width::{Byte, Dword, Qword, Word};
    let read = 0xfedc_ba98_8765_4381;
    let rax = 0x1111_2222_3333_4444;
    for (text, width, expected) in [
        ("8b 03", Dword, 0x8765_4381),                // mov eax, [rbx]
        ("48 8b 03", Qword, read),                    // mov rax, [rbx]
        ("66 8b 03", Word, 0x1111_2222_3333_4381),    // mov ax, [rbx]
        ("8a 03", Byte, 0x1111_2222_3333_4481),       // mov al, [rbx]
        ("8a 23", Byte, 0x1111_2222_3333_8144),       // mov ah, [rbx]
        ("0f b6 03", Byte, 0x81),                     // movzx eax, byte [rbx]
        ("66 0f b6 03", Byte, 0x1111_2222_3333_0081), // movzx ax, byte [rbx]
        ("48 0f b7 03", Word, 0x4381),                // movzx rax, word [rbx]
        ("0f be 03", Byte, 0xffff_ff81),              // movsx eax, byte [rbx]
        ("66 0f be 03", Byte, 0x1111_2222_3333_ff81), // movsx ax, byte [rbx]
        ("48 0f be 03", Byte, 0xffff_ffff_ffff_ff81), // movsx rax, byte [rbx]
        ("48 0f bf 03", Word, 0x4381),                // movsx rax, word [rbx]
        ("48 63 03", Dword, 0xffff_ffff_8765_4381),   // movsxd rax, dword [rbx]
        ("63 03", Dword, 0x8765_4381),                // movsxd eax, dword [rbx]
    ] {
        let mut registers = at_device().with(&[(Gpr::Rax, rax)]);
        let access = decode_hex(text, Bits64, &registers).unwrap();
        assert_eq!((access.width(), access.source(), access.destination()), (width, Some(DEVICE), None));
        assert_eq!(access.complete(read, &mut registers), Ok(None));
        assert_eq!(registers.gprs[0], expected, "{text}");
    }
}

#[test]
fn rex_selects_low_bytes_instead_of_high_bytes() {
    // 8a /6 is DH without REX and SIL with it.
    assert_eq!(load("8a 33", Gpr::Rdx, 0xab), (Width::Byte, DEVICE, 0x0202_0202_0202_ab02));
    assert_eq!(load("40 8a 33", Gpr::Rsi, 0xab), (Width::Byte, DEVICE, 0x0606_0606_0606_06ab));
    assert_eq!(load("44 8a 33", Gpr::R14, 0xab), (Width::Byte, DEVICE, 0x0e0e_0e0e_0e0e_0eab));
    let write = |text| store(text, Bits64, at_device().with(&[(Gpr::Rdx, 0x1234)])).2;
    assert_eq!(write("88 33"), 0x12);
    assert_eq!(write("40 88 33"), 0x06);
}

#[test]
fn stores_write_the_register_or_the_sign_extended_immediate() {
    use Width::{Byte, Dword, Qword, Word};
    for (text, width, expected) in [
        ("89 33", Dword, 0x0606_0606),                          // mov [rbx], esi
        ("48 89 33", Qword, 0x0606_0606_0606_0606),             // mov [rbx], rsi
        ("44 89 33", Dword, 0x0e0e_0e0e),                       // mov [rbx], r14d
        ("66 89 33", Word, 0x0606),                             // mov [rbx], si
        ("c7 03 78 56 34 f2", Dword, 0xf234_5678),              // mov dword [rbx], imm32
        ("48 c7 03 78 56 34 f2", Qword, 0xffff_ffff_f234_5678), // mov qword [rbx], imm32
        ("66 c7 03 34 f2", Word, 0xf234),                       // mov word [rbx], imm16
        ("c6 03 f2", Byte, 0xf2),                               // mov byte [rbx], imm8
    ] {
        assert_eq!(store(text, Bits64, at_device()), (width, DEVICE, expected), "{text}");
    }
}

#[test]
fn moffs_forms_use_the_accumulator() {
    // mov eax, [0x0123456789abcdef]; mov [..], al; and with an address-size prefix.
    let (width, at, value) = load("a1 ef cd ab 89 67 45 23 01", Gpr::Rax, 0x8765_4321);
    assert_eq!((width, at, value), (Width::Dword, 0x0123_4567_89ab_cdef, 0x8765_4321));
    assert_eq!(load("67 a1 ef cd ab 89", Gpr::Rax, 7), (Width::Dword, 0x89ab_cdef, 7));
    let registers = at_device().with(&[(Gpr::Rax, 0x55)]);
    let (width, at, value) = store("a2 ef cd ab 89 67 45 23 01", Bits64, registers.clone());
    assert_eq!((width, at, value), (Width::Byte, 0x0123_4567_89ab_cdef, 0x55));
    assert_eq!(store("a3 00 00 bc fe", Bits32, registers), (Width::Dword, DEVICE, 0x55));
}

#[test]
fn addresses_are_computed_in_every_mode() {
    let mut registers = FakeRegisters::numbered().with(&[
        (Gpr::Rbx, 0x1_0000_f000),
        (Gpr::Rsi, 0x2_0000_2004),
        (Gpr::Rbp, 0x8000),
    ]);
    registers.bases[SegmentRegister::Ds as usize] = 0x10_0000;
    registers.bases[SegmentRegister::Ss as usize] = 0x20_0000;
    registers.bases[SegmentRegister::Gs as usize] = 0xffff_8000_0000_0000;
    for (text, mode, expected) in [
        ("8b 00", Bits64, 0),                                    // [rax]
        ("8b 44 73 10", Bits64, 0x5_0001_3018),                  // [rbx+rsi*2+0x10]
        ("67 8b 44 73 10", Bits64, 0x1_3018),                    // [ebx+esi*2+0x10]
        ("8b 43 f0", Bits64, 0x1_0000_eff0),                     // [rbx-0x10]
        ("8b 05 10 00 00 00", Bits64, 0x1016), // [rip+0x10], counted from the next instruction
        ("8b 04 25 00 00 bc fe", Bits64, 0xffff_ffff_febc_0000), // [sign-extended disp32]
        ("65 8b 03", Bits64, 0xffff_8001_0000_f000), // gs:[rbx]
        ("3e 8b 03", Bits64, 0x1_0000_f000),   // ds: is ignored in 64-bit mode
        ("8b 03", Bits32, 0x10_f000),          // ds:[ebx]
        ("8b 45 00", Bits32, 0x20_8000),       // ss:[ebp]
        ("3e 8b 45 00", Bits32, 0x10_8000),    // ds:[ebp]
        ("8b 05 00 00 bc fe", Bits32, 0xfecc_0000), // ds:[disp32]
        ("8b 05 00 00 f0 ff", Bits32, 0),      // linear addresses wrap at 4 GiB
        ("66 8b 00", Bits16, 0x10_1004),       // ds:[bx+si], which wraps at 64 KiB
        ("67 66 8b 03", Bits16, 0x10_f000),    // ds:[ebx]
        ("8b 02", Bits16, 0x20_a004),          // ss:[bp+si]
    ] {
        let access = decode_hex(text, mode, &registers).unwrap();
        assert_eq!(access.source(), Some(expected), "{text}");
    }
}

#[test]
fn operand_size_follows_the_mode() {
    for (text, mode, width) in [
        ("8b 07", Bits16, Width::Word),
        ("66 8b 07", Bits16, Width::Dword),
        ("8b 07", Bits32, Width::Dword),
        ("66 8b 07", Bits32, Width::Word),
    ] {
        assert_eq!(decode_hex(text, mode, &at_device()).unwrap().width(), width, "{text}");
    }
}

#[test]
fn the_instruction_pointer_wraps_with_the_mode() {
    for (mode, rip, next) in
        [(Bits16, 0xffff, 1), (Bits32, 0xffff_ffff, 1), (Bits64, 0xffff_ffff, 0x1_0000_0001)]
    {
        let mut registers = at_device();
        registers.rip = rip;
        decode_hex("8b 07", mode, &registers).unwrap().complete(0, &mut registers).unwrap();
        assert_eq!(registers.rip, next);
    }
}

#[test]
fn completing_an_instruction_clears_the_resume_flag() {
    let mut registers = at_device();
    registers.rflags |= 1 << 16;
    decode_hex("8b 03", Bits64, &registers).unwrap().complete(0, &mut registers).unwrap();
    assert_eq!(registers.rflags, 2);
}

#[test]
fn read_modify_write_reads_and_writes_the_same_address() {
    let read = 0x0f;
    for (text, expected) in [
        ("09 33", 0x0606_060f),      // or [rbx], esi
        ("f0 09 33", 0x0606_060f),   // lock or [rbx], esi
        ("83 0b f0", 0xffff_ffff),   // or dword [rbx], -16
        ("81 23 f8 00 00 00", 0x08), // and dword [rbx], 0xf8
        ("31 33", 0x0606_0609),      // xor [rbx], esi
        ("01 33", 0x0606_0615),      // add [rbx], esi
        ("83 2b 10", 0xffff_ffff),   // sub dword [rbx], 16
        ("ff 03", 0x10),             // inc dword [rbx]
        ("ff 0b", 0x0e),             // dec dword [rbx]
        ("f7 13", 0xffff_fff0),      // not dword [rbx]
        ("f7 1b", 0xffff_fff1),      // neg dword [rbx]
        ("0f ba 2b 04", 0x1f),       // bts dword [rbx], 4
        ("0f ba 33 23", 0x07),       // btr dword [rbx], 35: counted modulo 32
        ("0f ba 3b 00", 0x0e),       // btc dword [rbx], 0
        ("87 33", 0x0606_0606),      // xchg [rbx], esi
        ("0f c1 33", 0x0606_0615),   // xadd [rbx], esi
    ] {
        let mut registers = at_device();
        let access = decode_hex(text, Bits64, &registers).unwrap();
        assert_eq!((access.source(), access.destination()), (Some(DEVICE), Some(DEVICE)), "{text}");
        assert_eq!(access.complete(read, &mut registers), Ok(Some(expected)), "{text}");
    }
}

#[test]
fn comparisons_change_only_flags() {
    for (text, read) in [
        ("39 33", 0x0606_0606),        // cmp [rbx], esi
        ("3b 33", 0x0606_0606),        // cmp esi, [rbx]
        ("83 3b 7f", 0x7f),            // cmp dword [rbx], 0x7f
        ("85 33", 0x0101_0101),        // test [rbx], esi: 0x06060606 has none of these bits
        ("f7 03 00 ff 00 00", 0x00ff), // test dword [rbx], 0xff00
        ("f6 03 01", 0xfe),            // test byte [rbx], 1
    ] {
        let before = at_device();
        let mut registers = before.clone();
        let access = decode_hex(text, Bits64, &registers).unwrap();
        assert_eq!((access.source(), access.destination()), (Some(DEVICE), None), "{text}");
        assert_eq!(access.complete(read, &mut registers), Ok(None));
        assert_eq!(registers.rflags & (1 << 6), 1 << 6, "{text}");
        assert_eq!(registers.gprs, before.gprs, "{text}");
    }
}

#[test]
fn compare_exchange_writes_whether_or_not_it_exchanges() {
    let before = at_device().with(&[(Gpr::Rax, 0xaaaa_aaaa_0000_0005)]);
    let access = decode_hex("f0 0f b1 33", Bits64, &before).unwrap(); // lock cmpxchg [rbx], esi
    let mut equal = before.clone();
    assert_eq!(access.complete(5, &mut equal), Ok(Some(0x0606_0606)));
    assert_eq!((equal.gprs[0], equal.rflags >> 6 & 1), (0xaaaa_aaaa_0000_0005, 1));
    let mut different = before;
    assert_eq!(access.complete(6, &mut different), Ok(Some(6)));
    assert_eq!((different.gprs[0], different.rflags >> 6 & 1), (6, 0));
}

#[test]
fn a_bit_offset_in_a_register_can_select_a_bit_outside_the_operand() {
    for (offset, at, bit) in
        [(33_u64, DEVICE + 4, 1), (0_u64.wrapping_sub(1), DEVICE - 4, 31), (31, DEVICE, 31)]
    {
        let registers = at_device().with(&[(Gpr::Rsi, offset)]);
        let access = decode_hex("0f ab 33", Bits64, &registers).unwrap(); // bts [rbx], esi
        assert_eq!(access.destination(), Some(at));
        assert_eq!(access.complete(0, &mut registers.clone()), Ok(Some(1 << bit)));
    }
    // 16-bit addresses wrap at 64 KiB: bts [bx], si with bx = 0 and bit -1.
    let registers = FakeRegisters::numbered().with(&[(Gpr::Rbx, 0), (Gpr::Rsi, 0xffff)]);
    assert_eq!(decode_hex("0f ab 37", Bits16, &registers).unwrap().destination(), Some(0xfffe));
}

#[test]
fn string_moves_have_two_addresses_and_advance_both() {
    let mut registers =
        FakeRegisters::numbered().with(&[(Gpr::Rsi, 0x2000), (Gpr::Rdi, DEVICE), (Gpr::Rcx, 2)]);
    for step in 0..2 {
        let access = decode_hex("f3 a5", Bits64, &registers).unwrap(); // rep movsd
        assert_eq!(access.source(), Some(0x2000 + 4 * step));
        assert_eq!(access.destination(), Some(DEVICE + 4 * step));
        assert_eq!(access.complete(0x1234_5678, &mut registers), Ok(Some(0x1234_5678)));
        assert_eq!(registers.gprs[Gpr::Rcx.index()], 1 - step);
        assert_eq!(registers.rip, [0x1000, 0x1002][step as usize]);
    }
}

#[test]
fn string_instructions_count_down_when_the_direction_flag_is_set() {
    let mut registers = FakeRegisters::numbered().with(&[(Gpr::Rsi, 0x2000), (Gpr::Rdi, DEVICE)]);
    registers.rflags |= 1 << 10;
    decode_hex("66 a5", Bits64, &registers).unwrap().complete(0, &mut registers).unwrap(); // movsw
    assert_eq!(registers.gprs[Gpr::Rsi.index()], 0x1ffe);
    assert_eq!(registers.gprs[Gpr::Rdi.index()], DEVICE - 2);
    assert_eq!(registers.rip, 0x1002);
}

#[test]
fn stos_and_lods_use_one_address() {
    let mut registers = at_device().with(&[(Gpr::Rdi, DEVICE), (Gpr::Rsi, DEVICE + 8), (Gpr::Rax, 0x1234)]);
    let access = decode_hex("aa", Bits64, &registers).unwrap(); // stosb
    assert_eq!((access.source(), access.destination()), (None, Some(DEVICE)));
    assert_eq!(access.complete(0, &mut registers), Ok(Some(0x34)));
    assert_eq!(registers.gprs[Gpr::Rdi.index()], DEVICE + 1);
    let access = decode_hex("48 ad", Bits64, &registers).unwrap(); // lodsq
    assert_eq!((access.source(), access.destination()), (Some(DEVICE + 8), None));
    assert_eq!(access.complete(0x55, &mut registers), Ok(None));
    assert_eq!((registers.gprs[0], registers.gprs[Gpr::Rsi.index()]), (0x55, DEVICE + 16));
}

#[test]
fn string_addresses_use_their_segments_and_address_size() {
    let mut registers = FakeRegisters::numbered().with(&[
        (Gpr::Rsi, 0x1_0001_fffe),
        (Gpr::Rdi, 0x2_0002_0010),
        (Gpr::Rcx, 0xffff_ffff_ffff_0001),
    ]);
    registers.bases[SegmentRegister::Ds as usize] = 0x10_0000;
    registers.bases[SegmentRegister::Es as usize] = 0x20_0000;
    registers.bases[SegmentRegister::Fs as usize] = 0x30_0000;
    let access = decode_hex("f3 64 a5", Bits16, &registers).unwrap(); // rep movsw es:[di], fs:[si]
    assert_eq!((access.source(), access.destination()), (Some(0x30_fffe), Some(0x20_0010)));
    access.complete(0, &mut registers).unwrap();
    // Only SI wraps, and only CX is decremented.
    assert_eq!(registers.gprs[Gpr::Rsi.index()], 0x1_0001_0000);
    assert_eq!(registers.gprs[Gpr::Rdi.index()], 0x2_0002_0012);
    assert_eq!(registers.gprs[Gpr::Rcx.index()], 0xffff_ffff_ffff_0000);
    assert_eq!(registers.rip, 0x1003);
}

#[test]
fn a_repeat_count_of_zero_does_nothing() {
    let mut registers = FakeRegisters::numbered().with(&[(Gpr::Rcx, 0)]);
    let before = registers.clone();
    let access = decode_hex("f3 a4", Bits64, &registers).unwrap();
    assert_eq!((access.source(), access.destination()), (None, None));
    assert_eq!(access.complete(0, &mut registers), Ok(None));
    assert_eq!(registers, FakeRegisters { rip: 0x1002, ..before });
}

#[test]
fn instructions_that_are_not_emulated_are_named_in_the_error() {
    for (text, name) in [
        ("0f 29 03", "Movaps"),   // movaps [rbx], xmm0
        ("f2 0f 10 03", "Movsd"), // movsd xmm0, [rbx], not the string instruction
        ("66 0f 7e 03", "Movd"),  // movd [rbx], xmm0
        ("66 0f fe 03", "Paddd"), // paddd xmm0, [rbx]
        ("0f 6f 03", "Movq"),     // movq mm0, [rbx]
        ("df 2b", "Fild"),        // fild qword [rbx]
        ("ff 1b", "Call"),        // call far [rbx]
        ("8e 03", "Mov"),         // mov es, [rbx]
        ("8c 03", "Mov"),         // mov [rbx], es
        ("0f ae 03", "Fxsave"),   // fxsave [rbx]
        ("6c", "Insb"),           // insb
        ("6e", "Outsb"),          // outsb
        ("8d 03", "Lea"),         // lea eax, [rbx]: no memory access
        ("89 c3", "Mov"),         // mov ebx, eax
        ("90", "Nop"),
    ] {
        match decode(&hex(text), Bits64, &at_device()) {
            Err(DecodeError::Unsupported(mnemonic)) => assert_eq!(format!("{mnemonic:?}"), name),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn truncated_and_invalid_bytes_are_different_errors() {
    let whole = hex("48 c7 83 00 01 00 00 78 56 34 12"); // mov qword [rbx+0x100], imm32
    for length in 0..whole.len() {
        assert_eq!(decode(&whole[..length], Bits64, &at_device()), Err(DecodeError::Truncated(length)));
    }
    assert!(decode(&whole, Bits64, &at_device()).is_ok());
    // A locked load, push es, c7 /1, and vmovdqu [rbx], ymm0, whose encoding is not supported.
    for text in ["f0 8b 03", "06 00", "c7 4b 00 00 00 00 00", "c5 fe 7f 03"] {
        assert_eq!(decode(&hex(text), Bits64, &at_device()), Err(DecodeError::Invalid), "{text}");
    }
    // An instruction of more than 15 bytes is invalid, prefixes included.
    let long = [[0x66; 15].as_slice(), &hex("8b 03")].concat();
    assert_eq!(decode(&long, Bits64, &at_device()), Err(DecodeError::Invalid));
}
