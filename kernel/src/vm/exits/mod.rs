//! Handling of VM exits: one match in `dispatch.rs`, and behind it a file for each kind of instruction.

mod bus;
#[cfg(test)]
mod bus_tests;
mod complete;
pub(super) mod context;
mod control_access;
#[cfg(test)]
mod control_tests;
mod cpuid;
mod device_access;
mod dispatch;
pub mod history;
mod msr;
mod operand;
mod port_access;
#[cfg(test)]
pub(in crate::vm) mod tests;

pub use dispatch::{Action, dispatch};
