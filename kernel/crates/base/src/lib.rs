//! The types that all crates of Weir share.
//!
//! * [`GuestPhysical`], [`HostPhysical`]: addresses of the two physical address spaces.
//! * [`GuestMemory`]: access to a guest's memory, by copy.
//! * [`Instant`], [`Duration`]: time, which every model receives as a parameter.
//! * [`bits`]: the low and high bits of a value, without a cast.
//! * [`Width`], [`Effects`]: how wide an access to a device model is, and what it asks the caller to do next.
//! * [`MacAddress`], [`Batch`], [`Port`]: Ethernet frames and the interface through which they travel.
//!
//! Nothing here touches hardware, and nothing allocates after construction.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod batch;
pub mod bits;
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
