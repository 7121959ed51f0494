//! The local APIC, through memory (xAPIC) and through MSRs (x2APIC) [SDM3A 11].

use crate::{mmio, processor};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const IA32_APIC_BASE: u32 = 0x1b;
const IA32_TSC_DEADLINE: u32 = 0x6e0;
/// IA32_APIC_BASE: x2APIC mode.
const EXTD: u64 = 1 << 10;
/// IA32_APIC_BASE: global enable.
const EN: u64 = 1 << 11;
const X2APIC_MSRS: u32 = 0x800;
const DEFAULT_BASE: u64 = 0xfee0_0000;

/// Offset of a register in the xAPIC page [SDM3A table 11-1].
#[derive(Clone, Copy)]
#[repr(u16)]
pub enum Register {
    /// Local APIC identifier.
    Id = 0x20,
    /// Version.
    Version = 0x30,
    /// Task priority.
    TaskPriority = 0x80,
    /// End of interrupt.
    EndOfInterrupt = 0xb0,
    /// Spurious-interrupt vector, with the software enable.
    Spurious = 0xf0,
    /// Interrupt command, bits 31:0.
    CommandLow = 0x300,
    /// Interrupt command, bits 63:32; xAPIC only.
    CommandHigh = 0x310,
    /// LVT timer.
    LvtTimer = 0x320,
    /// LVT LINT0.
    LvtLint0 = 0x350,
    /// Timer: initial count.
    InitialCount = 0x380,
    /// Timer: current count.
    CurrentCount = 0x390,
    /// Timer: divide configuration.
    Divide = 0x3e0,
    /// Self-IPI; x2APIC only.
    SelfIpi = 0x3f0,
}

/// Modes of the local APIC's timer, as encoded in the LVT [SDM3A 11.5.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TimerMode {
    /// Counts down once.
    OneShot = 0 << 17,
    /// Restarts whenever the count reaches zero.
    Periodic = 1 << 17,
    /// Fires when the time-stamp counter reaches IA32_TSC_DEADLINE.
    Deadline = 2 << 17,
}

static X2APIC: AtomicBool = AtomicBool::new(false);

fn msr(register: Register) -> u32 {
    X2APIC_MSRS + (register as u32 >> 4)
}

/// Reads a register in the APIC's current mode.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "these x2APIC registers have 32 bits")]
pub fn read(register: Register) -> u32 {
    if X2APIC.load(Relaxed) {
        processor::read_msr(msr(register)) as u32
    } else {
        mmio::read_dword(DEFAULT_BASE + register as u64)
    }
}

/// Writes a register in the APIC's current mode.
pub fn write(register: Register, value: u32) {
    if X2APIC.load(Relaxed) {
        processor::write_msr(msr(register), value.into());
    } else {
        mmio::write_dword(DEFAULT_BASE + register as u64, value);
    }
}

/// Enables the APIC, with the interrupts of the 8259s passed through LINT0 ("virtual wire") [MP 1.4 3.6.2.2].
pub fn start() {
    processor::write_msr(IA32_APIC_BASE, processor::read_msr(IA32_APIC_BASE) | EN);
    write(Register::TaskPriority, 0);
    write(Register::Spurious, 1 << 8 | u32::from(crate::trap::SPURIOUS));
    write(Register::LvtLint0, 0b111 << 8);
    write(Register::LvtTimer, 1 << 16);
}

/// Whether CPUID lists x2APIC mode [SDM2 CPUID, leaf 1 ECX bit 21].
#[must_use]
pub fn has_x2apic() -> bool {
    processor::cpuid(1, 0).ecx & 1 << 21 != 0
}

/// Whether CPUID lists the TSC-deadline mode of the timer [SDM2 CPUID, leaf 1 ECX bit 24].
#[must_use]
pub fn has_deadline() -> bool {
    processor::cpuid(1, 0).ecx & 1 << 24 != 0
}

/// Switches to x2APIC mode.
pub fn use_x2apic() {
    processor::write_msr(IA32_APIC_BASE, processor::read_msr(IA32_APIC_BASE) | EN | EXTD);
    X2APIC.store(true, Relaxed);
}

/// Signals the end of the interrupt in service.
pub fn end_of_interrupt() {
    write(Register::EndOfInterrupt, 0);
}

/// Starts the timer with divide-by-16 and this initial count. For deadline mode, see [`set_deadline`].
pub fn start_timer(vector: u8, mode: TimerMode, count: u32) {
    write(Register::LvtTimer, mode as u32 | u32::from(vector));
    write(Register::Divide, 0b0011);
    write(Register::InitialCount, count);
}

/// Stops the timer and masks it.
pub fn stop_timer() {
    write(Register::InitialCount, 0);
    write(Register::LvtTimer, 1 << 16);
}

/// Arms the timer in deadline mode.
pub fn set_deadline(vector: u8, time_stamp: u64) {
    write(Register::LvtTimer, TimerMode::Deadline as u32 | u32::from(vector));
    // In xAPIC mode software must order the two writes [SDM3A 11.5.4.1].
    core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
    move_deadline(time_stamp);
}

/// Arms the timer again, which is in deadline mode.
pub fn move_deadline(time_stamp: u64) {
    processor::write_msr(IA32_TSC_DEADLINE, time_stamp);
}

/// Reads IA32_TSC_DEADLINE: zero when the timer is not armed.
#[must_use]
pub fn deadline() -> u64 {
    processor::read_msr(IA32_TSC_DEADLINE)
}

/// Sends an NMI to this processor itself: the shorthand is for fixed interrupts only, so by its identifier.
pub fn nmi_self() {
    write(Register::CommandHigh, read(Register::Id));
    write(Register::CommandLow, 0b100 << 8 | 1 << 14);
}

/// Sends an interrupt to this processor itself, with the destination shorthand "self".
pub fn interrupt_self(vector: u8) {
    write(Register::CommandLow, 0b01 << 18 | 1 << 14 | u32::from(vector));
}
