//! Decides where a frame goes: the forwarding and learning of a bridge [IEEE 802.1Q-2018 8.6 to 8.8], without
//! VLANs and without a spanning tree.

use crate::control_frame;
use crate::mac_table::{Learned, MacTable, number};
use crate::{
    Attachment, CAPACITY, GUEST_QUOTA, MAX_PORTS, PathError, PortConfig, PortCounters, PortId, PortSet,
};
use base::{Instant, MacAddress};

/// Length of an Ethernet header: both addresses and the EtherType.
pub(crate) const HEADER: usize = 14;

/// Why a frame is dropped on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropCause {
    /// Shorter than an Ethernet header.
    Runt,
    /// The source is a group address.
    GroupSource,
    /// The destination is one of 01-80-C2-00-00-00 to -0F, which bridges do not forward.
    ReservedGroup,
    /// A guest sent MAC control.
    MacControl,
    /// A guest sent a protocol between switches.
    BridgeProtocol,
    /// The destination is on the port the frame came from.
    SamePort,
    /// No other port may receive the frame.
    NoDestination,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send one copy to each of these ports: at least one, never the ingress port.
    Forward {
        /// The ports.
        targets: PortSet,
        /// The destination is a group address.
        group: bool,
    },
    /// Drop it and count the cause.
    Drop(DropCause),
}

/// A number that no address has.
const NO_ADDRESS: u64 = u64::MAX;

/// The forwarding rules of a switch and the addresses it has learned.
pub(crate) struct Forwarder {
    all: PortSet,
    uplinks: PortSet,
    /// The configured address of the vNIC at each port, as a number; [`NO_ADDRESS`] at a port without one. There are
    /// so few that comparing them all takes no longer than looking one up in a table.
    own: heapless::Vec<u64, MAX_PORTS>,
    /// The guest of each port, where it may have other ports.
    guests: heapless::Vec<Option<usize>, MAX_PORTS>,
    /// Where the configured address of each port is at present: at the port of its guest that sent from it last.
    places: heapless::Vec<PortId, MAX_PORTS>,
    table: MacTable,
}

impl Forwarder {
    /// The rules for these ports. For `seed` see [`crate::Switch::new`].
    ///
    /// # Errors
    /// See [`PathError`].
    pub(crate) fn new(ports: &[PortConfig], seed: u64) -> Result<Self, PathError> {
        let (mut own, mut guests, mut places) =
            (heapless::Vec::new(), heapless::Vec::new(), heapless::Vec::new());
        let mut uplinks = PortSet::EMPTY;
        for (index, port) in ports.iter().enumerate() {
            let id = PortId::new(index).ok_or(PathError::TooManyPorts(ports.len()))?;
            let (mac, guest) = match port.attachment {
                Attachment::Guest { mac, .. } if mac.is_multicast() => return Err(PathError::GroupMac(mac)),
                Attachment::Guest { mac, .. } if own.contains(&number(mac)) => {
                    return Err(PathError::DuplicateMac(mac));
                }
                Attachment::Guest { mac, guest } => (number(mac), guest),
                Attachment::Uplink => {
                    uplinks = uplinks.with(id);
                    (NO_ADDRESS, None)
                }
            };
            own.push(mac).map_err(|_| PathError::TooManyPorts(ports.len()))?;
            guests.push(guest).map_err(|_| PathError::TooManyPorts(ports.len()))?;
            places.push(id).map_err(|_| PathError::TooManyPorts(ports.len()))?;
        }
        let (all, table) = (PortSet::first(ports.len()), MacTable::new(seed));
        Ok(Self { all, uplinks, own, guests, places, table })
    }

    /// Decides where `frame` from `ingress` goes, and learns its source address. Moved, conflicting and
    /// refused addresses are counted in `counters`, the counters of `ingress`.
    pub(crate) fn decide(
        &mut self,
        frame: &[u8],
        ingress: PortId,
        counters: &mut PortCounters,
        now: Instant,
    ) -> Decision {
        let header = (MacAddress::destination_of(frame), MacAddress::source_of(frame));
        let (Some(destination), Some(source), true) = (header.0, header.1, frame.len() >= HEADER) else {
            return Decision::Drop(DropCause::Runt);
        };
        if source.is_multicast() {
            return Decision::Drop(DropCause::GroupSource);
        }
        let from_wire = self.uplinks.contains(ingress);
        if !from_wire && let Some(cause) = control_frame::cause(frame, destination) {
            return Decision::Drop(cause);
        }
        self.learn(source, ingress, counters, now);
        if is_reserved(destination) {
            return Decision::Drop(DropCause::ReservedGroup);
        }
        let group = destination.is_multicast();
        let allowed = self.allowed_from(ingress);
        let targets = if group {
            allowed
        } else {
            match self.find(destination, now) {
                Some(port) if port == ingress => return Decision::Drop(DropCause::SamePort),
                Some(port) if allowed.contains(port) => PortSet::EMPTY.with(port),
                Some(_) => PortSet::EMPTY,
                // All vNICs are known, and so are the other addresses that guests have sent from. What is left is
                // on the wire, if it is anywhere: no guest gets to see what is meant for another.
                None if from_wire => PortSet::EMPTY,
                None => self.uplinks,
            }
        };
        match targets.is_empty() {
            true => Decision::Drop(DropCause::NoDestination),
            false => Decision::Forward { targets, group },
        }
    }

    /// Checks a few table slots and removes addresses not seen for [`crate::AGEING`]. Cheap: call it often.
    pub(crate) fn age(&mut self, now: Instant) {
        self.table.sweep(now);
    }

    /// The ports of physical NICs.
    pub(crate) fn uplinks(&self) -> PortSet {
        self.uplinks
    }

    /// The port where `mac` is: of a vNIC's address, the port of its guest that sent from it last; else the port
    /// where it was last seen as a source.
    pub(crate) fn find(&self, mac: MacAddress, now: Instant) -> Option<PortId> {
        match self.home(mac) {
            Some(home) => self.places.get(home).copied(),
            None => self.table.find(mac, now),
        }
    }

    /// Learns that `source` is at `ingress`. The address of a vNIC moves only between the ports of its guest: with
    /// bonding, a guest sends from the address of one vNIC through another, whether or not the first has a link.
    fn learn(&mut self, source: MacAddress, ingress: PortId, counters: &mut PortCounters, now: Instant) {
        // Nearly every frame of a guest has the address of the vNIC that it comes from.
        let index = ingress.index();
        if self.own.get(index) == Some(&number(source)) && self.places.get(index) == Some(&ingress) {
            return;
        }
        if let Some(home) = self.home(source) {
            if self.places[home] == ingress {
                return;
            }
            if home == ingress.index() || self.same_guest(home, ingress.index()) {
                self.places[home] = ingress;
                counters.moved += 1;
            } else {
                counters.source_conflict += 1;
            }
            return;
        }
        let from_wire = self.uplinks.contains(ingress);
        // An address of the wire that is not known any more is looked for where it is.
        let (quota, spare) = if from_wire { (CAPACITY, PortSet::EMPTY) } else { (GUEST_QUOTA, self.uplinks) };
        match self.table.learn(source, ingress, quota, spare, now) {
            Learned::Refreshed | Learned::New => {}
            Learned::Moved => counters.moved += 1,
            Learned::Refused => counters.not_learned += 1,
        }
    }

    /// The index of the port for which this address is configured.
    fn home(&self, mac: MacAddress) -> Option<usize> {
        let mac = number(mac);
        self.own.iter().position(|own| *own == mac)
    }

    /// True if two ports belong to the same guest.
    fn same_guest(&self, one: usize, other: usize) -> bool {
        let guest = |port: usize| self.guests.get(port).copied().flatten();
        guest(one).is_some_and(|known| guest(other) == Some(known))
    }

    /// The ports that may receive frames from `ingress`.
    fn allowed_from(&self, ingress: PortId) -> PortSet {
        let others = self.all.without(ingress);
        if self.uplinks.contains(ingress) { others.minus(self.uplinks) } else { others }
    }
}

/// The reserved bridge group addresses [IEEE 802.1Q-2018 table 8-1].
fn is_reserved(mac: MacAddress) -> bool {
    mac.0[..5] == [0x01, 0x80, 0xc2, 0x00, 0x00] && mac.0[5] < 0x10
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::frame::{mac, numbered};

    const NOW: Instant = Instant::ZERO;

    /// Ports 0 and 1 are vNICs with addresses 0 and 1, ports 2 and 3 are uplinks.
    struct Bench {
        forwarder: Forwarder,
        counters: PortCounters,
    }

    impl Bench {
        fn new() -> Self {
            let vnics = [0, 1].map(|number| PortConfig::guest(mac(number)));
            let ports = [vnics[0], vnics[1], PortConfig::uplink(), PortConfig::uplink()];
            Self { forwarder: Forwarder::new(&ports, 1).unwrap(), counters: PortCounters::default() }
        }

        fn decide(&mut self, ingress: usize, source: MacAddress, destination: MacAddress) -> Decision {
            let frame = numbered(destination, source, 0, 60);
            self.forwarder.decide(&frame, PortId::new(ingress).unwrap(), &mut self.counters, NOW)
        }
    }

    fn forward<const N: usize>(ports: [usize; N], group: bool) -> Decision {
        let targets = ports.iter().fold(PortSet::EMPTY, |set, port| set.with(PortId::new(*port).unwrap()));
        Decision::Forward { targets, group }
    }

    fn to<const N: usize>(ports: [usize; N]) -> Decision {
        forward(ports, false)
    }

    fn to_all<const N: usize>(ports: [usize; N]) -> Decision {
        forward(ports, true)
    }

    #[test]
    fn group_destinations_are_flooded_to_all_other_ports() {
        let mut bench = Bench::new();
        for destination in [MacAddress::BROADCAST, MacAddress([1, 0, 0x5e, 0, 0, 1])] {
            assert_eq!(bench.decide(0, mac(0), destination), to_all([1, 2, 3]));
        }
    }

    #[test]
    fn unknown_destinations_are_on_the_wire_and_no_guest_sees_their_frames() {
        let mut bench = Bench::new();
        assert_eq!(bench.decide(0, mac(0), mac(99)), to([2, 3]));
        assert_eq!(bench.decide(2, mac(50), mac(99)), Decision::Drop(DropCause::NoDestination));
    }

    #[test]
    fn further_addresses_of_a_guest_are_reached_once_it_has_sent_from_them() {
        let mut bench = Bench::new();
        assert_eq!(bench.decide(0, mac(20), MacAddress::BROADCAST), to_all([1, 2, 3]));
        assert_eq!(bench.decide(2, mac(50), mac(20)), to([0]));
        assert_eq!(bench.decide(1, mac(1), mac(20)), to([0]));
    }

    #[test]
    fn an_address_moves_between_the_ports_of_its_guest_and_to_no_other_guest() {
        let ports = [
            PortConfig::guest_numbered(mac(0), 7),
            PortConfig::guest_numbered(mac(1), 7),
            PortConfig::guest_numbered(mac(2), 8),
            PortConfig::uplink(),
        ];
        let mut bench =
            Bench { forwarder: Forwarder::new(&ports, 1).unwrap(), counters: PortCounters::default() };
        // Bonding: the second vNIC sends from the address of the first one, and later the first one again.
        assert_eq!(bench.decide(1, mac(0), MacAddress::BROADCAST), to_all([0, 2, 3]));
        assert_eq!(bench.decide(3, mac(50), mac(0)), to([1]));
        for thief in [2, 3] {
            bench.decide(thief, mac(0), MacAddress::BROADCAST);
        }
        assert_eq!((bench.counters.source_conflict, bench.counters.moved), (2, 1));
        assert_eq!(bench.decide(3, mac(50), mac(0)), to([1]));
        assert_eq!(bench.decide(3, mac(50), mac(1)), to([1]));
        bench.decide(0, mac(0), MacAddress::BROADCAST);
        assert_eq!(bench.decide(3, mac(50), mac(0)), to([0]));
        assert_eq!(bench.counters.moved, 2);
    }

    #[test]
    fn control_frames_pass_from_the_wire_only() {
        let mut bench = Bench::new();
        let pause = [&mac(50).0[..], &mac(0).0, &[0x88, 0x08, 0, 1, 0xff, 0xff], &[0; 42]].concat();
        let mut decide =
            |ingress| bench.forwarder.decide(&pause, PortId::new(ingress).unwrap(), &mut bench.counters, NOW);
        assert_eq!(decide(0), Decision::Drop(DropCause::MacControl));
        assert_eq!(decide(2), Decision::Drop(DropCause::NoDestination));
    }

    #[test]
    fn frames_never_cross_from_uplink_to_uplink() {
        let mut bench = Bench::new();
        assert_eq!(bench.decide(2, mac(50), MacAddress::BROADCAST), to_all([0, 1]));
        assert_eq!(bench.decide(3, mac(51), mac(50)), Decision::Drop(DropCause::NoDestination));
    }

    #[test]
    fn frames_to_a_learned_address_go_to_its_port_only_and_follow_it() {
        let mut bench = Bench::new();
        bench.decide(2, mac(50), mac(0));
        assert_eq!(bench.decide(0, mac(0), mac(50)), to([2]));
        bench.decide(3, mac(50), mac(0));
        assert_eq!(bench.decide(0, mac(0), mac(50)), to([3]));
        assert_eq!(bench.counters.moved, 1);
    }

    #[test]
    fn a_vnics_address_cannot_be_taken_by_sending_from_it() {
        let mut bench = Bench::new();
        for thief in [0, 2] {
            bench.decide(thief, mac(1), MacAddress::BROADCAST);
        }
        assert_eq!(bench.counters.source_conflict, 2);
        assert_eq!(bench.decide(2, mac(50), mac(1)), to([1]));
    }

    #[test]
    fn frames_for_the_port_they_came_from_are_dropped() {
        let mut bench = Bench::new();
        bench.decide(2, mac(50), mac(0));
        for (ingress, source, destination) in [(2, mac(51), mac(50)), (0, mac(0), mac(0))] {
            assert_eq!(bench.decide(ingress, source, destination), Decision::Drop(DropCause::SamePort));
        }
    }

    #[test]
    fn reserved_groups_and_group_sources_are_dropped() {
        let mut bench = Bench::new();
        let group = |last| MacAddress([0x01, 0x80, 0xc2, 0, 0, last]);
        for last in [0, 1, 0x0e, 0x0f] {
            assert_eq!(bench.decide(2, mac(9), group(last)), Decision::Drop(DropCause::ReservedGroup));
        }
        assert_eq!(bench.decide(2, mac(9), group(0x10)), to_all([0, 1]));
        assert_eq!(bench.decide(2, group(0x10), mac(0)), Decision::Drop(DropCause::GroupSource));
    }

    #[test]
    fn short_frames_are_dropped() {
        let mut bench = Bench::new();
        let frame = numbered(mac(1), mac(0), 0, 60);
        let port = PortId::new(0).unwrap();
        for length in 0..14 {
            let decision = bench.forwarder.decide(&frame[..length], port, &mut bench.counters, NOW);
            assert_eq!(decision, Decision::Drop(DropCause::Runt), "{length}");
        }
        assert_eq!(bench.forwarder.decide(&frame[..14], port, &mut bench.counters, NOW), to([1]));
    }

    #[test]
    fn a_lone_port_has_no_destination() {
        let mut forwarder = Forwarder::new(&[PortConfig::uplink()], 1).unwrap();
        let frame = numbered(mac(1), mac(0), 0, 60);
        let decision = forwarder.decide(&frame, PortId::new(0).unwrap(), &mut PortCounters::default(), NOW);
        assert_eq!(decision, Decision::Drop(DropCause::NoDestination));
    }

    #[test]
    fn invalid_port_lists_are_refused() {
        let guest = PortConfig::guest(mac(1));
        let group = MacAddress::BROADCAST;
        let error = |ports: &[PortConfig]| Forwarder::new(ports, 0).err();
        assert_eq!(error(&[guest, guest]), Some(PathError::DuplicateMac(mac(1))));
        assert_eq!(error(&[PortConfig::guest(group)]), Some(PathError::GroupMac(group)));
        assert_eq!(error(&[PortConfig::uplink(); 17]), Some(PathError::TooManyPorts(17)));
        assert_eq!(error(&[PortConfig::uplink(); 16]), None);
    }
}
