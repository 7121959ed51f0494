//! Drivers for physical NICs: [`E1000`] for Intel 82540EM and 82545EM.
//!
//! A driver is generic over [`Host`]: register access, DMA memory and a clock for waits. It is a
//! [`base::Port`], so that nothing above it knows a register, and it owns its card: one `&mut`, no lock,
//! no callback. What happened to the card is told by [`E1000::events`] and counted.
//!
//! The card's bus mastering and memory decode must be enabled in PCI configuration space before a driver
//! is constructed, and its interrupt routed after; both are the kernel's business.
#![no_std]
#![forbid(unsafe_code)]

mod address;
mod counters;
mod e1000;
mod error;
mod event;
mod hardware;
mod initialise;
mod interrupt;
mod link;
mod port;
mod receive;
mod statistics;
mod transmit;
mod wait;

pub use counters::Counters;
pub use e1000::{CHECK_INTERVAL, E1000, RETRY_INTERVAL, State, TRANSMIT_HANG};
pub use error::NicError;
pub use event::Event;
pub use hardware::{Dma, Host, PciId, Registers};
pub use initialise::RESET_LIMIT;
pub use interrupt::Causes;
pub use link::{Duplex, Link, Speed};
pub use port::MAX_FRAME;
pub use statistics::Statistics;
