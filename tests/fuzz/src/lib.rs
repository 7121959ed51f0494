//! Fuzz targets: plain functions that take any bytes and return, or fail by panicking.
//!
//! A target panics when the code under test panics, or when a property that must always hold does not. The
//! smoke run in `tests/smoke.rs` gives each target its seeds and some thousands of other inputs; the README
//! says how to run one for hours.
#![forbid(unsafe_code)]
#![allow(clippy::cast_possible_truncation, reason = "a target cuts values of any width out of its input")]

pub mod board;
pub mod bundle;
pub mod configuration;
pub mod decoder;
pub mod firmware_tables;
mod hostile_nic;
pub mod input;
pub mod local_apic;
pub mod nested_pages;
pub mod pci;
pub mod seam;
pub mod switch;
pub mod targets;
pub mod team;
pub mod vnic_descriptors;
pub mod vnic_registers;

pub use input::Input;
pub use targets::{TARGETS, Target, find};
