//! Decides where a frame goes: the forwarding and learning of a bridge [IEEE 802.1Q-2018 8.6 to 8.8], without
//! VLANs and without a spanning tree.

use crate::mac_table::{Learned, MacTable};
use crate::{
    Attachment, CAPACITY, GUEST_QUOTA, MAX_PORTS, PathError, PortConfig, PortCounters, PortId, PortSet,
};
use base::{Instant, MacAddress};

/// Length of an Ethernet header: both addresses and the EtherType.
const HEADER: usize = 14;

/// Why a frame is dropped on arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DropCause {
    /// Shorter than an Ethernet header.
    Runt,
    /// The source is a group address.
    GroupSource,
    /// The destination is one of 01-80-C2-00-00-00 to -0F, which bridges do not forward.
    ReservedGroup,
    /// The destination is on the port the frame came from.
    SamePort,
    /// No other port may receive the frame.
    NoDestination,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Send one copy to each of these ports: at least one, never the ingress port.
    Forward(PortSet),
    /// Drop it and count the cause.
    Drop(DropCause),
}

/// The forwarding rules of a switch and the addresses it has learned.
pub(crate) struct Forwarder {
    all: PortSet,
    uplinks: PortSet,
    /// The configured address of the vNIC at each port.
    own: heapless::Vec<Option<MacAddress>, MAX_PORTS>,
    table: MacTable,
}

impl Forwarder {
    /// The rules for these ports. For `seed` see [`crate::Switch::new`].
    ///
    /// # Errors
    /// See [`PathError`].
    pub(crate) fn new(ports: &[PortConfig], seed: u64) -> Result<Self, PathError> {
        let mut own = heapless::Vec::new();
        let mut uplinks = PortSet::EMPTY;
        for (index, port) in ports.iter().enumerate() {
            let id = PortId::new(index).ok_or(PathError::TooManyPorts(ports.len()))?;
            let mac = match port.attachment {
                Attachment::Guest { mac } if mac.is_multicast() => return Err(PathError::GroupMac(mac)),
                Attachment::Guest { mac } if own.contains(&Some(mac)) => {
                    return Err(PathError::DuplicateMac(mac));
                }
                Attachment::Guest { mac } => Some(mac),
                Attachment::Uplink => {
                    uplinks = uplinks.with(id);
                    None
                }
            };
            own.push(mac).map_err(|_| PathError::TooManyPorts(ports.len()))?;
        }
        Ok(Self { all: PortSet::first(ports.len()), uplinks, own, table: MacTable::new(seed) })
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
        self.learn(source, ingress, counters, now);
        if is_reserved(destination) {
            return Decision::Drop(DropCause::ReservedGroup);
        }
        let known = match destination.is_multicast() {
            true => None,
            false => self.owner(destination).or_else(|| self.table.find(destination, now)),
        };
        let allowed = self.allowed_from(ingress);
        let targets = match known {
            Some(port) if port == ingress => return Decision::Drop(DropCause::SamePort),
            Some(port) if allowed.contains(port) => PortSet::EMPTY.with(port),
            Some(_) => PortSet::EMPTY,
            None => allowed,
        };
        match targets.is_empty() {
            true => Decision::Drop(DropCause::NoDestination),
            false => Decision::Forward(targets),
        }
    }

    /// Checks a few table slots and removes addresses not seen for [`crate::AGEING`]. Cheap: call it often.
    pub(crate) fn age(&mut self, now: Instant) {
        self.table.sweep(now);
    }

    /// The port where `mac` is: its vNIC's port, or the port where it was last seen as a source.
    pub(crate) fn find(&self, mac: MacAddress, now: Instant) -> Option<PortId> {
        self.owner(mac).or_else(|| self.table.find(mac, now))
    }

    /// Learns that `source` is at `ingress`, unless it is the address of a vNIC.
    fn learn(&mut self, source: MacAddress, ingress: PortId, counters: &mut PortCounters, now: Instant) {
        if let Some(owner) = self.owner(source) {
            counters.source_conflict += u64::from(owner != ingress);
            return;
        }
        let quota = if self.uplinks.contains(ingress) { CAPACITY } else { GUEST_QUOTA };
        match self.table.learn(source, ingress, quota, now) {
            Learned::Refreshed | Learned::New => {}
            Learned::Moved => counters.moved += 1,
            Learned::Refused => counters.not_learned += 1,
        }
    }

    /// The port of the vNIC with this address.
    fn owner(&self, mac: MacAddress) -> Option<PortId> {
        self.own.iter().position(|own| *own == Some(mac)).and_then(PortId::new)
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

    fn to<const N: usize>(ports: [usize; N]) -> Decision {
        Decision::Forward(
            ports.iter().fold(PortSet::EMPTY, |set, port| set.with(PortId::new(*port).unwrap())),
        )
    }

    #[test]
    fn unknown_and_group_destinations_are_flooded_to_all_other_ports() {
        let mut bench = Bench::new();
        for destination in [mac(99), MacAddress::BROADCAST, MacAddress([1, 0, 0x5e, 0, 0, 1])] {
            assert_eq!(bench.decide(0, mac(0), destination), to([1, 2, 3]));
        }
    }

    #[test]
    fn frames_never_cross_from_uplink_to_uplink() {
        let mut bench = Bench::new();
        assert_eq!(bench.decide(2, mac(50), MacAddress::BROADCAST), to([0, 1]));
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
        assert_eq!(bench.decide(2, mac(9), group(0x10)), to([0, 1]));
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
