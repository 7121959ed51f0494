//! The machine's own local APIC. The 8259s stay masked.

use crate::hardware::acpi::MachineInfo;
use crate::hardware::interrupt::vectors;
use crate::memory::window::{self, RegisterWindow, WindowError};
use crate::memory::{PAGE, PageFrames};
use crate::processor::cores::{self, PerCore, per_core};
use crate::processor::{clock, cpu};
use base::HostPhysical;
use base::bits::low_u32;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use machine::apic_mode::{ApicFacts, ApicMode};
use raw_cpuid::CpuId;
use x86_64::instructions::port::Port;

const IA32_APIC_BASE: u32 = 0x1b;
const APIC_BASE_ENABLE: u64 = 1 << 11;
const APIC_BASE_X2APIC: u64 = 1 << 10;

/// Local APIC registers by their MMIO offset [SDM3A 11.4.1]; in x2APIC mode the MSR is 0x800 + offset / 16.
const ID: u32 = 0x020;
const EOI: u32 = 0x0b0;
const SPURIOUS: u32 = 0x0f0;
const LVT_TIMER: u32 = 0x320;
const LVT_LINT0: u32 = 0x350;
const LVT_LINT1: u32 = 0x360;
const TIMER_INITIAL: u32 = 0x380;
const TIMER_CURRENT: u32 = 0x390;
const TIMER_DIVIDE: u32 = 0x3e0;

/// The interrupt command register. In x2APIC mode the MSR of its low half is all 64 bits of it.
const COMMAND: u32 = 0x300;
const COMMAND_HIGH: u32 = 0x310;
const COMMAND_INIT: u32 = 5 << 8;
const COMMAND_STARTUP: u32 = 6 << 8;
const COMMAND_PENDING: u32 = 1 << 12;
const COMMAND_ASSERT: u32 = 1 << 14;
const COMMAND_OTHERS: u32 = 3 << 18;
/// Nanoseconds to wait for the previous interrupt command to be sent.
const SEND_TIMEOUT: u64 = 1_000_000;

const LVT_MASKED: u32 = 1 << 16;
const LVT_NMI: u32 = 4 << 8;
const SPURIOUS_ENABLE: u32 = 1 << 8;
const DIVIDE_BY_1: u32 = 0b1011;

static X2APIC: AtomicBool = AtomicBool::new(false);
static XAPIC: spin::Once<RegisterWindow> = spin::Once::new();
/// Counts of the timer per tick of the time-stamp counter as a 32.32 fixed-point number, so that an entry needs no
/// division.
static TIMER_RATE: spin::Once<u64> = spin::Once::new();

fn read(register: u32) -> u32 {
    if X2APIC.load(Ordering::Relaxed) {
        return low_u32(cpu::rdmsr(0x800 + register / 16));
    }
    XAPIC.get().map_or(0, |page| page.read(register as usize))
}

fn write(register: u32, value: u32) {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: a register of the local APIC; Rust code depends on none of them.
        unsafe { cpu::wrmsr(0x800 + register / 16, value.into()) }
    } else if let Some(mut page) = XAPIC.get().copied() {
        page.write(register as usize, value);
    }
}

/// Masks the 8259s and enables the local APIC of the boot core.
///
/// # Errors
/// When its page cannot be mapped.
pub fn init_local(machine: &MachineInfo, frames: &mut PageFrames) -> Result<(), WindowError> {
    let (mut primary, mut secondary) = (Port::<u8>::new(0x21), Port::<u8>::new(0xa1));
    // SAFETY: the mask registers of the two 8259s; all their inputs are also wired to the IO-APIC.
    unsafe {
        primary.write(0xff);
        secondary.write(0xff);
    }
    let mode = ApicMode::choose(ApicFacts {
        has_x2apic: CpuId::new().get_feature_info().is_some_and(|features| features.has_x2apic()),
        firmware_x2apic: cpu::rdmsr(IA32_APIC_BASE) & APIC_BASE_X2APIC != 0,
        largest_id: machine.madt.processors.iter().copied().max().unwrap_or(0),
        hypervisor: cpu::has_hypervisor(),
        opt_out: machine.remapping.x2apic_opt_out,
    });
    X2APIC.store(mode.is_x2apic(), Ordering::Relaxed);
    if !mode.is_x2apic() {
        let page = HostPhysical(cpu::rdmsr(IA32_APIC_BASE) & 0x000f_ffff_ffff_f000);
        let mapped = window::map(frames, page, PAGE)?;
        XAPIC.call_once(|| mapped);
    }
    switch_on();
    write(LVT_LINT1, LVT_NMI);
    let rate = *TIMER_RATE.call_once(measure_timer);
    cores::note_running(cores::BOOT_CORE, id());
    log::info!("local APIC {} in {mode}; timer {} Hz", id(), scaled(clock::hz(), rate));
    Ok(())
}

/// True when interprocessor interrupts reach a processor with this id, in the mode that [`init_local`] chose.
pub fn reaches(id: u32) -> bool {
    X2APIC.load(Ordering::Relaxed) || id < 255
}

/// Enables the local APIC of this core, in the mode that [`init_local`] chose.
pub fn switch_on() {
    let base = cpu::rdmsr(IA32_APIC_BASE);
    let x2apic = X2APIC.load(Ordering::Relaxed);
    let mode = if x2apic { APIC_BASE_ENABLE | APIC_BASE_X2APIC } else { APIC_BASE_ENABLE };
    // SAFETY: enabling, then x2APIC from enabled, are legal transitions [SDM3A 11.12.5].
    unsafe {
        cpu::wrmsr(IA32_APIC_BASE, base | APIC_BASE_ENABLE);
        cpu::wrmsr(IA32_APIC_BASE, base | mode);
    }
    write(SPURIOUS, SPURIOUS_ENABLE | u32::from(vectors::SPURIOUS_VECTOR));
    write(LVT_LINT0, LVT_MASKED);
    write(LVT_LINT1, LVT_MASKED);
    write(TIMER_DIVIDE, DIVIDE_BY_1);
    write(LVT_TIMER, vectors::TIMER_VECTOR.into());
}

/// Sends an interprocessor interrupt to the local APIC with this id. In xAPIC mode the previous one must have been
/// sent first, which takes microseconds [SDM3A 11.6.1]; if it is still pending after the timeout, it is abandoned.
fn send(destination: u32, command: u32) {
    if X2APIC.load(Ordering::Relaxed) {
        // SAFETY: the interrupt command register. The fences: a write to an MSR of the x2APIC does not wait for
        // earlier stores [SDM3A 11.12.3], which the other core must see.
        unsafe {
            core::arch::asm!("mfence", "lfence", options(nostack, preserves_flags));
            cpu::wrmsr(0x800 + COMMAND / 16, u64::from(destination) << 32 | u64::from(command));
        }
        return;
    }
    let start = cpu::rdtsc();
    while read(COMMAND) & COMMAND_PENDING != 0 && cpu::rdtsc() - start < clock::ticks(SEND_TIMEOUT) {}
    write(COMMAND_HIGH, destination << 24);
    write(COMMAND, command);
}

/// Raises [`vectors::WAKE_VECTOR`] on another core.
pub fn wake(core: usize) {
    if let Some(id) = cores::local_apic_id(core) {
        send(id, COMMAND_ASSERT | u32::from(vectors::WAKE_VECTOR));
    }
}

/// Sends an NMI to all cores but this one.
pub fn interrupt_others() {
    send(0, COMMAND_OTHERS | COMMAND_ASSERT | LVT_NMI);
}

/// Resets the processor with this local APIC, whatever it is executing, and makes it wait for [`send_startup`]
/// [SDM3A 9.4.4.1].
pub fn send_init(id: u32) {
    send(id, COMMAND_INIT | COMMAND_ASSERT);
}

/// Starts a processor that [`send_init`] has reset, at `page`, below 1 MiB.
pub fn send_startup(id: u32, page: HostPhysical) {
    send(id, COMMAND_STARTUP | COMMAND_ASSERT | low_u32(page.0 >> 12) & 0xff);
}

/// Measures the timer's frequency over at least 2 ms of the calibrated TSC; more if an emulator's processor is
/// preempted meanwhile. A reading takes some 100 ns, so that this is right within 100 ppm; whoever is woken by the timer
/// looks at the clock again.
fn measure_timer() -> u64 {
    let ticks = clock::ticks(2_000_000);
    write(TIMER_INITIAL, u32::MAX);
    let (start, first) = sample_timer();
    while cpu::rdtsc() - start < ticks {}
    let (end, last) = sample_timer();
    write(TIMER_INITIAL, 0);
    (u64::from(first - last) << 32) / (end - start).max(1)
}

/// The time-stamp counter and the timer at one moment: the fastest of several readings.
fn sample_timer() -> (u64, u32) {
    let sample = |_| {
        let before = cpu::rdtsc();
        let count = read(TIMER_CURRENT);
        (cpu::rdtsc() - before, before, count)
    };
    (0..8).map(sample).min().map_or((0, 0), |(_, tsc, count)| (tsc, count))
}

/// `ticks` of the time-stamp counter in counts of the timer; saturates.
fn scaled(ticks: u64, rate: u64) -> u64 {
    u64::try_from((u128::from(ticks) * u128::from(rate)) >> 32).unwrap_or(u64::MAX)
}

/// The id of this processor's local APIC.
pub fn id() -> u32 {
    let id = read(ID);
    if X2APIC.load(Ordering::Relaxed) { id } else { id >> 24 }
}

/// Signals the end of the interrupt in service.
pub fn end_of_interrupt() {
    write(EOI, 0);
}

/// The value of the time-stamp counter at which this core's timer interrupts; zero when no [`wake_by`] is armed.
static WAKE: PerCore<AtomicU64> = per_core!(AtomicU64::new(0));
/// A timer that is armed for up to this much too early is left as it is: arming it again would cost more than the
/// extra interrupt.
const EARLY_NANOS: u64 = 20_000;

/// Arms the timer to raise [`vectors::TIMER_VECTOR`] once when the time-stamp counter passes `tsc`, or a little
/// before. Callers must check the clock again when they wake.
pub fn wake_by(tsc: u64) {
    let (now, set) = (cpu::rdtsc(), WAKE.here().load(Ordering::Relaxed));
    let early = clock::ticks(EARLY_NANOS);
    if set > now && set <= tsc && tsc - set < early {
        return;
    }
    WAKE.here().store(tsc, Ordering::Relaxed);
    start_timer(tsc.saturating_sub(now));
}

/// Arms the timer to raise [`vectors::TIMER_VECTOR`] once in `nanos`, or earlier if the 32-bit counter is too
/// short.
pub fn wake_in(nanos: u64) {
    WAKE.here().store(0, Ordering::Relaxed);
    start_timer(clock::ticks(nanos));
}

/// Records that the timer has interrupted. It is coarser than the time-stamp counter and may fire before the value
/// that it was armed for: if [`wake_by`] still took it for armed, the core would wait forever.
pub(super) fn timer_expired() {
    WAKE.here().store(0, Ordering::Relaxed);
}

/// Starts the timer for this many ticks of the time-stamp counter.
fn start_timer(ticks: u64) {
    let count = scaled(ticks, TIMER_RATE.get().copied().unwrap_or(0));
    write(TIMER_INITIAL, u32::try_from(count).unwrap_or(u32::MAX).max(1));
}

/// Cancels a [`wake_in`] or [`wake_by`].
pub fn cancel_wake() {
    WAKE.here().store(0, Ordering::Relaxed);
    write(TIMER_INITIAL, 0);
}
