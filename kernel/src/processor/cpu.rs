//! Registers and instructions of the processor that the `x86_64` crate does not wrap.

use base::bits::low_u32;
use core::arch::asm;
use silicon::ProcessorAccess;
use x86_64::instructions::random::RdRand;
use x86_64::registers::model_specific::Msr;

/// Reads a model-specific register.
pub fn rdmsr(index: u32) -> u64 {
    // SAFETY: callers name registers whose presence CPUID or a capability MSR has shown; a read changes nothing
    // that Rust code depends on.
    unsafe { Msr::new(index).read() }
}

/// Writes a model-specific register.
///
/// # Safety
/// The write must not change how this kernel's own code and memory behave (paging, segment bases, system
/// calls), or the caller must restore that before Rust code depends on it.
pub unsafe fn wrmsr(index: u32, value: u64) {
    // SAFETY: the caller's contract.
    unsafe { Msr::new(index).write(value) }
}

/// Reads the time-stamp counter, after all earlier loads [SDM2B RDTSC].
pub fn rdtsc() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: LFENCE and RDTSC touch no memory. The compiler, which has no SSE2 here, would call a function for LFENCE.
    unsafe {
        asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// A number that nobody outside can know: of the processor's generator, or, where it has none, of the time-stamp counter at a
/// moment that depends on how long the firmware and the loader took.
pub fn random() -> u64 {
    let generator = RdRand::new();
    let drawn = (0..10).find_map(|_| generator.and_then(RdRand::get_u64));
    drawn.unwrap_or_else(|| rdtsc().wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Executes CPUID.
pub fn cpuid(leaf: u32, subleaf: u32) -> core::arch::x86_64::CpuidResult {
    core::arch::x86_64::__cpuid_count(leaf, subleaf)
}

/// Waits in HLT until an interrupt arrives. Its handler has run when this returns, with interrupts off again.
pub fn wait_for_interrupt() {
    // SAFETY: STI takes effect after the next instruction, so no interrupt can arrive between it and HLT
    // [SDM2B STI]; the handlers only record what happened.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) }
}

/// Runs the handlers of the interrupts that have arrived, and returns with interrupts off again.
pub fn take_interrupts() {
    // SAFETY: the handlers only record what happened; STI takes effect after the NOP.
    unsafe { asm!("sti", "nop", "cli", options(nostack)) }
}

/// Halts this processor for good.
pub fn halt_forever() -> ! {
    loop {
        // SAFETY: with interrupts off only an NMI ends HLT, and the loop executes it again.
        unsafe { asm!("cli", "hlt", options(nomem, nostack)) }
    }
}

/// Writes XCR0.
///
/// # Safety
/// `value` must be a combination that [SDM1 13.3] allows on this processor; CR4.OSXSAVE must be set.
pub unsafe fn xsetbv0(value: u64) {
    // SAFETY: the caller's contract; the kernel is compiled to use no extended state itself.
    unsafe {
        asm!("xsetbv", in("ecx") 0, in("eax") low_u32(value), in("edx") low_u32(value >> 32),
            options(nomem, nostack))
    }
}

/// True when a hypervisor runs this machine [SDM2A CPUID, leaf 1, ECX bit 31; APM3 E.3.2].
pub fn has_hypervisor() -> bool {
    cpuid(1, 0).ecx & 1 << 31 != 0
}

/// Resets this processor, and on most machines everything: an exception without an IDT becomes a double fault, and that
/// a triple fault [SDM3A 7.15, vector 8].
pub fn triple_fault() -> ! {
    let none = x86_64::structures::DescriptorTablePointer { limit: 0, base: x86_64::VirtAddr::zero() };
    // SAFETY: nothing runs after this.
    unsafe {
        x86_64::instructions::tables::lidt(&none);
        asm!("ud2", options(noreturn, nostack))
    }
}

/// The processor that executes this.
pub struct ThisProcessor;

impl ProcessorAccess for ThisProcessor {
    fn cpuid(&self, leaf: u32, subleaf: u32) -> [u32; 4] {
        let result = cpuid(leaf, subleaf);
        [result.eax, result.ebx, result.ecx, result.edx]
    }

    fn rdmsr(&self, msr: u32) -> u64 {
        rdmsr(msr)
    }

    fn wrmsr(&self, msr: u32, value: u64) {
        // SAFETY: zero is what software may write to the registers in question, and no code depends on them.
        unsafe { wrmsr(msr, value) }
    }
}
