//! The list of targets.

use crate::{
    board, bundle, configuration, decoder, firmware_tables, hostile_nic, local_apic, nested_pages, pci, seam,
    switch, team, vnic_descriptors, vnic_registers,
};

/// A function to fuzz.
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Runs it on one input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "board", run: board::target },
    Target { name: "bundle", run: bundle::target },
    Target { name: "configuration", run: configuration::target },
    Target { name: "decoder", run: decoder::target },
    Target { name: "firmware-tables", run: firmware_tables::target },
    Target { name: "hostile-nic", run: hostile_nic::target },
    Target { name: "local-apic", run: local_apic::target },
    Target { name: "nested-pages", run: nested_pages::target },
    Target { name: "pci", run: pci::target },
    Target { name: "seam", run: seam::target },
    Target { name: "switch", run: switch::target },
    Target { name: "team", run: team::target },
    Target { name: "vnic-descriptors", run: vnic_descriptors::target },
    Target { name: "vnic-registers", run: vnic_registers::target },
];

/// The target called `name`.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
