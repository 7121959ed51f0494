//! Virtual processors: one trait, with one folder per vendor behind it.
//!
//! Nothing outside the vendor folders names a vendor, but for the one place that chooses. Entering a virtual processor
//! returns an [`Exit`]; all other functions read and write registers by their architectural names.

mod control_field;
mod error;
pub mod exit;
#[cfg(test)]
pub mod fake;
pub mod guards;
mod intercept_maps;
pub mod offer;
pub mod report;
pub mod state;
mod svm;
mod this_machine;
mod virtual_cpu;
mod vmx;

pub use error::VirtError;
pub use exit::{Exit, InjectedEvent};
pub use platform::control_registers::Paging;
pub use state::registers::{GeneralRegisters, SegmentRegister, SegmentState};
pub use this_machine::{Task, with_this_machine};
pub use virtual_cpu::{InstructionBytes, LONGEST_INSTRUCTION, VirtualCpu, VmEntry};
