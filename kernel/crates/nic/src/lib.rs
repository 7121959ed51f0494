//! Drivers for Intel's physical NICs: [`E1000`] for the 82540EM and 82545EM, [`E1000e`] for the 82574, and
//! [`Igb`] for the 82576, I210 and I350. [`identify`] tells which NIC has which driver, and the kernel holds a
//! NIC of any family as a [`Nic`].
//!
//! The three are one driver, [`NicDriver`]: these chips come from one maker, and their rings work in the same
//! way. What is specific to a family is in the folder with its name; see `chip.rs`.
//!
//! A driver is generic over [`NicHost`]: register access and DMA memory. It is a
//! [`base::Port`], so that the layers above it know no register, and it owns its NIC: one `&mut`, no lock,
//! no callback. State changes of the NIC are reported by [`NicDriver::events`] and counted.
//!
//! A driver never waits: a reset goes on in [`NicDriver::check`], step by step, until [`NicDriver::state`] says
//! whether it has succeeded. A kernel that has nothing else to do, at boot, calls it in a loop.
//!
//! Before a driver is constructed, the NIC's memory decode must be enabled in PCI configuration space and its bus
//! mastering disabled: the driver allows it through [`NicHost::allow_dma`] once the NIC is reset. Its interrupt
//! may be routed at any time.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

mod address;
mod bring_up;
mod chip;
mod counters;
mod departure;
mod descriptors;
mod driver;
mod e1000;
mod e1000e;
mod error;
mod event;
mod hardware;
mod identify;
mod igb;
mod info;
mod initialise;
mod interrupt;
mod link;
mod nic;
mod pcie;
mod phy;
mod port;
mod queue_pair;
mod queued;
mod receive;
mod retire;
mod statistics;
mod transmit;
mod verified;
mod watch;

pub use bring_up::{PHY_OWNER_TIMEOUT, RESET_TIMEOUT};
pub use counters::{DriverCounters, QueueCounters};
pub use driver::{CHECK_INTERVAL, FIRST_RETRY, NicDriver, NicState, RETRY_INTERVAL, TRANSMIT_HANG};
pub use error::NicError;
pub use event::NicEvent;
pub use hardware::{NicHost, NicRegisters, PciId};
pub use identify::{Evidence, Family, MODELS, NicModel, dma_limit, gives_up_early, identify, uses_ports};
pub use interrupt::{Causes, InterruptMode, MSIX_ENTRIES};
pub use nic::{E1000, E1000e, Igb, Nic};
pub use port::MAX_FRAME;
pub use statistics::HardwareStatistics;
pub use watch::InterruptWatch;
