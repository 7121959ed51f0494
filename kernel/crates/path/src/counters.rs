//! Counters of one port.

use crate::forwarder::DropCause;

/// What happened to the frames of one port since the switch was built.
///
/// For each port, `rx_frames` equals `forwarded` plus the drops on arrival. Over all ports, the sum of `copies`
/// plus `taken_back` equals the sum of `tx_frames`, of the drops on departure, and of the copies still pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PortCounters {
    /// Frames polled from this port.
    pub rx_frames: u64,
    /// Bytes in them.
    pub rx_bytes: u64,
    /// Of these, frames with at least one destination.
    pub forwarded: u64,
    /// Copies made of the forwarded frames: one for each destination.
    pub copies: u64,
    /// Dropped on arrival: shorter than an Ethernet header.
    pub runt: u64,
    /// Dropped on arrival: the source is a group address.
    pub group_source: u64,
    /// Dropped on arrival: the destination is a group address that bridges do not forward [IEEE 802.1Q-2018 8.6.3].
    pub reserved_group: u64,
    /// Dropped on arrival from a guest: MAC control, such as PAUSE, which would stop the link partner of the
    /// physical NIC.
    pub mac_control: u64,
    /// Dropped on arrival from a guest: a protocol between switches, such as a spanning tree's, or a beacon.
    pub bridge_protocol: u64,
    /// Dropped on arrival: the destination is on the port the frame came from.
    pub same_port: u64,
    /// Dropped on arrival from the wire: the destination is known there, and a guest that has sent from it meanwhile
    /// gets it when the wire has not for [`crate::TAKEOVER`].
    pub contested: u64,
    /// Dropped on arrival: no other port may receive the frame.
    pub no_destination: u64,
    /// Copies this port accepted.
    pub tx_frames: u64,
    /// Bytes in them, of one that a NIC cuts as it leaves.
    pub tx_bytes: u64,
    /// Copies that this physical NIC accepted and gave back unsent: they wait for it again.
    pub taken_back: u64,
    /// Copies for this port that were dropped because its link was down.
    pub link_down: u64,
    /// Copies for this port that were dropped because it did not accept them within the hold time, and, if it is a
    /// physical NIC, no others either; or which it gave back unsent, and did not accept again within
    /// [`crate::RESEND_HOLD`].
    pub held_too_long: u64,
    /// Copies for this port that were dropped at once because it had no room: of group frames, and of frames beyond
    /// the few that may wait.
    pub no_room: u64,
    /// Copies for this port that were dropped because the guest that they are from was stopped, or has reset its vNIC,
    /// before there was room for them.
    pub withdrawn: u64,
    /// Frames from this port whose source is the address of another port's vNIC, or, if this is a guest's port, one
    /// that another port has sent from within [`crate::TAKEOVER`]: forwarded, not learned.
    pub source_conflict: u64,
    /// Frames from this port whose source was not learned because its set was full or the port's quota used
    /// up: forwarded.
    pub not_learned: u64,
    /// Addresses that moved to this port from another.
    pub moved: u64,
}

impl PortCounters {
    /// Frames from this port whose source address is not the port's.
    pub(crate) fn refused_sources(&self) -> u64 {
        self.source_conflict + self.not_learned
    }

    /// Frames from this port that were dropped on arrival.
    #[must_use]
    pub fn dropped_on_arrival(&self) -> u64 {
        self.runt
            + self.group_source
            + self.reserved_group
            + self.mac_control
            + self.bridge_protocol
            + self.same_port
            + self.contested
            + self.no_destination
    }

    /// Copies for this port that were dropped.
    #[must_use]
    pub fn dropped_on_departure(&self) -> u64 {
        self.link_down + self.held_too_long + self.no_room + self.withdrawn
    }

    /// Frames from this port and copies for it that were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped_on_arrival() + self.dropped_on_departure()
    }

    /// The same without the frames that no switch would have passed on: those for a station on the side that they came
    /// from, and those that are for the next switch only. At a port to the wire they are what a LAN is full of, and no
    /// sign of trouble.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.dropped() - (self.reserved_group + self.same_port + self.no_destination)
    }

    /// All counters with their names, for the log.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 22] {
        [
            ("rx_frames", self.rx_frames),
            ("rx_bytes", self.rx_bytes),
            ("forwarded", self.forwarded),
            ("copies", self.copies),
            ("runt", self.runt),
            ("group_source", self.group_source),
            ("reserved_group", self.reserved_group),
            ("mac_control", self.mac_control),
            ("bridge_protocol", self.bridge_protocol),
            ("same_port", self.same_port),
            ("contested", self.contested),
            ("no_destination", self.no_destination),
            ("tx_frames", self.tx_frames),
            ("tx_bytes", self.tx_bytes),
            ("taken_back", self.taken_back),
            ("link_down", self.link_down),
            ("held_too_long", self.held_too_long),
            ("no_room", self.no_room),
            ("withdrawn", self.withdrawn),
            ("source_conflict", self.source_conflict),
            ("not_learned", self.not_learned),
            ("moved", self.moved),
        ]
    }

    /// Counts one frame dropped on arrival.
    pub(crate) fn count_drop(&mut self, cause: DropCause) {
        *match cause {
            DropCause::Runt => &mut self.runt,
            DropCause::GroupSource => &mut self.group_source,
            DropCause::ReservedGroup => &mut self.reserved_group,
            DropCause::MacControl => &mut self.mac_control,
            DropCause::BridgeProtocol => &mut self.bridge_protocol,
            DropCause::SamePort => &mut self.same_port,
            DropCause::Contested => &mut self.contested,
            DropCause::NoDestination => &mut self.no_destination,
        } += 1;
    }
}

#[cfg(test)]
mod tests {
    use crate::{PortConfig, PortId, Switch};
    use base::{Instant, MacAddress};
    use testkit::QueuePort;
    use testkit::frame::{mac, numbered};

    #[test]
    fn frames_for_others_on_the_wire_are_not_lost_at_its_port() {
        let mut switch =
            Switch::new(&[PortConfig::uplink(), PortConfig::guest(mac(0))], 1).expect("two ports");
        let [mut wire, mut guest] = <[QueuePort; 2]>::default();
        let neighbours = MacAddress([0x01, 0x80, 0xc2, 0, 0, 0x0e]);
        for (number, destination) in [(0, neighbours), (1, mac(40)), (2, mac(41))] {
            wire.arrive(&numbered(destination, mac(41), number, 60));
        }
        let uplink = PortId::new(0).expect("a port");
        switch.take_from(uplink, &mut [&mut wire, &mut guest], 32, Instant::ZERO);
        let counters = *switch.counters(uplink).expect("it has counters");
        assert_eq!((counters.reserved_group, counters.no_destination, counters.same_port), (1, 1, 1));
        assert_eq!((counters.dropped(), counters.lost()), (3, 0));
        wire.arrive(&[0; 5]);
        switch.take_from(uplink, &mut [&mut wire, &mut guest], 32, Instant::ZERO);
        assert_eq!(switch.counters(uplink).map(super::PortCounters::lost), Some(1), "a runt is trouble");
    }
}
