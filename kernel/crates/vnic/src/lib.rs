//! The Intel 82540EM as a guest sees it: a pure model of its registers, EEPROM, PHY, rings and interrupts.
//!
//! The model has a single owner (`&mut`), holds no lock, clock or callback, and allocates only at construction.
//! The bus passes register accesses to [`Vnic::read`] and [`Vnic::write`], the frame path uses it as a
//! [`base::Port`] ([`Vnic::port`]), and what the caller must do next is returned as [`base::Effects`].
//!
//! Source: Intel 8254x Software Developer's Manual, order number 317453, cited as `[8254x section]`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod admission;
mod arrival;
mod bounce;
mod config;
mod controller;
mod counters;
mod device;
mod eeprom;
mod emit;
mod ethernet;
mod fault;
mod fifo;
mod filter;
mod flight;
mod interrupts;

mod packet;
mod phy;
mod plain;
mod port;
mod receive;
mod receive_checksum;
mod register_access;
mod registers;
mod ring;
mod saturating;
mod segmentation;
mod statistics;
mod transmit;
mod transmit_checksum;

pub use config::VnicModelConfig;
pub use counters::VnicCounters;
pub use device::Vnic;
pub use fault::{GuestFault, RingKind};
pub use port::VnicPort;
