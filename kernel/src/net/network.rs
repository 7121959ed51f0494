//! All switches and physical NICs.

use super::segment::LanSegment;
use super::uplink::Uplink;
use crate::meeting::vnic_slot::VnicSlot;
use crate::processor::{clock, cores};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::{Duration, Instant};
use core::sync::atomic::{AtomicU64, Ordering};
use path::{PathError, PortConfig, PortId};
use spin::Once;

/// Name of the switch of vNICs without an uplink.
pub(super) const LOCAL: &str = "local";

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
    /// Until when the guests of the boot core come first, in nanoseconds.
    rest_until: AtomicU64,
}

impl Network {
    /// Connects the guests' vNICs and these physical NICs. A physical NIC that is missing has no link, as one that does
    /// not work: the vNICs that keep theirs reach each other, as on a switch without a cable to the wire.
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
                let link = if vnic.follow_link(false, clock::now()) { "down" } else { "up" };
                log::warn!(
                    "{guest}: vNIC {mac} has no way to the wire: there is no physical NIC for {uplink}; its link is {link}"
                );
            }
            let named = wanted.and_then(|uplink| names.iter().position(|name| name == uplink));
            let segment = named.unwrap_or(names.len() - 1);
            // The port of the physical NIC is the first one of its switch.
            let port = members[segment].len() + usize::from(segment < uplinks.len());
            vnic.plug_into(segment, port);
            members[segment].push(vnic.clone());
        }
        let all: Vec<_> = vnics.iter().map(|vnic| PortConfig::guest_numbered(vnic.mac, vnic.guest)).collect();
        let uplinks = uplinks.into_iter().map(Some).chain(core::iter::repeat_with(|| None));
        let segments = names
            .into_iter()
            .zip(uplinks)
            .zip(members)
            .map(|((name, uplink), members)| LanSegment::new(name, uplink, members, &all))
            .collect::<Result<_, _>>()?;
        Ok(Self { segments, vnics, rest_until: AtomicU64::new(0) })
    }

    /// Does a piece of the work that a guest of this core has given with its vNIC. False if another core is at the
    /// switch: the work stays noted.
    pub fn work(&self, vnic: &VnicSlot) -> bool {
        let (segment, port) = vnic.place();
        let segment = self.segments.get(segment).zip(PortId::new(port));
        segment.is_none_or(|(segment, port)| segment.work(vnic, port))
    }

    /// On the boot core: serves those switches whose physical NIC has interrupted or whose deadline has come.
    /// Returns how long that took: nobody is charged for it. While guests of this core have something to execute,
    /// they get at least as much time as the wire.
    pub fn serve(&self, guests_wait: bool, now: Instant) -> Duration {
        if cores::current() != cores::BOOT_CORE {
            return Duration::ZERO;
        }
        self.segments.iter().for_each(|segment| segment.take_interrupt(&self.segments));
        if guests_wait && now.as_nanos() < self.rest_until.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let (mut served, mut more) = (false, false);
        for segment in self.segments.iter().filter(|segment| segment.wants_service(now)) {
            more |= segment.serve();
            served = true;
        }
        if !served {
            return Duration::ZERO;
        }
        let end = clock::now();
        let spent = end - now;
        self.rest_until.store(if more { (end + spent).as_nanos() } else { 0 }, Ordering::Relaxed);
        spent
    }

    /// When [`serve`](Self::serve) must run at the latest.
    pub fn next_deadline(&self, guests_wait: bool, now: Instant) -> Option<Instant> {
        if cores::current() != cores::BOOT_CORE {
            return None;
        }
        let rest = Instant(self.rest_until.load(Ordering::Relaxed));
        let due = self.segments.iter().filter_map(|segment| segment.next_deadline(now)).min()?;
        Some(if guests_wait { due.max(rest) } else { due })
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
