//! The Intel 82540EM as a guest sees it: a pure model of its registers, EEPROM, PHY, rings and interrupts.
//!
//! The model is single-owner (`&mut`), holds no lock, clock or callback, and allocates only when it is made.
//! The bus brings it register accesses ([`Vnic::read`], [`Vnic::write`]), the frame path meets it as a
//! [`base::Port`] ([`Vnic::port`]), and what must happen next is returned as [`base::Effects`].
//!
//! Source: Intel 8254x Software Developer's Manual, order number 317453, cited as `[8254x section]`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod arrival;
mod card;
mod checksum;
mod counters;
mod crc;
mod device;
mod eeprom;
mod fault;
mod fifo;
mod filter;
mod inspect;
mod interrupts;
mod packet;
mod phy;
mod port;
mod receive;
mod registers;
mod ring;
mod segment;
mod statistics;
mod transmit;

pub use counters::Counters;
pub use device::{Vnic, VnicConfig};
pub use fault::{GuestFault, RingKind};
pub use port::VnicPort;
