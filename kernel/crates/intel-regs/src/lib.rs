//! Registers, descriptors, EEPROM and PHY of the Intel 82540EM, under their datasheet names.
//!
//! Shared by the model that guests drive and by the driver of physical cards, so that one definition is
//! checked from both sides. Constants, flag sets and layouts only: no access and no behaviour.
//!
//! Source: Intel, *PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual*, order
//! number 317453, cited as `[8254x section]`.
#![no_std]
#![forbid(unsafe_code)]

pub mod control;
pub mod desc;
pub mod eeprom;
pub mod interrupt;
pub mod pci;
pub mod phy;
pub mod receive;
pub mod reg;
pub mod stats;
pub mod transmit;

pub use control::{Ctrl, CtrlExt, Eecd, Eerd, Mdic, Status};
pub use interrupt::Interrupt;
pub use receive::{Rah, Rctl, Rxcsum};
pub use transmit::Tctl;
