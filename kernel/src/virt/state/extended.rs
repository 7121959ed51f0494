//! Extended processor state: x87, SSE, AVX and the other state components of XCR0.
//!
//! Weir is compiled without any of it, so the active guest's extended state stays in the registers across exits
//! and is switched only when another guest is activated.

use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use crate::processor::cpu;
use crate::virt::guards;
use core::arch::asm;
use mmio::Vector;
use mmio::xsave::VectorLayout;
use spin::Once;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};
use x86_64::registers::xcontrol::XCr0Flags;

const CPUID_1_ECX_XSAVE: u32 = 1 << 26;
const X87: u64 = XCr0Flags::X87.bits();
const SSE: u64 = XCr0Flags::SSE.bits();
const AVX: u64 = XCr0Flags::AVX.bits();

/// State components that guests may enable: those of the processor that need no other support.
static OFFERED: Once<u64> = Once::new();
/// See [`compacts`].
static COMPACTS: Once<bool> = Once::new();

/// Enables extended state on this core.
pub fn init() {
    // SAFETY: enables instructions that the kernel itself does not contain.
    unsafe {
        Cr0::update(|cr0| cr0.remove(Cr0Flags::EMULATE_COPROCESSOR | Cr0Flags::TASK_SWITCHED));
        Cr4::update(|cr4| cr4.insert(Cr4Flags::OSFXSR | Cr4Flags::OSXMMEXCPT_ENABLE));
    }
    let has_xsave = cpu::cpuid(1, 0).ecx & CPUID_1_ECX_XSAVE != 0;
    if has_xsave {
        // SAFETY: the processor has XSAVE.
        unsafe { Cr4::update(|cr4| cr4.insert(Cr4Flags::OSXSAVE)) }
    }
    let all = *OFFERED.call_once(|| if has_xsave { offered_of(cpu::cpuid(0xd, 0)) } else { 0 });
    set_machine_xcr0(0, all);
    COMPACTS.call_once(|| all & AVX == 0 || compacts_avx());
}

/// True if XSAVEC, and with it XSAVES, stores the upper halves of the vector registers where the compacted form has them
/// [SDM1 13.4.3]. Bochs 2.7 does not: a guest's kernel that uses it loses them whenever it switches tasks.
pub fn compacts() -> bool {
    COMPACTS.get().copied().unwrap_or(false)
}

/// Tries it with YMM0, while no guest's state is in the registers.
#[inline(never)]
fn compacts_avx() -> bool {
    #[repr(C, align(64))]
    struct Area([u64; 104]);
    const XSAVEC: u32 = 1 << 1;
    /// The first component after the header is AVX state, which begins with the upper half of YMM0.
    const UPPER_YMM0: usize = 576 / size_of::<u64>();
    if cpu::cpuid(0xd, 1).eax & XSAVEC == 0 {
        return false;
    }
    let (ones, mut area) = ([u64::MAX; 4], Area([0; 104]));
    // SAFETY: the kernel has nothing in these registers. XCR0 has what is stored, and the area has room for it.
    unsafe {
        asm!("vmovups ymm0, [{}]", "xsavec64 [{}]", "vzeroall", in(reg) &ones, in(reg) &mut area,
            in("rax") X87 | SSE | AVX, in("rdx") 0, options(nostack));
    }
    let right = area.0[UPPER_YMM0..][..2] == ones[..2];
    if !right {
        log::info!("XSAVEC stores AVX state in a wrong place: guests are offered neither XSAVEC nor XSAVES");
    }
    right
}

/// Sets this core's XCR0, which has the value `is`: while no guest is active, to all that guests may enable. Not if it
/// has the value already: XSETBV takes a hundred cycles, and under another hypervisor an exit to it.
fn set_machine_xcr0(is: u64, value: u64) {
    if is != value {
        // SAFETY: `value` was checked, or is a part of what the processor offers, with the x87.
        unsafe { cpu::xsetbv0(value) }
    }
}

/// AVX-512 is not offered: no test covers it.
fn offered_of(leaf: core::arch::x86_64::CpuidResult) -> u64 {
    let supported = u64::from(leaf.edx) << 32 | u64::from(leaf.eax);
    supported & (X87 | SSE | AVX)
}

/// XCR0 with all state components that guests may enable; zero without XSAVE.
pub fn offered() -> u64 {
    OFFERED.get().copied().unwrap_or(0)
}

/// The checks of XSETBV [SDM1 13.3]: x87 is always enabled, AVX only with SSE.
fn valid_xcr0(value: u64, offered: u64) -> bool {
    value & X87 != 0 && value & !offered == 0 && (value & AVX == 0 || value & SSE != 0)
}

/// Where the area has the vector registers.
fn vector_layout() -> VectorLayout {
    let high = offered() & AVX != 0;
    VectorLayout { xsave: offered() != 0, high: high.then(|| cpu::cpuid(0xd, 2).ebx as usize) }
}

/// One virtual processor's extended state.
#[derive(Debug)]
pub struct ExtendedState {
    area: *mut u8,
    bytes: usize,
    xcr0: u64,
}

impl ExtendedState {
    /// The state after reset [SDM3A table 10-1].
    ///
    /// # Errors
    /// When the machine is out of memory.
    pub fn new(frames: &mut PageFrames) -> Result<Self, PageFrameError> {
        // ECX is the size of the area for all supported components [SDM2A CPUID]. FXSAVE needs 512 bytes, and
        // `reset` always writes the header of 64 bytes.
        let bytes = if offered() == 0 { 576 } else { cpu::cpuid(0xd, 0).ecx };
        let area = physical::pointer(frames.allocate(bytes.into(), PAGE)?);
        let mut state = Self { area, bytes: bytes as usize, xcr0: X87 };
        state.reset();
        Ok(state)
    }

    /// Restores the state after reset. It must not be loaded in the processor.
    pub fn reset(&mut self) {
        self.xcr0 = X87;
        // SAFETY: the area belongs to this value alone. FCW and MXCSR are at their offsets in the legacy region
        // [SDM1 10.5.1]; the header is zero except for XSTATE_BV, which makes XRSTOR load them.
        unsafe {
            self.area.write_bytes(0, self.bytes);
            self.area.cast::<u16>().write(0x037f);
            self.area.add(24).cast::<u32>().write(0x1f80);
            self.area.add(512).cast::<u64>().write(X87 | SSE);
        }
    }

    /// Loads the state into the processor.
    pub fn load(&self) {
        let all = offered();
        if guards::clears_error_pointers() {
            let zero = 0u32;
            // SAFETY: the x87 is on, and what it holds is loaded anew below. FNCLEX drops a pending exception, and EMMS
            // makes room for the value, so that loading it does nothing but set the pointers to this code.
            unsafe { asm!("fnclex", "emms", "fild dword ptr [{}]", in(reg) &zero, options(nostack)) }
        }
        // SAFETY: `reset` or `save` filled the area, with the same components enabled.
        unsafe {
            if all == 0 {
                asm!("fxrstor64 [{}]", in(reg) self.area, options(nostack));
                return;
            }
            asm!("xrstor64 [{}]", in(reg) self.area, in("rax") all, in("rdx") all >> 32, options(nostack));
        }
        set_machine_xcr0(all, self.xcr0);
    }

    /// Saves the state from the processor, including components that the guest has disabled: it may enable them
    /// again.
    pub fn save(&mut self) {
        let all = offered();
        // SAFETY: the area is large enough for all components.
        unsafe {
            if all == 0 {
                asm!("fxsave64 [{}]", in(reg) self.area, options(nostack));
                return;
            }
            set_machine_xcr0(self.xcr0, all);
            asm!("xsave64 [{}]", in(reg) self.area, in("rax") all, in("rdx") all >> 32, options(nostack));
        }
    }

    /// Vector register `number` of the active guest.
    pub fn vector(&mut self, number: u8) -> Vector {
        self.save();
        let value = vector_layout().read(self.saved(), number);
        self.load();
        value
    }

    /// Sets vector register `number` of the active guest.
    pub fn set_vector(&mut self, number: u8, value: &Vector) {
        self.save();
        vector_layout().write(self.saved(), number, value);
        self.load();
    }

    fn saved(&mut self) -> &mut [u8] {
        // SAFETY: the area has this length, was written as a whole, and belongs to this value alone.
        unsafe { core::slice::from_raw_parts_mut(self.area, self.bytes) }
    }

    /// Completes XSETBV by the active guest; false when the value is not allowed.
    pub fn set_xcr0(&mut self, value: u64) -> bool {
        if !valid_xcr0(value, offered()) {
            return false;
        }
        set_machine_xcr0(self.xcr0, value);
        self.xcr0 = value;
        true
    }

    /// XCR0 as the guest set it.
    pub fn xcr0(&self) -> u64 {
        self.xcr0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The function is a call of its own, which may change all vector registers.
    #[test]
    fn a_processor_that_compacts_as_it_should_is_found_so() {
        if std::is_x86_feature_detected!("avx") {
            assert_eq!(compacts_avx(), std::is_x86_feature_detected!("xsavec"));
        }
    }

    #[test]
    fn xcr0_is_checked_as_the_processor_does() {
        for (value, valid) in
            [(1, true), (3, true), (7, true), (0, false), (2, false), (5, false), (0xe7, false)]
        {
            assert_eq!(valid_xcr0(value, 7), valid, "{value:#x}");
        }
    }
}
