//! The way between vNICs and physical NICs: one switch for each physical NIC, with the vNICs that name it
//! as their uplink, and one for those that name none.
//!
//! Guests of all cores use it, and no core waits for another: a switch is served by the core that finds it free,
//! and one that finds it busy leaves a note, which the core that serves it looks at before it goes. What has to be
//! done at a time, and what physical NICs ask for, is the boot core's.

mod inspect;
mod interrupt;
mod segment;
mod uplink;

use crate::hardware::acpi::Machine;
use crate::hardware::cores;
use crate::hardware::pci::{self, Function};
use crate::memory::Frames;
use crate::vm::vnic_slot::VnicSlot;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::Instant;
use path::PathError;
use segment::Segment;
use uplink::Uplink;

/// Why the network cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A vNIC names an uplink that no physical NIC matches.
    #[error("vNIC {mac} of guest {guest} names the uplink {uplink}, and no physical NIC was found for it")]
    NoUplink {
        /// Which guest.
        guest: alloc::string::String,
        /// Which vNIC.
        mac: base::MacAddress,
        /// What it names.
        uplink: alloc::string::String,
    },
    /// A switch cannot be made.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// All switches and physical NICs.
pub struct Network {
    /// Those with a physical NIC first, in their order; the last has none.
    segments: Vec<Segment>,
    /// All vNICs, in the order of their guests.
    vnics: Vec<Arc<VnicSlot>>,
}

/// Finds the physical NICs and brings up those that the configuration names; the others are kept off the bus.
/// Every Ethernet controller is named in the log.
pub fn find_uplinks(
    frames: &mut Frames,
    machine: &Machine,
    functions: &[Function],
    system: &config::System,
) -> Vec<Uplink> {
    let mut uplinks: Vec<Uplink> = Vec::new();
    let mut taken: Vec<&str> = Vec::new();
    for function in functions.iter().filter(|f| f.class == pci::CLASS_ETHERNET) {
        let wanted = system
            .nics
            .iter()
            .find(|nic| !taken.contains(&nic.name.as_str()) && uplink::matches(nic, function));
        let Some(nic) = wanted else {
            function.quiesce();
            if uplink::has_driver(function) {
                log::warn!("NIC {function} is named by no [[nic]] of the configuration: not used");
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
        log::error!("{}: no physical NIC for it", nic.name);
    }
    uplinks
}

impl Network {
    /// A network of these physical NICs, with the guests' vNICs plugged in.
    ///
    /// # Errors
    /// [`NetworkError`].
    pub fn new(
        uplinks: Vec<Uplink>,
        vnics: Vec<Arc<VnicSlot>>,
        system: &config::System,
    ) -> Result<Self, NetworkError> {
        let mut members: Vec<Vec<Arc<VnicSlot>>> = (0..=uplinks.len()).map(|_| Vec::new()).collect();
        for vnic in &vnics {
            let segment = match &vnic.uplink {
                None => uplinks.len(),
                Some(name) => {
                    let found = uplinks.iter().position(|uplink| uplink.name == *name);
                    found.ok_or_else(|| NetworkError::NoUplink {
                        guest: system.vms[vnic.guest].name.clone(),
                        mac: vnic.mac,
                        uplink: name.clone(),
                    })?
                }
            };
            vnic.plug_into(segment);
            members[segment].push(vnic.clone());
        }
        let uplinks = uplinks.into_iter().map(Some).chain([None]);
        let segments = uplinks
            .zip(members)
            .map(|(uplink, members)| Segment::new(uplink, members))
            .collect::<Result<_, _>>()?;
        Ok(Self { segments, vnics })
    }

    /// Moves frames through the switches of `kicks`, a bit each, for which guests of this core have something; and,
    /// on the boot core, through those for which it is time.
    pub fn service(&self, kicks: u32, now: Instant) {
        let home = cores::current() == cores::BOOT_CORE;
        if home {
            self.segments.iter().for_each(|segment| segment.take_interrupt(&self.segments));
        }
        for (index, segment) in self.segments.iter().enumerate() {
            if kicks >> index & 1 != 0 {
                segment.kick();
            }
            if kicks >> index & 1 != 0 || home && segment.wants_service(now) {
                segment.serve();
            }
        }
    }

    /// When [`service`](Self::service) must run at the latest on this core, without kicks.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if cores::current() != cores::BOOT_CORE {
            return None;
        }
        self.segments.iter().filter_map(|segment| segment.next_deadline(now)).min()
    }

    /// Says what every port has carried and dropped.
    pub fn log_statistics(&self) {
        self.segments.iter().for_each(Segment::log_uplink);
        self.segments.iter().for_each(Segment::log_ports);
    }
}
