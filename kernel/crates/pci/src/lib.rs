//! A function on the machine's PCI bus: its windows, its DMA, its messages, and what has to be set up before its driver.
//!
//! The kernel gives access to configuration space; everything here goes through that.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod function;
mod messages;
mod registers;
mod scan;
mod set_up;
mod windows;

pub use function::{BusFunction, MOST_CAPABILITIES, PciAccess, PciPlace};
pub use messages::MsiMessage;
pub use scan::scan_bus;
pub use set_up::{FunctionRegisters, SavedFunction, bus_below, prepare_bus, stop_aspm, wake};
