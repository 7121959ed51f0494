//! The Intel 82540EM as a guest sees it: a pure model of its registers, EEPROM, PHY, rings and interrupts.
//!
//! It has two halves, which may be used by two processors at once: the register half ([`VnicFront`]) belongs to its guest's
//! core and takes no lock for the registers that a driver uses in operation; the data half ([`VnicEngine`]) belongs to
//! whoever moves frames, as a [`base::Port`] ([`VnicEngine::port`]). Both have a single owner (`&mut`), hold no lock,
//! clock or callback, and allocate only at construction; what the caller must do next is returned as [`base::Effects`].
//! [`Vnic`] is both halves for an owner on one thread.
//!
//! Source: Intel 8254x Software Developer's Manual, order number 317453, cited as `[8254x section]`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod admission;
mod arrival;
mod bars;
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
mod front;
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
mod shared;
mod statistics;
mod transmit;
mod transmit_checksum;
mod whole;

pub use config::VnicModelConfig;
pub use counters::VnicCounters;
pub use device::VnicEngine;
pub use fault::{GuestFault, RingKind};
pub use front::{DataHalf, VnicFront};
pub use port::VnicPort;
pub use whole::Vnic;
