//! The configuration of a host: its physical NICs and its guests.
//!
//! The host tool reads it from a TOML file with [`text::read`] (feature `std`), which finds every mistake and
//! says where it is. It hands it to the kernel together with the guests' images as a [`Bundle`]; the kernel
//! reads that without knowing TOML.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bundle;
mod mac;
mod system;
#[cfg(feature = "std")]
pub mod text;

pub use bundle::{Bundle, BundleError};
pub use system::{
    FileId, Host, LEAST_SHARES, LogLevel, MAX_COMMAND_LINE, MAX_CORES, MAX_NICS, MAX_VMS, MAX_VNICS,
    MAX_VNICS_PER_UPLINK, MOST_SHARES, Model, Nic, NicMatch, Restart, STANDARD_SHARES, SelfTest, System, Vm,
    Vnic,
};
