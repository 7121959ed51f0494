//! The Ethernet switch between vNICs and physical NICs.
//!
//! A [`Switch`] moves frames between [`base::Port`]s. Its owner decides which port it polls, and when
//! ([`Switch::take_from`]): the work that a guest's frames cause is done in that guest's own time. The switch decides
//! where each frame goes, and offers all frames for one destination in one call.
//!
//! What a destination does not accept is dropped and counted, or waits:
//! * copies of group frames do not wait for a vNIC;
//! * other frames wait for a vNIC for [`HOLD`] at most, and for a physical NIC as long as
//!   it takes frames at all. A few of them wait in passing. If there are more, the port stands still, which is how
//!   back-pressure reaches the sender: for a vNIC for at most [`PATIENCE`], and for a physical NIC as long as it takes
//!   frames at all. After that the frames beyond the few are dropped, and those for other destinations pass by;
//! * what a physical NIC has taken and gives back unsent waits in front of all that came later, for [`RESEND_HOLD`] at most,
//!   even while that NIC has no link.
//!
//! Invariants:
//! * frames from one port to another leave in the order in which they arrived, each at most once;
//! * a frame that waits for a slow destination does not delay frames of the same batch for other destinations;
//! * a vNIC delays a port's frames to others by [`PATIENCE`], and 50 us for each frame that it takes, and only if that
//!   port keeps sending to it;
//! * ports whose frames wait for the same destination share it, however often each of them asks, and however short
//!   their frames are, up to 9 KiB; where several NICs are one destination, those share each whose next frames are for it;
//! * every frame that was polled is delivered, pending, or counted under exactly one cause in
//!   [`PortCounters`].
//!
//! Nothing allocates after construction. The crate knows no NIC and no VM, only ports.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod control_frame;
mod counters;
mod elsewhere;
mod forwarder;
mod ingress;
mod mac_table;
mod patience;
mod plugged;
mod ports;
mod settlement;
mod sharing;
mod switch;
mod turns;

pub use config::{Attachment, HOLD, PATIENCE, PathError, PortConfig, RESEND_HOLD};
pub use counters::PortCounters;
pub use mac_table::{AGEING, CAPACITY, GUEST_QUOTA, TAKEOVER};
pub use plugged::PluggedPort;
pub use ports::{MAX_PORTS, PortId, PortSet};
pub use settlement::REAP_INTERVAL;
pub use switch::{Progress, Switch};
