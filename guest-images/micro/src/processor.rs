//! Instructions of the processor that Rust has no words for.

use core::arch::asm;
use core::arch::x86_64::{__cpuid_count, CpuidResult};

/// One CPUID leaf.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    __cpuid_count(leaf, subleaf)
}

/// Reads a model-specific register that is known to exist; an unknown one ends the guest with `FAIL`.
#[must_use]
pub fn read_msr(number: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading a register changes no memory; a #GP goes to the guest's own handler.
    unsafe {
        asm!("rdmsr", in("ecx") number, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register.
pub fn write_msr(number: u32, value: u64) {
    // SAFETY: the guests write only registers of the local APIC and of extended state.
    unsafe {
        asm!("wrmsr", in("ecx") number, in("eax") value as u32, in("edx") (value >> 32) as u32,
             options(nostack, preserves_flags));
    }
}

/// The time-stamp counter, after all earlier loads.
#[must_use]
pub fn time_stamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reads a counter.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Lets so many ticks of the time-stamp counter pass.
pub fn wait_ticks(ticks: u64) {
    let start = time_stamp();
    while time_stamp().wrapping_sub(start) < ticks {
        relax();
    }
}

/// Takes interrupts and sleeps until one was handled; interrupts are off again afterwards.
///
/// STI holds interrupts back for one more instruction, so none can slip in between the two [SDM2 STI].
pub fn sleep() {
    // SAFETY: handlers keep all registers.
    unsafe { asm!("sti", "hlt", "cli") }
}

/// Lets waiting interrupts in, without sleeping.
pub fn take_interrupts() {
    // SAFETY: as above; the NOP is the instruction in STI's shadow.
    unsafe { asm!("sti", "nop", "nop", "cli") }
}

/// Lets the processor know that this is a waiting loop.
pub fn relax() {
    core::hint::spin_loop();
}

/// Sleeps with interrupts off.
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

/// Reads control register 8, the task priority's upper half.
#[must_use]
pub fn read_cr8() -> u64 {
    let value;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, cr8", out(reg) value, options(nomem, nostack, preserves_flags)) }
    value
}

/// Sets control register 8.
pub fn write_cr8(value: u64) {
    // SAFETY: holds interrupts back or lets them through, as the guest wants.
    unsafe { asm!("mov cr8, {}", in(reg) value, options(nostack, preserves_flags)) }
}

/// Sets extended control register 0, the mask of enabled state [SDM1 13.3].
pub fn set_xcr0(mask: u64) {
    // SAFETY: the guests set only state that CPUID leaf 0DH lists.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") mask as u32, in("edx") (mask >> 32) as u32,
             options(nostack, preserves_flags));
    }
}
