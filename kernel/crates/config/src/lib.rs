//! The configuration of a host: its physical NICs, their teams, and its guests.
//!
//! The host tool reads it from a TOML file with [`text::read`] (feature `std`), which reports every error with its
//! line and field. It passes the configuration to the kernel together with the guests' images, as a [`Bundle`];
//! the kernel reads the bundle without any knowledge of TOML.
#![cfg_attr(not(any(feature = "std", test)), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod bundle;
mod choice;
mod limits;
mod plan;
mod system;
mod team;
#[cfg(feature = "std")]
pub mod text;

pub use bundle::{Bundle, BundleError};
pub use choice::{NicChoice, NicTraits};
pub use plan::TeamPlan;
pub use system::{
    FileId, HostConfig, IdentityConfig, LEAST_SHARES, LogLevel, MAX_COMMAND_LINE, MAX_CORES,
    MAX_IDENTITY_TEXT, MAX_NICS, MAX_VMS, MAX_VNICS, MAX_VNICS_PER_UPLINK, MOST_PRIORITY, MOST_SHARES,
    NicConfig, NicMatch, Restart, STANDARD_PRIORITY, STANDARD_SHARES, SelfTest, System, UplinkLink, VmConfig,
    VnicConfig, VnicModel,
};
pub use team::{TeamConfig, TeamNics};
