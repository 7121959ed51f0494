//! Where a guest's MSRs are kept while it runs.

use super::fields::{ControlField, ReadWrite, SAVED_MSRS};
use crate::virt::state::held_msrs::{SwitchedMsrs, held};
use platform::msr::processor::{Home, ProcessorMsr};

pub use platform::msr::{IA32_EFER, IA32_PAT, IA32_TIME_STAMP_COUNTER};

/// The VMCB field of an MSR that VMLOAD and VMSAVE switch.
pub fn field(index: u32) -> Option<ControlField<u64, ReadWrite>> {
    SAVED_MSRS.iter().find(|(saved, _)| *saved == index).map(|(_, field)| *field)
}

/// True when a guest accesses the register directly: VMLOAD and VMSAVE switch it, or [`switched`] does. Direct
/// access to EFER would show that SVM is on, and to the time-stamp counter would miss the guest's offset.
pub fn direct(msr: &ProcessorMsr) -> bool {
    field(msr.index).is_some() || matches!(msr.home, Home::SaveRestore | Home::Command)
}

/// The MSRs that the VMCB does not hold. IA32_XSS stays zero: no state component that it enables is offered.
pub fn switched() -> SwitchedMsrs {
    let saved = |msr: &&ProcessorMsr| msr.home == Home::SaveRestore && msr.direct_write;
    SwitchedMsrs::new(held().filter(saved).filter(|msr| field(msr.index).is_none()))
}
