//! Where a guest's MSRs are kept while it runs.

use crate::virt::state::held_msrs::{SwitchedMsrs, held};
use platform::msr::processor::Home;

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

/// The MSRs that the VMCS does not hold. IA32_XSS stays zero: no state component that it enables is offered.
pub fn switched() -> SwitchedMsrs {
    SwitchedMsrs::new(held().filter(|msr| msr.home == Home::SaveRestore && msr.direct_write))
}
