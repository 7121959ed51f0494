//! All switches and physical NICs.

use super::segment::LanSegment;
use super::uplink::Uplink;
use crate::meeting::vnic_slot::VnicSlot;
use crate::processor::cores;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::{Instant, MacAddress};
use path::PathError;

/// Why the network cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// A vNIC names an uplink that no physical NIC matches.
    #[error("vNIC {mac} of guest {guest} names the uplink {uplink}, and no physical NIC was found for it")]
    NoUplink {
        /// Which guest.
        guest: String,
        /// Which vNIC.
        mac: MacAddress,
        /// What it names.
        uplink: String,
    },
    /// A switch cannot be made.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// All switches and physical NICs.
pub struct Network {
    /// Those with a physical NIC first, in the order of the NICs; the last has none.
    pub(super) segments: Vec<LanSegment>,
    /// All vNICs, in the order of their guests.
    pub(super) vnics: Vec<Arc<VnicSlot>>,
}

impl Network {
    /// Connects the guests' vNICs and these physical NICs.
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
            .map(|(uplink, members)| LanSegment::new(uplink, members))
            .collect::<Result<_, _>>()?;
        Ok(Self { segments, vnics })
    }

    /// Moves frames through the switches that guests of this core have work for (`kicks`, one bit each), and, on
    /// the boot core, through those whose deadline has come. Returns false if there was nothing to do.
    pub fn service(&self, kicks: u32, now: Instant) -> bool {
        let home = cores::current() == cores::BOOT_CORE;
        if home {
            self.segments.iter().for_each(|segment| segment.take_interrupt(&self.segments));
        }
        let mut served = false;
        for (index, segment) in self.segments.iter().enumerate() {
            if kicks >> index & 1 != 0 {
                segment.kick();
            }
            if kicks >> index & 1 != 0 || home && segment.wants_service(now) {
                segment.serve();
                served = true;
            }
        }
        served
    }

    /// When [`service`](Self::service) must run at the latest on this core, without kicks.
    pub fn next_deadline(&self, now: Instant) -> Option<Instant> {
        if cores::current() != cores::BOOT_CORE {
            return None;
        }
        self.segments.iter().filter_map(|segment| segment.next_deadline(now)).min()
    }

    /// Logs what every port has carried and dropped.
    pub fn log_statistics(&self) {
        self.segments.iter().for_each(LanSegment::log_uplink);
        self.segments.iter().for_each(LanSegment::log_ports);
    }
}
