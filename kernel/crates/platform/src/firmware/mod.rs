//! What the firmware and the boot loader of a PC leave in memory for the operating system.

pub mod acpi;
pub mod boot;
