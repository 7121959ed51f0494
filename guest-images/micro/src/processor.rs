//! Processor instructions that Rust does not provide.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, CpuidResult};

/// Reads a CPUID leaf.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    __cpuid_count(leaf, subleaf)
}

/// Reads a model-specific register, which must exist: an unknown one ends the guest with a `FAIL`.
#[must_use]
pub fn read_msr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading a register does not change memory; a #GP reaches the guest's own handler.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
pub fn write_msr(number: u32, value: u64) {
    let (low, high) = halves(value);
    // SAFETY: the guests write only registers of the local APIC and of the extended state.
    unsafe {
        asm!("wrmsr", in("ecx") number, in("eax") low, in("edx") high,
             options(nostack, preserves_flags));
    }
}

/// The lower and the upper half of a value, as in `EAX` and `EDX`.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "each half has 32 bits")]
pub fn halves(value: u64) -> (u32, u32) {
    (value as u32, (value >> 32) as u32)
}

/// Reads the time-stamp counter after all earlier loads.
#[must_use]
pub fn time_stamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Waits for this many ticks of the time-stamp counter.
pub fn wait_ticks(ticks: u64) {
    let start = time_stamp();
    while time_stamp().wrapping_sub(start) < ticks {
        relax();
    }
}

/// Enables interrupts and sleeps until one has been handled; interrupts are disabled again afterwards.
///
/// STI takes effect only after the next instruction, so no interrupt can arrive between STI and HLT [SDM2 STI].
pub fn sleep() {
    // SAFETY: handlers preserve all registers.
    unsafe { asm!("sti", "hlt", "cli") }
}

/// Enables interrupts.
pub fn enable_interrupts() {
    // SAFETY: handlers preserve all registers.
    unsafe { asm!("sti") }
}

/// Disables interrupts.
pub fn disable_interrupts() {
    // SAFETY: nothing depends on interrupts being on.
    unsafe { asm!("cli") }
}

/// Handles pending interrupts without sleeping.
pub fn take_interrupts() {
    // SAFETY: as above; the first NOP is the instruction in STI's shadow.
    unsafe { asm!("sti", "nop", "nop", "cli") }
}

/// Tells the processor that this is a wait loop.
pub fn relax() {
    core::hint::spin_loop();
}

/// Halts with interrupts disabled.
pub fn halt_for_good() {
    // SAFETY: nothing runs after it.
    unsafe { asm!("cli", "hlt") }
}

/// Reads control register 4.
#[must_use]
pub fn read_cr4() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr4", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Sets bits of control register 4.
pub fn set_cr4(bits: u64) {
    // SAFETY: the guests set only the bits that enable extended state.
    unsafe { asm!("mov cr4, {}", in(reg) read_cr4() | bits, options(nostack, preserves_flags)) }
}

/// Reads control register 8, bits 7:4 of the task priority.
#[must_use]
pub fn read_cr8() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr8", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Sets control register 8.
pub fn write_cr8(value: u64) {
    // SAFETY: this only blocks or unblocks interrupts, as the guest intends.
    unsafe { asm!("mov cr8, {}", in(reg) value, options(nostack, preserves_flags)) }
}

/// Sets extended control register 0, the mask of the enabled state components [SDM1 13.3].
pub fn set_xcr0(mask: u64) {
    let (low, high) = halves(mask);
    // SAFETY: the guests enable only state components that CPUID leaf 0DH lists.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") low, in("edx") high,
             options(nostack, preserves_flags));
    }
}
