//! Tests that the guest's exceptions reach its own handlers exactly once, with the right error codes, even while
//! interrupts arrive.
#![no_std]
#![no_main]

use micro::{Boot, Verdict, apic, ensure, line, pic, probe};

micro::guest!("exceptions", main);

const DIVIDE: u64 = 0;
const BREAKPOINT: u64 = 3;
const UNDEFINED_OPCODE: u64 = 6;
const GENERAL_PROTECTION: u64 = 13;
const PAGE_FAULT: u64 = 14;
/// A canonical address beyond the 4 GiB that are mapped.
const NOT_MAPPED: u64 = 0x7f00_1234_5678;
const NOT_CANONICAL: u64 = 0x8000_0000_0000_0000;
/// Timer interrupts per second. On a slow machine such as Bochs, a higher rate would leave the guest no time
/// between two interrupts.
const HERTZ: u32 = 500;
/// Minimum number of rounds with exceptions, …
const LEAST_ROUNDS: u32 = 20_000;
/// … and minimum number of timer interrupts during them.
const LEAST_TICKS: u32 = 16;
/// Page-fault error code, a write [SDM3A 4.7].
const WRITE: u64 = 1 << 1;

fn main(_: &Boot) -> Verdict {
    let trap = probe!("div {zero:e}", zero = in(reg) 0, inout("eax") 1 => _, inout("edx") 0 => _);
    ensure!(trap.is_some_and(|trap| trap.vector == DIVIDE), "#DE: {trap:?}");
    let trap = probe!("int3");
    ensure!(trap.is_some_and(|trap| trap.vector == BREAKPOINT), "#BP: {trap:?}");
    let trap = probe!("ud2");
    ensure!(trap.is_some_and(|trap| trap.vector == UNDEFINED_OPCODE), "#UD: {trap:?}");
    let trap = probe!("mov al, [{at}]", at = in(reg) NOT_CANONICAL, out("al") _);
    ensure!(trap.is_some_and(|trap| trap.vector == GENERAL_PROTECTION && trap.error == 0), "#GP: {trap:?}");
    let trap = probe!("mov ds, {selector:e}", selector = in(reg) 0x88);
    ensure!(
        trap.is_some_and(|trap| trap.vector == GENERAL_PROTECTION && trap.error == 0x88),
        "#GP(0x88): {trap:?}"
    );
    let trap = probe!("mov al, [{at}]", at = in(reg) NOT_MAPPED, out("al") _);
    ensure!(
        trap.is_some_and(|trap| (trap.vector, trap.error, trap.cr2) == (PAGE_FAULT, 0, NOT_MAPPED)),
        "#PF on a read: {trap:x?}"
    );
    let trap = probe!("mov [{at}], al", at = in(reg) NOT_MAPPED);
    ensure!(
        trap.is_some_and(|trap| (trap.vector, trap.error, trap.cr2) == (PAGE_FAULT, WRITE, NOT_MAPPED)),
        "#PF on a write: {trap:x?}"
    );
    line!("each exception once");

    pic::start();
    apic::start();
    pic::start_timer(HERTZ);
    let (mut rounds, mut caught) = (0, 0);
    while rounds < LEAST_ROUNDS || pic::ticks() < LEAST_TICKS {
        rounds += 1;
        // SAFETY: handlers preserve all registers.
        unsafe { core::arch::asm!("sti") };
        caught += u32::from(probe!("ud2").is_some_and(|trap| trap.vector == UNDEFINED_OPCODE));
        caught += u32::from(
            probe!("mov al, [{at}]", at = in(reg) NOT_MAPPED, out("al") _)
                .is_some_and(|trap| trap.vector == PAGE_FAULT && trap.cr2 == NOT_MAPPED),
        );
    }
    // SAFETY: as above.
    unsafe { core::arch::asm!("cli") };
    line!("{caught} exceptions beside {} timer interrupts", pic::ticks());
    ensure!(caught == 2 * rounds, "{caught} of {} exceptions came", 2 * rounds);
    Ok(())
}
