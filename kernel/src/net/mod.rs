//! The way between vNICs and physical NICs: one switch for each physical NIC, with the vNICs that name it as their
//! uplink, and one without a physical NIC for all others.
//!
//! Guests of all cores use it, and no core waits for another: the core that finds a switch free serves it. One that
//! finds it busy goes on, and comes next: the others leave the switch to it for a while. Deadlines of switches and
//! interrupts of physical NICs belong to the boot core.

pub mod discover;
mod guest_port;
mod network;
mod nic_host;
mod nic_interrupt;
mod segment;
mod statistics;
mod teams;
mod uplink;

pub use network::{Network, stop_nics};
