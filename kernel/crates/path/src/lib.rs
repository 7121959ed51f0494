//! The frame switch between vNICs and physical NICs.
//!
//! [`Path`] moves frames between [`base::Port`]s: it polls each port into a batch of that port's own,
//! asks the [`Switch`] where each frame goes, and offers the frames of one destination together. What a
//! destination does not take stays pending, at most for the hold time of the port the frame came from;
//! meanwhile that port is not polled, which is how back-pressure reaches the sender.
//!
//! What holds at any moment:
//! * frames from one port to one other port leave in the order in which they came, each at most once;
//! * a frame waits for one slow destination without delaying other destinations of the same batch;
//! * every frame that was polled is delivered, pending, or counted under one cause in [`Counters`].
//!
//! Nothing allocates after construction. No NIC and no VM is known here.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod config;
mod counters;
mod path;
mod pending;
mod ports;
mod switch;
mod table;

pub use config::{Attachment, GUEST_HOLD, PathError, PortConfig, UPLINK_HOLD};
pub use counters::Counters;
pub use path::{Path, Progress};
pub use ports::{MAX_PORTS, PortId, PortSet};
pub use switch::{DropCause, Switch, Verdict};
pub use table::{AGEING, CAPACITY, GUEST_QUOTA};
