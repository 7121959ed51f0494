//! The end-to-end harness: builds an image, starts it in an emulator, follows the serial log, and acts as the peer
//! on the wire.
//!
//! The peer is the host's own Linux network stack at the far end of a tap interface, in a network namespace that
//! the harness creates for itself: it needs neither root nor any configuration of the host.
#![forbid(unsafe_code)]

pub mod acpi;
pub mod artifacts;
pub mod backend;
pub mod bench;
pub mod bochs;
pub mod cabling;
pub mod choice;
pub mod console;
pub mod debug;
pub mod emulator;
pub mod failure;
pub mod faults;
pub mod fields;
pub mod frame;
mod heartbeat;
pub mod initramfs;
pub mod keys;
pub mod lan;
pub mod line;
pub mod machine;
pub mod namespace;
mod packet_socket;
pub mod pcap;
pub mod pinger;
pub mod probe;
pub mod process;
pub mod qemu;
pub mod qmp;
pub mod run;
pub mod scenario;
pub mod screen;
pub mod statistics;
pub mod traffic;
pub mod wire;

pub use backend::Backend;
pub use failure::{Failure, Outcome};
pub use run::{Run, Test};
pub use scenario::{Scenario, VmSpec};
