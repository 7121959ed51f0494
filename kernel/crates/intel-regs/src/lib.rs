//! Registers, descriptors, EEPROM and PHY of Intel's gigabit NICs, under their datasheet names.
//!
//! The definitions for the 82540EM are in modules named after their function. Later families keep most of them;
//! their additions are in [`pcie`], [`e1000e`], [`igb`] and [`advanced`].
//!
//! The model that guests drive and the drivers of physical NICs share this crate, so that both sides check each
//! definition. It has constants, flag sets and layouts only: no access and no behaviour.
//!
//! Source: Intel, *PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual*, order
//! number 317453, cited as `[8254x section]`; the modules of later families name their own sources.
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
