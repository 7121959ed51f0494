//! The types that all crates of Weir share.
//!
//! * [`GuestPhysical`], [`HostPhysical`]: addresses of the two physical address spaces.
//! * [`GuestMemory`]: access to a guest's memory, by copy.
//! * [`Instant`], [`Duration`]: time, which every model receives as a parameter.
//! * [`bits`]: the low and high bits of a value, without a cast.
//! * [`Width`], [`Effects`]: how wide an access to a device model is, and what it asks the caller to do next.
//! * [`registers32`]: accesses of any width to a device that has only 32-bit registers.
//! * [`Span`], [`Memory`]: memory that Weir shares with a guest or a device.
//! * [`MacAddress`], [`LentFrame`], [`Outbox`], [`Port`]: Ethernet frames and the interface through which they travel.
//! * [`NicInfo`]: what is known of a physical NIC.
//! * [`internet_checksum`], [`TransportLayout`]: the sums of IP, TCP and UDP, and where their headers are.
//!
//! Nothing here touches hardware, and nothing allocates after construction.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod address;
pub mod bits;
pub mod effects;
pub mod frame;
pub mod internet_checksum;
pub mod mac;
pub mod memory;
pub mod nic_info;
pub mod offload;
pub mod outbox;
pub mod port;
pub mod registers32;
pub mod span;
pub mod time;
pub mod transport;
pub mod width;

pub use address::{GuestPhysical, HostPhysical};
pub use effects::Effects;
pub use frame::{Checksums, LentFrame, UnfinishedChecksum, Verdict};
pub use mac::MacAddress;
pub use memory::{GuestMemory, GuestSpans, MemoryError};
pub use nic_info::{
    ByteRates, Duplex, LinkSpeed, LinkStatus, NicCondition, NicInfo, QueueDepth, RetiredFrames,
};
pub use outbox::{Outbox, SlotId, Ticket};
pub use port::{Capabilities, Port, Put};
pub use span::{Memory, Span};
pub use time::{Duration, Instant};
pub use transport::TransportLayout;
pub use width::Width;
