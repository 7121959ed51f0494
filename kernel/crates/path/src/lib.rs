//! The Ethernet switch between vNICs and physical NICs.
//!
//! A [`Switch`] moves frames between [`base::Port`]s. It polls each port into a batch that belongs to that
//! port, decides where each frame goes, and offers all frames for one destination in one call. Frames that a
//! destination does not accept stay pending, at most for the hold time of the port they came from. A port
//! with pending frames is not polled: that is how back-pressure reaches the sender.
//!
//! Invariants:
//! * frames from one port to another leave in the order in which they arrived, each at most once;
//! * a frame that waits for a slow destination does not delay frames of the same batch for other destinations;
//! * every frame that was polled is delivered, pending, or counted under exactly one cause in
//!   [`PortCounters`].
//!
//! Nothing allocates after construction. The crate knows no NIC and no VM, only ports.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod counters;
mod forwarder;
mod mac_table;
mod pending;
mod ports;
mod switch;

pub use config::{Attachment, GUEST_HOLD, PathError, PortConfig, UPLINK_HOLD};
pub use counters::PortCounters;
pub use mac_table::{AGEING, CAPACITY, GUEST_QUOTA};
pub use ports::{MAX_PORTS, PortId, PortSet};
pub use switch::{Progress, Switch};
