//! Emulation of instructions that access device registers in memory (MMIO).
//!
//! [`decode`](fn@decode) decodes such an instruction with `iced-x86` and returns what it reads and writes as a
//! [`TrappedAccess`]. [`TrappedAccess::complete`] then updates the guest's registers as the processor would have
//! done; this part is written by hand. [`wide`] does the same for vector moves and other operands of more than 8 bytes.
//! [`instruction`] decodes the few other instructions that
//! exit without enough information about themselves.
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
mod multiply;
mod operation;
pub mod register;
mod shift;
mod stack;
mod strings;
mod vex;
pub mod wide;
pub mod xsave;

pub use access::TrappedAccess;
pub use decode::{DecoderMemory, decode, prepare};
pub use error::{AccessFault, DecodeError};
pub use mode::CpuMode;
pub use register::{Gpr, RegisterFile, SegmentRegister, Vector};
pub use wide::WideAccess;
