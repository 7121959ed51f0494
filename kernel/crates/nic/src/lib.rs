//! Drivers for physical NICs of Intel: [`E1000`] for 82540EM and 82545EM, [`E1000e`] for the 82574, [`Igb`]
//! for the 82576 and its kin I210 and I350. [`identify`] says which NIC has which, and the kernel holds any
//! of them as a [`Nic`].
//!
//! The three are one driver, [`NicDriver`]: chips of one house, whose rings work in the same way. What a family
//! does in its own way is in the folder with its name; see `chip.rs`.
//!
//! A driver is generic over [`NicHost`]: register access, DMA memory and a clock for waits. It is a
//! [`base::Port`], so that nothing above it knows a register, and it owns its NIC: one `&mut`, no lock,
//! no callback. What happened to the NIC is told by [`NicDriver::events`] and counted.
//!
//! The NIC's bus mastering and memory decode must be enabled in PCI configuration space before a driver
//! is constructed, and its interrupt routed after; both are the kernel's business.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod address;
mod chip;
mod counters;
mod descriptors;
mod driver;
mod e1000;
mod e1000e;
mod error;
mod event;
mod hardware;
mod identify;
mod igb;
mod initialise;
mod interrupt;
mod link;
mod nic;
mod pcie;
mod phy;
mod port;
mod receive;
mod statistics;
mod transmit;
mod wait;

pub use counters::DriverCounters;
pub use driver::{CHECK_INTERVAL, NicDriver, NicState, RETRY_INTERVAL, TRANSMIT_HANG};
pub use error::NicError;
pub use event::NicEvent;
pub use hardware::{DmaRegion, NicHost, NicRegisters, PciId};
pub use identify::{Evidence, Family, MODELS, NicModel, identify};
pub use initialise::RESET_TIMEOUT;
pub use interrupt::{Causes, InterruptMode, MSIX_ENTRIES};
pub use link::{Duplex, LinkSpeed, LinkStatus};
pub use nic::{E1000, E1000e, Igb, Nic};
pub use port::MAX_FRAME;
pub use statistics::HardwareStatistics;
