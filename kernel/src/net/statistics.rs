//! Statistics of the network for the operator.

use crate::meeting::directory;
use crate::meeting::vnic_slot::VnicSlot;
use crate::net::Network;
use crate::net::network::LOCAL;
use nic_manager::{Team, TeamMember, TeamNames};
use path::PortCounters;
use shell::{NicRow, VnicRow};

impl Network {
    /// Passes a row for every physical NIC to `say`, and for every one that the machine lacks; a team of all NICs that has none
    /// may not name any. What the switch has dropped for want of a NIC stands in the row of the first.
    pub fn for_each_nic(&self, mut say: impl FnMut(&NicRow<'_>)) {
        for segment in &self.segments {
            segment.with_traffic(|traffic| {
                if traffic.team.is_none() && segment.missing.is_empty() && segment.name != LOCAL {
                    say(&NicRow::missing(&segment.name));
                }
                let mut lost = traffic.lost();
                for uplink in traffic.team.iter().flat_map(Team::members) {
                    let (driver, hardware, info) =
                        (uplink.nic.queue_counters(), uplink.nic.statistics(), uplink.info());
                    say(&NicRow {
                        name: &uplink.name,
                        address: &uplink.address,
                        driver: uplink.nic.driver(),
                        mac: &uplink.nic.mac(),
                        state: &info.condition,
                        speed: info.link.up.then(|| info.link.speed.megabits()),
                        transmitted: driver.tx_queued,
                        received: driver.rx_frames,
                        drops: driver.dropped() + hardware.dropped() + core::mem::take(&mut lost),
                        errors: info.errors,
                        rates: info.rates,
                    });
                }
                segment.missing.iter().for_each(|(nic, _)| say(&NicRow::missing(nic)));
            });
        }
    }

    /// Passes a row for every vNIC, in the order of the VMs, to `say`.
    pub fn for_each_vnic(&self, mut say: impl FnMut(&VnicRow<'_>)) {
        for slot in &self.vnics {
            let ((segment, port), link) = (slot.place(), slot.has_link());
            let Some((vm, segment)) = directory::summary(slot.guest).zip(self.segments.get(segment)) else {
                continue;
            };
            let (drops, known) = segment.with_traffic(|traffic| {
                let at = segment.vnic_at(port).zip(traffic.team.as_ref());
                let known = at.and_then(|(vnic, team)| team.manager().vnics().nth(vnic.0.into()));
                let known = known.map(|known| (known.carrier, known.info.priority));
                (traffic.counters(port).map_or(0, PortCounters::dropped), known)
            });
            let engine = slot.engine();
            let counters = engine.counters();
            say(&VnicRow {
                vm: vm.name,
                number: slot.number(),
                mac: &slot.mac,
                uplink: slot.uplink.as_deref(),
                carrier: known.and_then(|(carrier, _)| carrier).map(|member| segment.nic(member)),
                link,
                transmitted: counters.transmitted,
                received: counters.received,
                bytes: [counters.transmitted_bytes, counters.received_bytes],
                drops: counters.dropped() + drops,
                priority: known.map(|(_, priority)| priority),
            });
        }
    }

    /// Every vNIC of a VM.
    pub fn vnics_of(&self, vm: usize) -> impl Iterator<Item = &VnicSlot> {
        self.vnics.iter().map(|slot| &**slot).filter(move |slot| slot.guest == vm)
    }

    /// Passes the counters of a vNIC's switch port to `look`.
    pub fn with_port_counters(&self, vnic: &VnicSlot, look: impl FnMut(&PortCounters)) {
        let (segment, port) = vnic.place();
        let Some(segment) = self.segments.get(segment) else { return };
        segment.with_traffic(|traffic| traffic.counters(port).into_iter().for_each(look));
    }
}
