//! What the stages of `boot` make of the memory map that firmware gives. No hardware is touched here.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod e820;
pub mod last_ram;
pub mod rsdp;
