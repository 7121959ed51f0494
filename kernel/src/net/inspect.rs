//! What the operator may want to know of the network.

use super::{Network, Segment};
use path::{Counters, PortId};
use shell::NicRow;

impl Network {
    /// A row for every physical NIC that carries frames.
    pub fn for_each_nic(&self, mut say: impl FnMut(&NicRow<'_>)) {
        for (index, uplink) in self.uplinks.iter().enumerate() {
            let segment = self.segments.iter().find(|segment| segment.uplink == Some(index));
            let port = segment.and_then(|segment| counters(segment, 0));
            let (driver, card, link) = (uplink.nic.counters(), uplink.nic.statistics(), uplink.nic.link());
            say(&NicRow {
                name: &uplink.name,
                address: &uplink.address,
                driver: uplink.nic.driver(),
                mac: &uplink.nic.mac(),
                speed: link.up.then(|| link.speed.megabits()),
                transmitted: driver.tx_queued,
                received: driver.rx_frames,
                drops: driver.dropped() + port.map_or(0, dropped),
                errors: card.errors() + driver.transmit_hangs,
            });
        }
    }

    /// What the switch has counted at the port of a guest's vNIC.
    pub fn port_counters(&self, guest: usize, vnic: usize) -> Option<&Counters> {
        self.segments.iter().find_map(|segment| {
            let member = segment.members.iter().position(|&member| member == (guest, vnic))?;
            counters(segment, member + usize::from(segment.uplink.is_some()))
        })
    }

    /// Frames that the switch has dropped at the port of a guest's vNIC, on arrival and on departure.
    pub fn dropped_at(&self, guest: usize, vnic: usize) -> u64 {
        self.port_counters(guest, vnic).map_or(0, dropped)
    }
}

fn counters(segment: &Segment, port: usize) -> Option<&Counters> {
    segment.path.as_ref()?.counters(PortId::new(port)?)
}

fn dropped(counters: &Counters) -> u64 {
    counters.dropped_on_arrival() + counters.dropped_on_departure()
}
