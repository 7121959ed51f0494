//! Which of the machine's memory is free, and where a guest's memory lies in it.
//!
//! Firmware leaves holes in the machine's memory: below 4 GiB for devices, and wherever it keeps tables of its own. So
//! a guest's memory is in as many pieces as it takes ([`FreeMemory::take_runs`]), and [`GuestMap`] finds them by
//! guest-physical address. Pieces are whole large pages of 2 MiB, so that nested page tables can map them with such.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod free;
mod guest_map;

pub use free::{FreeMemory, MAX_RUNS, MemoryShortage, Run, Runs};
pub use guest_map::{GuestMap, MemoryPiece};

/// Bytes of a large page: a guest's memory is assigned in multiples of it [SDM3A 4.5] [APM2 5.3.4].
pub const LARGE_PAGE: u64 = 2 << 20;
