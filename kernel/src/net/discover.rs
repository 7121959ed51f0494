//! Finding the physical NICs, and starting those that the configuration names.

use super::uplink::Uplink;
use crate::hardware::acpi::MachineInfo;
use crate::hardware::pci::{self, PciFunction};
use crate::memory::PageFrames;
use crate::processor::clock;
use alloc::vec::Vec;
use base::Duration;
use config::{NicChoice, NicTraits};
use nic::PciId;
use nic_manager::TeamMember;

/// How long the boot waits for NICs to start. A real one takes 15 to 150 ms; one that takes longer, since firmware keeps
/// its PHY, is used when it is ready.
const START_TIME: Duration = Duration::from_millis(200);

/// Finds the physical NICs and begins to start those that the configuration names; the others are kept off the bus. Every
/// Ethernet controller is named in the log.
pub fn find_uplinks(
    frames: &mut PageFrames,
    machine: &MachineInfo,
    functions: &[PciFunction],
    system: &config::System,
) -> Vec<Uplink> {
    let mut uplinks: Vec<Uplink> = Vec::new();
    let sought = system.sought_nics();
    let mut choice = NicChoice::new(&sought);
    for function in functions.iter().filter(|f| f.class == pci::CLASS_ETHERNET) {
        let at = function.address;
        let wanted = choice.of(NicTraits {
            place: (at.segment(), at.bus(), at.device(), at.function()),
            ids: (function.vendor, function.device),
            has_driver: has_driver(function),
        });
        let Some(nic) = wanted else {
            function.quiesce();
            if has_driver(function) {
                log::warn!("NIC {function} is not in the configuration (no [[nic]] names it): not used");
            } else {
                log::warn!("NIC {function} has no driver: not used");
            }
            continue;
        };
        let uplink = Uplink::new(frames, machine, (function, functions), &nic.name, &uplinks);
        choice.note(nic, uplink.is_ok());
        match uplink {
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

/// Waits for the NIC that takes longest, for a limited time.
pub fn await_uplinks(uplinks: &mut [Uplink]) {
    nic_manager::await_start(uplinks, START_TIME, clock::now);
    for uplink in uplinks {
        if uplink.is_starting() {
            log::warn!("{}: the NIC is not ready yet: it is used when it is", uplink.name);
        } else {
            uplink.check(clock::now());
        }
    }
}

/// True if there is a driver for this NIC.
fn has_driver(function: &PciFunction) -> bool {
    nic::identify(id(function)).is_some()
}

/// The identity by which a driver is chosen.
pub(super) fn id(function: &PciFunction) -> PciId {
    PciId { vendor: function.vendor, device: function.device }
}
