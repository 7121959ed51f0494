//! Where a guest's MSRs are while it runs.

use super::fields::{Field, ReadWrite, SAVED_MSRS};
use crate::virt::state::held_msrs::{Switched, held};
use platform::msr::processor::{Home, ProcessorMsr};

pub use platform::msr::{IA32_EFER, IA32_PAT, IA32_TIME_STAMP_COUNTER};

/// The VMCB field of an MSR that VMLOAD and VMSAVE switch.
pub fn field(index: u32) -> Option<Field<u64, ReadWrite>> {
    SAVED_MSRS.iter().find(|(saved, _)| *saved == index).map(|(_, field)| *field)
}

/// True when a guest reaches the register itself: VMLOAD and VMSAVE switch it, or [`switched`] has it. Of the
/// others EFER would show that SVM is on, and the time-stamp counter would lack the guest's offset.
pub fn direct(msr: &ProcessorMsr) -> bool {
    field(msr.index).is_some() || matches!(msr.home, Home::SaveRestore | Home::Command)
}

/// Those that the VMCB does not have. IA32_XSS stays zero: nothing it names is offered.
pub fn switched() -> Switched {
    let saved = |msr: &&ProcessorMsr| msr.home == Home::SaveRestore && msr.direct_write;
    Switched::new(held().filter(saved).filter(|msr| field(msr.index).is_none()))
}
