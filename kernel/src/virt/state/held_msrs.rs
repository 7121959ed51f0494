//! MSRs that the processor itself holds for a guest, including those that VM entries and exits do not switch.

use crate::processor::cores::{PerCore, per_core};
use crate::processor::cpu;
use crate::virt::offer;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
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

/// What this core's switched MSRs hold while no guest is active: what was saved last. WRMSR takes a hundred cycles, and
/// under another hypervisor often an exit to it, and guests with the same system have the same in most of them.
static LEFT: PerCore<[AtomicU64; CAPACITY]> = per_core!([const { AtomicU64::new(0) }; CAPACITY]);
/// How many of them hold what [`LEFT`] says: none before the first save on this core, and none while a guest is active,
/// since it writes them itself.
static KNOWN: PerCore<AtomicUsize> = per_core!(AtomicUsize::new(0));

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
        let (left, known) = (LEFT.here(), KNOWN.here().swap(0, Ordering::Relaxed));
        for (place, &(index, value)) in self.0.iter().enumerate() {
            if place < known && left[place].load(Ordering::Relaxed) == value {
                continue;
            }
            // SAFETY: Weir does not use system calls, SWAPGS or TSC_AUX; the values are zero or were read from
            // the same registers.
            unsafe { cpu::wrmsr(index, value) }
        }
    }

    /// Saves them from the processor.
    pub fn save(&mut self) {
        for ((index, value), left) in self.0.iter_mut().zip(LEFT.here()) {
            *value = cpu::rdmsr(*index);
            left.store(*value, Ordering::Relaxed);
        }
        KNOWN.here().store(self.0.len(), Ordering::Relaxed);
    }
}
