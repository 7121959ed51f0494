//! Tests how exceptions, NMIs and interrupts are delivered where the processor leaves a part of it to Weir: the
//! instruction pointer and the flags that are pushed, the order of events, and what ends HLT.
#![no_std]
#![no_main]

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use micro::apic::{self, TimerMode};
use micro::trap::{self, NMI, Trap};
use micro::{Boot, Verdict, ensure, io_apic, line, pic, probe, processor};

micro::guest!("events", main);

const DEBUG: u64 = 1;
const UNDEFINED_OPCODE: u64 = 6;
const GENERAL_PROTECTION: u64 = 13;
/// RFLAGS.RF.
const RESUME: u64 = 1 << 16;
/// DR7.GD, with the bit that is always 1.
const DETECT_ACCESS: u64 = 1 << 13 | 1 << 10;
const VECTOR: u8 = 0x40;
const NO_SUCH_MSR: u32 = 0xdead;
/// The I/O APIC's input of the 8254.
const TIMER_INPUT: u8 = 2;
/// Longest wait for an event, in ticks of the time-stamp counter: far more than it takes anywhere.
const LONG: u64 = 2_000_000_000;

fn main(_: &Boot) -> Verdict {
    pushed_by_faults_and_traps()?;
    undefined_before_privileged()?;
    pic::start();
    apic::start();
    interrupts_while_an_nmi_waits()?;
    nmis_without_an_exit()?;
    halt_with_interrupts_off()
}

fn is(trap: Option<Trap>, vector: u64) -> bool {
    trap.is_some_and(|trap| trap.vector == vector)
}

fn pushed_by_faults_and_traps() -> Verdict {
    let trap = probe!(".byte 0xf1");
    ensure!(is(trap, DEBUG) && trap.is_some_and(|trap| trap.behind), "INT1: {trap:x?}");
    // A single step in the shadow of MOV SS ends in the handler of INT1.
    let trap = probe!("mov {ss:e}, ss; pushfq; or dword ptr [rsp], 0x100; popfq; mov ss, {ss:e}; .byte 0xf1",
        ss = out(reg) _);
    ensure!(is(trap, DEBUG) && trap.is_some_and(|trap| trap.behind), "INT1 behind MOV SS: {trap:x?}");
    // The first access to a debug register raises #DB, whose delivery ends that [SDM3B 18.2.4].
    let trap = probe!("mov dr7, {gd}; mov {gd}, dr0", gd = inout(reg) DETECT_ACCESS => _);
    ensure!(is(trap, DEBUG) && trap.is_some_and(|trap| !trap.behind), "DR7.GD: {trap:x?}");
    let trap = probe!("mov {dr}, dr7", dr = out(reg) _);
    ensure!(trap.is_none(), "DR7.GD outlives #DB: {trap:x?}");

    let trap = probe!("rdmsr", in("ecx") NO_SUCH_MSR, out("eax") _, out("edx") _);
    ensure!(is(trap, GENERAL_PROTECTION), "RDMSR of {NO_SUCH_MSR:#x}: {trap:x?}");
    ensure!(trap.is_some_and(|trap| trap.rflags & RESUME != 0), "RF after an emulated fault: {trap:x?}");
    let trap = probe!("ud2");
    ensure!(
        trap.is_some_and(|trap| trap.rflags & RESUME != 0),
        "RF after the processor's own fault: {trap:x?}"
    );
    let trap = probe!("int3");
    ensure!(trap.is_some_and(|trap| trap.rflags & RESUME == 0), "RF after a trap: {trap:x?}");
    line!("exceptions push what they should");
    Ok(())
}

fn undefined_before_privileged() -> Verdict {
    // CR4.OSXSAVE is clear, and so is ECX's right to be 7.
    let trap = probe!("xsetbv", in("ecx") 7, in("eax") 0, in("edx") 0);
    ensure!(is(trap, UNDEFINED_OPCODE), "XSETBV without CR4.OSXSAVE: {trap:x?}");
    let trap = probe!("xgetbv", in("ecx") 0, out("eax") _, out("edx") _);
    ensure!(is(trap, UNDEFINED_OPCODE), "XGETBV without CR4.OSXSAVE: {trap:x?}");
    let trap = probe!("vmcall");
    ensure!(is(trap, UNDEFINED_OPCODE), "VMCALL: {trap:x?}");
    let trap = probe!("vmmcall");
    ensure!(is(trap, UNDEFINED_OPCODE), "VMMCALL: {trap:x?}");
    let trap = probe!("mov {cr0}, cr0; bts {cr0}, 40; btc {cr0}, 18; mov cr0, {cr0}", cr0 = out(reg) _);
    ensure!(is(trap, GENERAL_PROTECTION), "bit 40 of CR0: {trap:x?}");
    // The other reserved bits are ignored.
    let cr0: u64;
    let trap = probe!("mov {cr0}, cr0; bts {cr0}, 7; bts {cr0}, 28; mov cr0, {cr0}; mov {cr0}, cr0", cr0 = out(reg) cr0);
    ensure!(trap.is_none() && cr0 & (1 << 7 | 1 << 28) == 0, "bits 7 and 28 of CR0: {trap:x?}, {cr0:#x}");
    let trap = probe!("mov {cr4}, cr4; bts {cr4}, 31; mov cr4, {cr4}", cr4 = out(reg) _);
    ensure!(is(trap, GENERAL_PROTECTION), "bit 31 of CR4: {trap:x?}");
    line!("instructions fail as they should");
    Ok(())
}

static NESTED: AtomicU32 = AtomicU32::new(0);

/// In the handler of the first NMI, takes an interrupt while a second NMI waits.
fn open_to_interrupts() {
    if trap::count(NMI) == 1 {
        apic::nmi_self();
        processor::take_interrupts();
        NESTED.store(trap::count(VECTOR), Relaxed);
    }
}

fn interrupts_while_an_nmi_waits() -> Verdict {
    trap::set_hook(NMI, open_to_interrupts);
    apic::interrupt_self(VECTOR);
    apic::nmi_self();
    ensure!(NESTED.load(Relaxed) == 1, "{} interrupts in the handler of an NMI", NESTED.load(Relaxed));
    ensure!(trap::count(NMI) == 2, "{} NMIs of 2", trap::count(NMI));
    line!("an NMI that waits holds nothing up");
    Ok(())
}

fn nothing() {}

/// Waits without an exit until `done`.
fn spin(done: impl Fn() -> bool) -> bool {
    let start = processor::time_stamp();
    while !done() {
        if processor::time_stamp().wrapping_sub(start) > LONG {
            return false;
        }
        processor::relax();
    }
    true
}

fn nmis_without_an_exit() -> Verdict {
    trap::set_hook(NMI, nothing);
    let before = trap::count(NMI);
    pic::start_timer(500);
    pic::mask(pic::TIMER);
    io_apic::route_nmi(TIMER_INPUT);
    // Interrupts on, because Bochs would not interrupt a guest that has them off; none comes.
    processor::enable_interrupts();
    let came = spin(|| trap::count(NMI) >= before + 5);
    processor::disable_interrupts();
    io_apic::mask(TIMER_INPUT);
    ensure!(came, "{} NMIs of 5 without an exit of the guest between them", trap::count(NMI) - before);
    line!("NMIs come one after the other");
    Ok(())
}

/// The timer fires first, and its interrupt is masked: only the NMI ends HLT.
fn halt_with_interrupts_off() -> Verdict {
    let (nmis, interrupts) = (trap::count(NMI), trap::count(VECTOR));
    pic::start_timer(20);
    pic::mask(pic::TIMER);
    apic::start_timer(VECTOR, TimerMode::OneShot, 1000);
    io_apic::route_nmi(TIMER_INPUT);
    processor::halt_for_good();
    let woken_by = trap::count(NMI) - nmis;
    io_apic::mask(TIMER_INPUT);
    ensure!(woken_by == 1, "HLT with interrupts off ended after {woken_by} NMIs");
    ensure!(trap::count(VECTOR) == interrupts, "an interrupt was taken while interrupts are off");
    processor::take_interrupts();
    ensure!(trap::count(VECTOR) == interrupts + 1, "the timer's interrupt was lost");
    line!("HLT with interrupts off ends by an NMI");
    Ok(())
}
