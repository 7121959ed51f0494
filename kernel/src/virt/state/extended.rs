//! Extended processor state: x87, SSE, AVX and what XCR0 names beyond.
//!
//! Weir is compiled without any of it, so the active guest's stays in the registers across exits and is
//! switched only when another guest is activated.

use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use crate::processor::cpu;
use core::arch::asm;
use spin::Once;
use x86_64::registers::control::{Cr0, Cr0Flags, Cr4, Cr4Flags};

const CPUID_1_ECX_XSAVE: u32 = 1 << 26;
const XCR0_X87: u64 = 1 << 0;
const XCR0_SSE: u64 = 1 << 1;
const XCR0_AVX: u64 = 1 << 2;

/// State components that guests may enable: what the processor has of those that need no other support.
static OFFERED: Once<u64> = Once::new();

/// Switches extended state on for this processor.
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
    OFFERED.call_once(|| if has_xsave { offered_of(cpu::cpuid(0xd, 0)) } else { 0 });
}

/// AVX-512 is left out: where the suite runs, in Bochs 2.7, its state gets lost when a guest's kernel switches
/// tasks, and a guest that is shown it sees one process in fifty die. It comes back when a processor has shown
/// that it works.
fn offered_of(leaf: core::arch::x86_64::CpuidResult) -> u64 {
    let supported = u64::from(leaf.edx) << 32 | u64::from(leaf.eax);
    supported & (XCR0_X87 | XCR0_SSE | XCR0_AVX)
}

/// XCR0 with everything that guests may enable; zero without XSAVE.
pub fn offered() -> u64 {
    OFFERED.get().copied().unwrap_or(0)
}

/// What XSETBV checks [SDM1 13.3]: x87 always, AVX with SSE.
fn valid_xcr0(value: u64, offered: u64) -> bool {
    value & XCR0_X87 != 0 && value & !offered == 0 && (value & XCR0_AVX == 0 || value & XCR0_SSE != 0)
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
    /// When the machine's memory is used up.
    pub fn new(frames: &mut PageFrames) -> Result<Self, PageFrameError> {
        // ECX: the area that all supported components need [SDM2A CPUID]; for FXSAVE 512 bytes,
        // and 64 for the header that `reset` fills in any case.
        let bytes = if offered() == 0 { 576 } else { cpu::cpuid(0xd, 0).ecx };
        let area = physical::pointer(frames.allocate(bytes.into(), PAGE)?);
        let mut state = Self { area, bytes: bytes as usize, xcr0: XCR0_X87 };
        state.reset();
        Ok(state)
    }

    /// Brings it back to the state after reset. It must not be in the processor.
    pub fn reset(&mut self) {
        self.xcr0 = XCR0_X87;
        // SAFETY: the area is this value's own. FCW and MXCSR at their places in the legacy region
        // [SDM1 10.5.1]; the header is zero but for XSTATE_BV, which makes XRSTOR load them.
        unsafe {
            self.area.write_bytes(0, self.bytes);
            self.area.cast::<u16>().write(0x037f);
            self.area.add(24).cast::<u32>().write(0x1f80);
            self.area.add(512).cast::<u64>().write(XCR0_X87 | XCR0_SSE);
        }
    }

    /// Brings the state into the processor.
    pub fn load(&self) {
        let all = offered();
        // SAFETY: the area was filled by `new` or `save` with the same components enabled.
        unsafe {
            if all == 0 {
                asm!("fxrstor64 [{}]", in(reg) self.area, options(nostack));
                return;
            }
            cpu::xsetbv0(all);
            asm!("xrstor64 [{}]", in(reg) self.area, in("eax") all as u32, in("edx") (all >> 32) as u32,
                options(nostack));
            cpu::xsetbv0(self.xcr0);
        }
    }

    /// Takes the state out of the processor, components that the guest has switched off included: it may
    /// switch them on again.
    pub fn save(&mut self) {
        let all = offered();
        // SAFETY: the area has room for all components.
        unsafe {
            if all == 0 {
                asm!("fxsave64 [{}]", in(reg) self.area, options(nostack));
                return;
            }
            cpu::xsetbv0(all);
            asm!("xsave64 [{}]", in(reg) self.area, in("eax") all as u32, in("edx") (all >> 32) as u32,
                options(nostack));
        }
    }

    /// XSETBV by the active guest; false when the value is not allowed.
    pub fn set_xcr0(&mut self, value: u64) -> bool {
        if !valid_xcr0(value, offered()) {
            return false;
        }
        self.xcr0 = value;
        // SAFETY: just checked.
        unsafe { cpu::xsetbv0(value) }
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

    #[test]
    fn xcr0_is_checked_as_the_processor_does() {
        for (value, valid) in
            [(1, true), (3, true), (7, true), (0, false), (2, false), (5, false), (0xe7, false)]
        {
            assert_eq!(valid_xcr0(value, 7), valid, "{value:#x}");
        }
    }
}
