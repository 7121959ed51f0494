//! Intel VT-x: VMX operation, VMCS, EPT [SDM3C, chapters 24 to 31].

mod capabilities;
mod control_structure;
mod controls;
mod enter;
mod events;
mod exit;
mod fields;
mod modes;
mod msrs;
mod operation;
mod report;
mod setup;
mod vcpu;

pub use capabilities::present;
pub use vcpu::Vcpu;
