//! Fuzz targets: plain functions from bytes to a verdict, which is that they return.
//!
//! A target panics when what it drives panics, or when something that must always hold does not. The smoke
//! run in `tests/smoke.rs` gives each some thousands of inputs; the README says how to run one for hours.
#![forbid(unsafe_code)]

pub mod board;
pub mod bundle;
pub mod configuration;
pub mod decoder;
pub mod input;
pub mod local_apic;
pub mod nested_pages;
pub mod pci;
pub mod switch;
pub mod vnic_descriptors;
pub mod vnic_registers;

pub use input::Input;

/// Something to fuzz.
pub struct Target {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Drives it with one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "board", run: board::target },
    Target { name: "bundle", run: bundle::target },
    Target { name: "configuration", run: configuration::target },
    Target { name: "decoder", run: decoder::target },
    Target { name: "local-apic", run: local_apic::target },
    Target { name: "nested-pages", run: nested_pages::target },
    Target { name: "pci", run: pci::target },
    Target { name: "switch", run: switch::target },
    Target { name: "vnic-descriptors", run: vnic_descriptors::target },
    Target { name: "vnic-registers", run: vnic_registers::target },
];

/// The target called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
