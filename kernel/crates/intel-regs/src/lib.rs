//! Registers, descriptors, EEPROM and PHY of Intel's gigabit cards, under their datasheet names.
//!
//! What the 82540EM has stands in modules named after what it is for; later families keep most of it where
//! it was, and [`pcie`], [`e1000e`], [`igb`] and [`advanced`] hold what they add.
//!
//! Shared by the model that guests drive and by the drivers of physical cards, so that one definition is
//! checked from both sides. Constants, flag sets and layouts only: no access and no behaviour.
//!
//! Source: Intel, *PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual*, order
//! number 317453, cited as `[8254x section]`; the added modules name theirs.
#![no_std]
#![forbid(unsafe_code)]

pub mod advanced;
pub mod control;
pub mod desc;
pub mod e1000e;
pub mod eeprom;
pub mod igb;
pub mod interrupt;
pub mod pci;
pub mod pcie;
pub mod phy;
pub mod queue;
pub mod receive;
pub mod reg;
pub mod stats;
pub mod transmit;

pub use control::{Ctrl, CtrlExt, Eecd, Eerd, Mdic, Status};
pub use interrupt::Interrupt;
pub use receive::{Rah, Rctl, Rxcsum};
pub use transmit::Tctl;
