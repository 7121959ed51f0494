//! Instructions that drivers do not use on registers, and programs do: what only a test with chosen values shows.
//! `processor.rs` compares the arithmetic with a real processor.

mod common;

use common::decode_hex;
use mmio::{AccessFault, CpuMode, Gpr, RegisterFile};
use testkit::FakeRegisters;

use CpuMode::{Bits16, Bits32, Bits64};

const DEVICE: u64 = 0xfebc_0000;
const STACK: u64 = 0x8000;

fn at_device() -> FakeRegisters {
    FakeRegisters::numbered().with(&[(Gpr::Rbx, DEVICE), (Gpr::Rsp, STACK)])
}

#[test]
fn push_and_pop_move_between_the_device_and_the_stack() {
    let mut registers = at_device();
    let access = decode_hex("ff 33", Bits64, &registers).unwrap(); // push qword [rbx]
    assert_eq!((access.source(), access.destination()), (Some(DEVICE), Some(STACK - 8)));
    assert_eq!(access.complete(7, &mut registers), Ok(Some(7)));
    assert_eq!((registers.get(Gpr::Rsp), registers.rip), (STACK - 8, 0x1002));

    let access = decode_hex("8f 03", Bits64, &registers).unwrap(); // pop qword [rbx]
    assert_eq!((access.source(), access.destination()), (Some(STACK - 8), Some(DEVICE)));
    assert_eq!(access.complete(9, &mut registers), Ok(Some(9)));
    assert_eq!(registers.get(Gpr::Rsp), STACK);

    // pop qword [rsp+8]: the address is computed with the stack pointer after the pop.
    let access = decode_hex("8f 44 24 08", Bits64, &registers).unwrap();
    assert_eq!((access.source(), access.destination()), (Some(STACK), Some(STACK + 16)));
    // pop dword [ebx] in 32-bit code; only ESP changes.
    let mut registers = registers.with(&[(Gpr::Rsp, 0xffff_fffc)]);
    let access = decode_hex("8f 03", Bits32, &registers).unwrap();
    assert_eq!(access.complete(1, &mut registers), Ok(Some(1)));
    assert_eq!(registers.get(Gpr::Rsp), 0);
}

#[test]
fn calls_and_jumps_go_where_the_device_says() {
    let mut registers = at_device();
    let access = decode_hex("ff 13", Bits64, &registers).unwrap(); // call [rbx]
    assert_eq!((access.source(), access.destination()), (Some(DEVICE), Some(STACK - 8)));
    assert_eq!(access.complete(0x1234_5678, &mut registers), Ok(Some(0x1002)));
    assert_eq!((registers.rip, registers.get(Gpr::Rsp)), (0x1234_5678, STACK - 8));

    let mut registers = at_device();
    let access = decode_hex("ff 27", Bits16, &registers).unwrap(); // jmp [bx]
    assert_eq!(access.complete(0x9999_4321, &mut registers), Ok(None));
    assert_eq!((registers.rip, registers.get(Gpr::Rsp)), (0x4321, STACK));

    let before = at_device();
    for text in ["ff 13", "ff 23"] {
        let mut registers = before.clone();
        let access = decode_hex(text, Bits64, &registers).unwrap();
        assert_eq!(access.complete(0x8000_0000_0000, &mut registers), Err(AccessFault::GeneralProtection));
        assert_eq!(registers, before, "{text}");
    }
}

#[test]
fn divisions_that_do_not_fit_raise_an_exception_and_change_nothing() {
    for (text, high, low, divisor, fits) in [
        ("f7 33", 0, 100, 7, true),                  // div dword [rbx]
        ("f7 33", 0, 100, 0, false),                 // by zero
        ("f7 33", 7, 0, 7, false),                   // too large
        ("f7 3b", u64::MAX, u64::MAX - 99, 7, true), // idiv dword [rbx]: -100 by 7
        ("f7 3b", 0x4000_0000, 0, 1, false),
        ("48 f7 3b", 1 << 63, 0, u64::MAX, false), // the smallest number by -1
        ("f6 33", 0, 0x0701, 7, false),            // div byte [rbx]: 0x701 by 7
    ] {
        let before = at_device().with(&[(Gpr::Rdx, high), (Gpr::Rax, low)]);
        let mut registers = before.clone();
        let access = decode_hex(text, Bits64, &registers).unwrap();
        let result = access.complete(divisor, &mut registers);
        assert_eq!(result, if fits { Ok(None) } else { Err(AccessFault::Divide) }, "{text}");
        assert_eq!(registers == before, !fits, "{text}");
    }
    let mut registers = at_device().with(&[(Gpr::Rdx, u64::MAX), (Gpr::Rax, 0u64.wrapping_sub(100))]);
    decode_hex("f7 3b", Bits64, &registers).unwrap().complete(7, &mut registers).unwrap();
    assert_eq!((registers.get(Gpr::Rax), registers.get(Gpr::Rdx)), (0xffff_fff2, 0xffff_fffe));
}

#[test]
fn comparisons_of_strings_read_both_operands_and_stop_at_a_difference() {
    let mut registers = at_device().with(&[(Gpr::Rsi, 0x2000), (Gpr::Rdi, DEVICE), (Gpr::Rcx, 9)]);
    for (left, right, finished) in [(5, 5, false), (6, 5, true)] {
        let access = decode_hex("f3 a7", Bits64, &registers).unwrap(); // repe cmpsd
        assert_eq!(access.source().map(|at| at - 0x2000), access.second().map(|at| at - DEVICE));
        assert_eq!(access.destination(), None);
        assert_eq!(access.with_second(right).complete(left, &mut registers), Ok(None));
        assert_eq!(registers.rip == 0x1002, finished);
    }
    assert_eq!((registers.get(Gpr::Rcx), registers.get(Gpr::Rdi)), (7, DEVICE + 8));
    // repne scasb ends where the byte is found.
    let mut registers = at_device().with(&[(Gpr::Rdi, DEVICE), (Gpr::Rcx, 3), (Gpr::Rax, 0x55)]);
    let access = decode_hex("f2 ae", Bits64, &registers).unwrap();
    assert_eq!((access.source(), access.second()), (Some(DEVICE), None));
    assert_eq!(access.complete(0x55, &mut registers), Ok(None));
    assert_eq!((registers.rip, registers.get(Gpr::Rcx)), (0x1002, 2));
}

#[test]
fn a_conditional_move_reads_the_device_and_clears_the_upper_half_in_any_case() {
    for (zero, expected) in [(false, 0x0101_0101 * 6), (true, 0x55)] {
        let mut registers = at_device();
        registers.rflags = if zero { 0x42 } else { 2 };
        let access = decode_hex("0f 44 33", Bits64, &registers).unwrap(); // cmove esi, [rbx]
        assert_eq!(access.source(), Some(DEVICE));
        access.complete(0x55, &mut registers).unwrap();
        assert_eq!(registers.get(Gpr::Rsi), expected);
    }
}

#[test]
fn cmpxchg8b_exchanges_when_the_pair_is_equal() {
    let before = at_device().with(&[
        (Gpr::Rdx, 0xffff_ffff_0000_0001),
        (Gpr::Rax, 0xffff_ffff_0000_0002),
        (Gpr::Rcx, 3),
        (Gpr::Rbx, DEVICE),
    ]);
    let access = decode_hex("f0 0f c7 0b", Bits64, &before).unwrap();
    let mut equal = before.clone();
    assert_eq!(access.complete(0x1_0000_0002, &mut equal), Ok(Some(3 << 32 | DEVICE)));
    assert_eq!((equal.rflags >> 6 & 1, equal.gprs), (1, before.gprs));
    let mut different = before;
    assert_eq!(access.complete(5 << 32 | 6, &mut different), Ok(Some(5 << 32 | 6)));
    assert_eq!((different.get(Gpr::Rdx), different.get(Gpr::Rax), different.rflags >> 6 & 1), (5, 6, 0));
}

#[test]
fn a_flush_of_a_cache_line_touches_nothing() {
    for text in ["0f ae 3b", "66 0f ae 3b"] {
        let mut registers = at_device(); // clflush [rbx], clflushopt [rbx]
        let access = decode_hex(text, Bits64, &registers).unwrap();
        assert_eq!((access.source(), access.destination()), (None, None));
        assert_eq!(access.complete(0, &mut registers), Ok(None));
        assert_eq!(registers.rip, 0x1000 + access.length() as u64);
    }
}
