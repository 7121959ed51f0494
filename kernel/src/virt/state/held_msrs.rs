//! MSRs that the processor itself holds for a guest, and those among them that no entry or exit switches.

use crate::processor::cpu;
use platform::msr::processor::{Condition, PROCESSOR_MSRS, ProcessorMsr};

/// More than are ever switched.
const MOST: usize = 16;

/// The registers that the processor holds for a guest of this machine.
pub fn held() -> impl Iterator<Item = &'static ProcessorMsr> {
    let policy = crate::virt::offer::policy();
    PROCESSOR_MSRS.iter().filter(move |msr| match msr.condition {
        Condition::Always => true,
        Condition::Rdtscp => policy.rdtscp,
        Condition::SpecCtrl => policy.spec_ctrl,
        Condition::Xsaves => policy.xsaves,
    })
}

/// What neither the vendor's control structure nor Weir uses: the active guest's stay loaded between exits.
/// These are their values while the guest is not active.
#[derive(Clone, Debug, Default)]
pub struct Switched(heapless::Vec<(u32, u64), MOST>);

impl Switched {
    /// Those of the registers, all zero.
    pub fn new(registers: impl Iterator<Item = &'static ProcessorMsr>) -> Self {
        Self(registers.map(|msr| (msr.index, 0)).take(MOST).collect())
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
