//! From the bytes of an instruction that touched a device to the device's registers, and back.
//!
//! [`decode`] reads the instruction (by library, `iced-x86`) and says what it reads and writes, as an
//! [`Access`]; [`Access::complete`] does in the guest's registers what the processor would have done (by
//! hand). [`registers32`] turns every width and alignment a guest can think of into the 32-bit accesses that
//! device models see.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod access;
mod alu;
pub mod decode;
pub mod error;
pub mod instruction;
pub mod mode;
pub mod register;
pub mod registers32;

pub use access::Access;
pub use decode::{decode, prepare};
pub use error::DecodeError;
pub use mode::CpuMode;
pub use register::{Gpr, RegisterFile, Segment};
pub use registers32::Narrow;
