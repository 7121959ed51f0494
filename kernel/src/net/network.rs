//! All switches and physical NICs.

use super::segment::LanSegment;
use super::uplink::Uplink;
use crate::meeting::vnic_slot::VnicSlot;
use crate::processor::cores;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::Instant;
use path::PathError;
use spin::Once;

/// Name of the switch of vNICs without an uplink.
const LOCAL: &str = "local";

static NETWORK: Once<&'static Network> = Once::new();

/// Stops the physical NICs, at the end of Weir, whatever its reason: no guest runs any more. Waits for nothing.
pub fn stop_nics() {
    NETWORK.get().into_iter().flat_map(|network| &network.segments).for_each(LanSegment::stop_uplink);
}

/// All switches and physical NICs.
pub struct Network {
    /// Those with a physical NIC first, in the order of the NICs; then those whose physical NIC is missing; the last is
    /// for vNICs without an uplink.
    pub(super) segments: Vec<LanSegment>,
    /// All vNICs, in the order of their guests.
    pub(super) vnics: Vec<Arc<VnicSlot>>,
}

impl Network {
    /// Connects the guests' vNICs and these physical NICs. vNICs whose physical NIC is missing or does not work reach
    /// each other, as on a switch without a cable to the wire.
    ///
    /// # Errors
    /// [`PathError`], for vNICs that no checked configuration has.
    pub fn new(
        uplinks: Vec<Uplink>,
        vnics: Vec<Arc<VnicSlot>>,
        system: &config::System,
    ) -> Result<Self, PathError> {
        let present = |name: &str| uplinks.iter().any(|uplink| uplink.name == name);
        let missing: Vec<&str> =
            system.nics.iter().map(|nic| &*nic.name).filter(|name| !present(name)).collect();
        let names = uplinks.iter().map(|uplink| &*uplink.name).chain(missing.iter().copied());
        let names: Vec<String> = names.chain([LOCAL]).map(String::from).collect();
        let mut members: Vec<Vec<Arc<VnicSlot>>> = names.iter().map(|_| Vec::new()).collect();
        for vnic in &vnics {
            let wanted = vnic.uplink.as_deref();
            if let Some(uplink) = wanted.filter(|uplink| missing.contains(uplink)) {
                let (guest, mac) = (&system.vms[vnic.guest].name, vnic.mac);
                log::warn!(
                    "{guest}: vNIC {mac} has no way to the wire: there is no physical NIC for {uplink}"
                );
            }
            let named = wanted.and_then(|uplink| names.iter().position(|name| name == uplink));
            let segment = named.unwrap_or(names.len() - 1);
            vnic.plug_into(segment);
            members[segment].push(vnic.clone());
        }
        let uplinks = uplinks.into_iter().map(Some).chain(core::iter::repeat_with(|| None));
        let segments = names
            .into_iter()
            .zip(uplinks)
            .zip(members)
            .map(|((name, uplink), members)| LanSegment::new(name, uplink, members))
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

    /// Notes that this network is the machine's.
    pub fn note(&'static self) {
        NETWORK.call_once(|| self);
    }

    /// Logs what every port has carried and dropped.
    pub fn log_statistics(&self) {
        self.segments.iter().for_each(LanSegment::log_uplink);
        self.segments.iter().for_each(LanSegment::log_ports);
    }
}
