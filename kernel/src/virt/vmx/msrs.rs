//! MSRs that a guest reaches without an exit, and those among them that no entry or exit switches.

use crate::hardware::cpu;
use platform::msr::processor::{Condition, Home, PROCESSOR_MSRS, ProcessorMsr};

pub use platform::msr::{IA32_EFER, IA32_PAT};

/// IA32_SYSENTER_CS.
pub const SYSENTER_CS: u32 = 0x174;
/// IA32_SYSENTER_ESP.
pub const SYSENTER_ESP: u32 = 0x175;
/// IA32_SYSENTER_EIP.
pub const SYSENTER_EIP: u32 = 0x176;
/// IA32_FS_BASE.
pub const FS_BASE: u32 = 0xc000_0100;
/// IA32_GS_BASE.
pub const GS_BASE: u32 = 0xc000_0101;

/// More than are ever switched.
const MOST: usize = 16;

/// The registers that the processor holds for a guest of this machine.
pub fn held() -> impl Iterator<Item = &'static ProcessorMsr> {
    let policy = crate::vm::cpuid::policy();
    PROCESSOR_MSRS.iter().filter(move |msr| match msr.condition {
        Condition::Always => true,
        Condition::Rdtscp => policy.rdtscp,
        Condition::SpecCtrl => policy.spec_ctrl,
        Condition::Xsaves => policy.xsaves,
    })
}

/// What neither the VMCS nor Weir uses: the active guest's stay loaded between exits. These are their
/// values while the guest is not active.
#[derive(Clone, Debug, Default)]
pub struct Switched(heapless::Vec<(u32, u64), MOST>);

impl Switched {
    /// All zero.
    pub fn new() -> Self {
        // IA32_XSS stays zero: nothing it names is offered.
        let saved = held().filter(|msr| msr.home == Home::SaveRestore && msr.direct_write);
        Self(saved.map(|msr| (msr.index, 0)).take(MOST).collect())
    }

    /// Brings them into the processor.
    pub fn load(&self) {
        for &(index, value) in &self.0 {
            // SAFETY: Weir makes no system calls, swaps no GS and reads no TSC_AUX; the values are zero or
            // came out of the same registers.
            unsafe { cpu::wrmsr(index, value) }
        }
    }

    /// Takes them out.
    pub fn save(&mut self) {
        for (index, value) in &mut self.0 {
            *value = cpu::rdmsr(*index);
        }
    }
}
