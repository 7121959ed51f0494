//! Decisions that depend on the model of the machine's processor: pure functions of what CPUID and the announced
//! registers say.
//!
//! * [`HostProcessor`]: what the processor says of itself.
//! * [`measures`]: what must be done so that nothing leaks from guest to guest on it.
//! * [`machine_check`]: what a machine check means for guests and for Weir.
//! * [`svm`]: what the processor's SVM can do, and whether it can be switched on.
//! * [`threads`]: which processors are threads of one core.
//!
//! Nothing here touches a processor: the processor is a trait.
#![no_std]
#![forbid(unsafe_code)]

mod host_processor;
pub mod machine_check;
pub mod measures;
pub mod svm;
pub mod threads;

pub use host_processor::{
    AmdExtensions, AmdImmunity, AmdSpeculation, ArchCapabilities, HostProcessor, LeafSevenEdx,
    ProcessorAccess, Vendor,
};
