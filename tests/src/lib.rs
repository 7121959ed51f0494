//! The end-to-end harness: builds an image, starts it in an emulator, follows the serial log, and plays the
//! peer on the wire.
//!
//! The peer is the host's own Linux network stack at the far end of a tap interface, in a network namespace
//! that the harness makes for itself: neither root nor a set-up of the machine is needed.
#![forbid(unsafe_code)]

pub mod artifacts;
pub mod bochs;
pub mod console;
pub mod failure;
pub mod initramfs;
pub mod line;
pub mod namespace;
pub mod pinger;
pub mod run;
pub mod scenario;
pub mod traffic;
pub mod wire;

pub use failure::{Failure, Outcome};
pub use run::Run;
pub use scenario::{Scenario, Vm};
