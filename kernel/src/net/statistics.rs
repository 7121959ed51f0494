//! Statistics of the network for the operator.

use crate::meeting::vnic_slot::VnicSlot;
use crate::net::Network;
use crate::net::network::LOCAL;
use nic_manager::{Team, TeamMember};
use path::PortCounters;
use shell::NicRow;

impl Network {
    /// Passes a row for every physical NIC of the configuration to `say`.
    pub fn for_each_nic(&self, mut say: impl FnMut(&NicRow<'_>)) {
        for segment in &self.segments {
            segment.with_traffic(|traffic| {
                let Some(uplink) = traffic.team.as_ref().map(Team::member) else {
                    if segment.name != LOCAL {
                        say(&NicRow::missing(&segment.name));
                    }
                    return;
                };
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
                    drops: driver.dropped()
                        + hardware.dropped()
                        + traffic.counters(0).map_or(0, PortCounters::lost),
                    errors: info.errors,
                });
            });
        }
    }

    /// Every vNIC, in the order of the VMs, with its number in its VM.
    pub fn vnics(&self) -> impl Iterator<Item = (usize, &VnicSlot)> {
        self.vnics.iter().scan((usize::MAX, 0), |(guest, next), slot| {
            (*guest, *next) = if *guest == slot.guest { (*guest, *next + 1) } else { (slot.guest, 0) };
            Some((*next, &**slot))
        })
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
