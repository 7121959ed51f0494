//! Vocabulary that every other crate shares: addresses, MAC addresses, time, guest memory, the effects
//! a device model reports, and the port between frame sources and sinks.
//!
//! Nothing here touches hardware and nothing allocates after construction.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod batch;
pub mod effects;
pub mod mac;
pub mod memory;
pub mod port;
pub mod time;
pub mod width;

pub use address::{GuestPhysical, HostPhysical};
pub use batch::Batch;
pub use effects::Effects;
pub use mac::MacAddress;
pub use memory::{GuestMemory, MemoryError};
pub use port::{Capabilities, Port};
pub use time::{Duration, Instant};
pub use width::Width;
