//! MSRs that the processor itself holds for a guest, including those that VM entries and exits do not switch.

use crate::processor::cpu;
use crate::virt::offer;
use platform::msr::processor::{Condition, PROCESSOR_MSRS, ProcessorMsr};

/// An upper bound on the number of switched MSRs.
const CAPACITY: usize = 16;

/// The MSRs that the processor holds for a guest on this machine.
pub fn held() -> impl Iterator<Item = &'static ProcessorMsr> {
    let policy = offer::policy();
    PROCESSOR_MSRS.iter().filter(move |msr| match msr.condition {
        Condition::Always => true,
        Condition::Rdtscp => policy.rdtscp,
        Condition::SpecCtrl => policy.spec_ctrl,
        Condition::Xsaves => policy.xsaves,
    })
}

/// MSRs that neither the vendor's control structure nor Weir uses, so the active guest's values stay loaded
/// across exits. This holds the values of a guest that is not active.
#[derive(Clone, Debug, Default)]
pub struct SwitchedMsrs(heapless::Vec<(u32, u64), CAPACITY>);

impl SwitchedMsrs {
    /// These registers, all zero.
    pub fn new(registers: impl Iterator<Item = &'static ProcessorMsr>) -> Self {
        Self(registers.map(|msr| (msr.index, 0)).take(CAPACITY).collect())
    }

    /// Loads them into the processor.
    pub fn load(&self) {
        for &(index, value) in &self.0 {
            // SAFETY: Weir does not use system calls, SWAPGS or TSC_AUX; the values are zero or were read from
            // the same registers.
            unsafe { cpu::wrmsr(index, value) }
        }
    }

    /// Saves them from the processor.
    pub fn save(&mut self) {
        for (index, value) in &mut self.0 {
            *value = cpu::rdmsr(*index);
        }
    }
}
