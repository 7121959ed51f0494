//! Finding the physical NICs, and starting those that the configuration names.

use super::uplink::Uplink;
use crate::hardware::acpi::MachineInfo;
use crate::hardware::pci::{self, PciFunction};
use crate::memory::PageFrames;
use alloc::vec::Vec;
use config::NicMatch;
use nic::PciId;

/// Finds the physical NICs and starts those that the configuration names; the others are kept off the bus. Every
/// Ethernet controller is named in the log.
pub fn find_uplinks(
    frames: &mut PageFrames,
    machine: &MachineInfo,
    functions: &[PciFunction],
    system: &config::System,
) -> Vec<Uplink> {
    let mut uplinks: Vec<Uplink> = Vec::new();
    let mut taken: Vec<&str> = Vec::new();
    for function in functions.iter().filter(|f| f.class == pci::CLASS_ETHERNET) {
        let wanted =
            system.nics.iter().find(|nic| !taken.contains(&nic.name.as_str()) && matches(nic, function));
        let Some(nic) = wanted else {
            function.quiesce();
            if has_driver(function) {
                log::warn!("NIC {function} is not in the configuration (no [[nic]] names it): not used");
            } else {
                log::warn!("NIC {function} has no driver: not used");
            }
            continue;
        };
        taken.push(&nic.name);
        match Uplink::new(frames, machine, function, &nic.name, &uplinks) {
            Ok(uplink) => uplinks.push(uplink),
            Err(error) => {
                function.quiesce();
                log::error!("{}: NIC {function}: {error}", nic.name);
            }
        }
    }
    for nic in system.nics.iter().filter(|nic| !uplinks.iter().any(|uplink| uplink.name == nic.name)) {
        log::error!("{}: no physical NIC found", nic.name);
    }
    uplinks
}

/// True if there is a driver for this NIC.
fn has_driver(function: &PciFunction) -> bool {
    nic::identify(id(function)).is_some()
}

/// The identity by which a driver is chosen.
pub(super) fn id(function: &PciFunction) -> PciId {
    PciId { vendor: function.vendor, device: function.device }
}

/// True if a `[[nic]]` of the configuration matches this NIC.
fn matches(nic: &config::NicConfig, function: &PciFunction) -> bool {
    let at = function.address;
    match nic.matches {
        NicMatch::Any => has_driver(function),
        NicMatch::Address { bus, device, function } => {
            (at.segment(), at.bus(), at.device(), at.function()) == (0, bus, device, function)
        }
        NicMatch::Ids { vendor, device } => (function.vendor, function.device) == (vendor, device),
    }
}
