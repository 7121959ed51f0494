//! Statistics of the network for the operator.

use crate::meeting::vnic_slot::VnicSlot;
use crate::net::Network;
use crate::net::network::LOCAL;
use nic_manager::{Team, TeamMember};
use path::PortCounters;
use shell::NicRow;

impl Network {
    /// Passes a row for every physical NIC, and for every team that has none, to `say`. What the switch has dropped for want of a
    /// NIC stands in the row of the first.
    pub fn for_each_nic(&self, mut say: impl FnMut(&NicRow<'_>)) {
        for segment in &self.segments {
            segment.with_traffic(|traffic| {
                if traffic.team.is_none() && segment.name != LOCAL {
                    say(&NicRow::missing(&segment.name));
                }
                let mut lost = traffic.counters(0).map_or(0, PortCounters::lost);
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
                    });
                }
            });
        }
    }

    /// Every vNIC, in the order of the VMs.
    pub fn vnics(&self) -> impl Iterator<Item = &VnicSlot> {
        self.vnics.iter().map(|slot| &**slot)
    }

    /// Passes the counters of a vNIC's switch port to `look`.
    pub fn with_port_counters(&self, vnic: &VnicSlot, look: impl FnMut(&PortCounters)) {
        let (segment, port) = vnic.place();
        let Some(segment) = self.segments.get(segment) else { return };
        segment.with_traffic(|traffic| traffic.counters(port).into_iter().for_each(look));
    }

    /// Frames that the switch has dropped at a vNIC's port, on arrival and on departure.
    pub fn dropped_at(&self, vnic: &VnicSlot) -> u64 {
        let mut count = 0;
        self.with_port_counters(vnic, |counters| count = counters.dropped());
        count
    }
}
