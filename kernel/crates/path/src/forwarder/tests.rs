use super::*;
use crate::TAKEOVER;
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::frame::{mac, numbered};

const NOW: Instant = Instant::ZERO;

/// Ports 0 and 1 are vNICs with addresses 0 and 1, ports 2 and 3 are uplinks.
struct Bench {
    forwarder: Forwarder,
    counters: PortCounters,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let vnics = [0, 1].map(|number| PortConfig::guest(mac(number)));
        Self::with(&[vnics[0], vnics[1], PortConfig::uplink(), PortConfig::uplink()])
    }

    fn with(ports: &[PortConfig]) -> Self {
        Self::beside(ports, &[])
    }

    /// On a machine with these vNICs.
    fn beside(ports: &[PortConfig], vnics: &[PortConfig]) -> Self {
        let forwarder = Forwarder::new(ports, vnics, 1).unwrap();
        Self { forwarder, counters: PortCounters::default(), now: NOW }
    }

    fn decide(&mut self, ingress: usize, source: MacAddress, destination: MacAddress) -> Decision {
        let frame = numbered(destination, source, 0, 60);
        self.forwarder.decide(&frame, PortId::new(ingress).unwrap(), &mut self.counters, self.now)
    }
}

fn forward<const N: usize>(ports: [usize; N], group: bool) -> Decision {
    let targets = ports.iter().fold(PortSet::EMPTY, |set, port| set.with(PortId::new(*port).unwrap()));
    Decision::Forward { targets, copies: targets.len(), group }
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
    let mut bench = Bench::with(&[
        PortConfig::guest_numbered(mac(0), 7),
        PortConfig::guest_numbered(mac(1), 7),
        PortConfig::guest_numbered(mac(2), 8),
        PortConfig::uplink(),
    ]);
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
fn f36_the_address_of_a_guest_that_is_off_may_be_on_the_wire_until_it_is_on_again() {
    let mut bench = Bench::new();
    let port = PortId::new(0).unwrap();
    bench.decide(2, mac(0), MacAddress::BROADCAST);
    assert_eq!(bench.decide(1, mac(1), mac(0)), to([0]), "it is on here");
    bench.forwarder.set_present(port, false);
    assert_eq!(bench.decide(1, mac(1), mac(0)), to([0]), "nobody has sent from its address");
    bench.decide(2, mac(0), MacAddress::BROADCAST);
    assert_eq!(bench.decide(1, mac(1), mac(0)), to([2]), "another host runs it");
    bench.forwarder.set_present(port, true);
    assert_eq!(bench.decide(1, mac(1), mac(0)), to([0]));
    assert_eq!((bench.counters.source_conflict, bench.counters.moved), (1, 1));
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
fn an_address_of_the_wire_cannot_be_taken_by_sending_from_it() {
    let mut bench = Bench::new();
    bench.decide(2, mac(50), mac(0));
    assert_eq!(bench.decide(0, mac(50), MacAddress::BROADCAST), to_all([1, 2, 3]));
    assert_eq!(bench.decide(1, mac(1), mac(50)), to([2]));
    assert_eq!((bench.counters.source_conflict, bench.counters.moved), (1, 0));
    // Nor from others on the wire, which may send to Weir by mistake then. What they lose is counted.
    assert_eq!(bench.decide(2, mac(51), mac(50)), Decision::Drop(DropCause::Contested));
    bench.decide(2, mac(50), mac(0));
    assert_eq!(bench.decide(2, mac(51), mac(50)), Decision::Drop(DropCause::SamePort));
    // Virtual addresses move to a guest when their owner is silent, and the wire takes them back at once.
    bench.now = NOW + TAKEOVER;
    bench.decide(0, mac(50), MacAddress::BROADCAST);
    assert_eq!(bench.decide(1, mac(1), mac(50)), to([0]));
    assert_eq!(bench.decide(2, mac(51), mac(50)), to([0]));
    bench.decide(2, mac(50), MacAddress::BROADCAST);
    assert_eq!(bench.decide(1, mac(1), mac(50)), to([2]));
    assert_eq!((bench.counters.source_conflict, bench.counters.moved), (1, 2));
}

#[test]
fn a_further_address_moves_between_the_ports_of_its_guest_at_once_and_to_another_guest_later() {
    let mut bench = Bench::with(&[
        PortConfig::guest_numbered(mac(0), 7),
        PortConfig::guest_numbered(mac(1), 7),
        PortConfig::guest_numbered(mac(2), 8),
        PortConfig::uplink(),
    ]);
    for (ingress, place) in [(0, 0), (1, 1), (2, 1), (0, 0), (2, 0)] {
        bench.decide(ingress, mac(20), MacAddress::BROADCAST);
        assert_eq!(bench.decide(3, mac(50), mac(20)), to([place]), "sent from {ingress}");
    }
    assert_eq!((bench.counters.source_conflict, bench.counters.moved), (2, 2));
    bench.now = NOW + TAKEOVER;
    bench.decide(2, mac(20), MacAddress::BROADCAST);
    assert_eq!(bench.decide(3, mac(50), mac(20)), to([2]));
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
    let mut forwarder = Forwarder::new(&[PortConfig::uplink()], &[], 1).unwrap();
    let frame = numbered(mac(1), mac(0), 0, 60);
    let decision = forwarder.decide(&frame, PortId::new(0).unwrap(), &mut PortCounters::default(), NOW);
    assert_eq!(decision, Decision::Drop(DropCause::NoDestination));
}

#[test]
fn invalid_port_lists_are_refused() {
    let guest = PortConfig::guest(mac(1));
    let group = MacAddress::BROADCAST;
    let error = |ports: &[PortConfig]| Forwarder::new(ports, &[], 0).err();
    assert_eq!(error(&[guest, guest]), Some(PathError::DuplicateMac(mac(1))));
    assert_eq!(error(&[PortConfig::guest(group)]), Some(PathError::GroupMac(group)));
    assert_eq!(error(&[PortConfig::uplink(); 17]), Some(PathError::TooManyPorts(17)));
    assert_eq!(error(&[PortConfig::uplink(); 16]), None);
}

/// The switch of a second NIC: the wire, a vNIC of guest 7 with address 1, and one of guest 8 with address 9. Guest 7's
/// other vNIC, with address 0, is at the first NIC, and so is guest 8's, with address 8.
fn second_switch() -> Bench {
    let ports =
        [PortConfig::uplink(), PortConfig::guest_numbered(mac(1), 7), PortConfig::guest_numbered(mac(9), 8)];
    let others = [PortConfig::guest_numbered(mac(0), 7), PortConfig::guest_numbered(mac(8), 8)];
    Bench::beside(&ports, &[others[0], ports[1], others[1], ports[2]])
}

#[test]
fn a_bond_reaches_the_wire_by_its_other_nic_at_once_and_back() {
    let mut bench = second_switch();
    // While the first NIC is in use, the guest's broadcasts come from the wire here if both are on one LAN.
    bench.decide(0, mac(0), MacAddress::BROADCAST);
    assert_eq!(bench.decide(2, mac(9), mac(0)), to([0]));
    assert_eq!(bench.decide(0, mac(50), mac(0)), Decision::Drop(DropCause::NoDestination));
    bench.decide(1, mac(0), MacAddress::BROADCAST);
    assert_eq!(bench.decide(0, mac(50), mac(0)), to([1]));
    assert_eq!(bench.decide(2, mac(9), mac(0)), to([1]));
    assert_eq!((bench.counters.source_conflict, bench.counters.moved), (0, 1));
    // Back at the first NIC, or somebody on the wire claims to be the guest: frames of others take both ways.
    bench.decide(0, mac(0), MacAddress::BROADCAST);
    assert_eq!(bench.decide(2, mac(9), mac(0)), to([0, 1]));
    assert_eq!(bench.decide(0, mac(50), mac(0)), to([1]));
    bench.decide(1, mac(0), mac(50));
    assert_eq!(bench.decide(2, mac(9), mac(0)), to([1]));
}

#[test]
fn a_guest_uses_one_address_on_two_lans() {
    let mut bench = second_switch();
    assert_eq!(bench.decide(2, mac(9), mac(0)), to([0]));
    assert_eq!(bench.decide(0, mac(50), mac(0)), Decision::Drop(DropCause::NoDestination));
    for _ in 0..2 {
        bench.decide(1, mac(0), mac(50));
        assert_eq!(bench.decide(0, mac(50), mac(0)), to([1]));
        assert_eq!(bench.decide(2, mac(9), mac(0)), to([1]));
        assert_eq!(bench.decide(1, mac(1), mac(0)), Decision::Drop(DropCause::SamePort));
        bench.now = bench.now + crate::AGEING + crate::AGEING;
    }
    assert_eq!((bench.counters.source_conflict, bench.counters.moved), (0, 0));
}

#[test]
fn a_configured_address_is_no_other_guests_at_any_switch() {
    let mut bench = second_switch();
    for _ in 0..20 {
        bench.decide(2, mac(0), MacAddress::BROADCAST);
        assert_eq!(bench.decide(0, mac(50), mac(0)), Decision::Drop(DropCause::NoDestination));
        bench.now = bench.now + TAKEOVER;
    }
    assert_eq!((bench.counters.source_conflict, bench.counters.moved), (20, 0));
    bench.decide(1, mac(0), MacAddress::BROADCAST);
    bench.decide(2, mac(0), MacAddress::BROADCAST);
    assert_eq!(bench.decide(0, mac(50), mac(0)), to([1]));
}

proptest! {
    /// A run of frames of one port is decided as each of them alone.
    #[test]
    fn frames_that_go_the_same_way_are_decided_and_counted_as_any_others(
        runs in vec((0usize..4, 0u64..2_000_000_000, vec((0u8..6, 0u8..8, 0usize..4), 1..12)), 1..30),
    ) {
        let (mut one, mut other) = (Bench::new(), Bench::new());
        for (ingress, pause, frames) in runs {
            one.now = Instant(one.now.0 + pause);
            let (mut last, port) = (None, PortId::new(ingress).unwrap());
            for (source, destination, kind) in frames {
                // The last of them is a group address.
                let destination = if destination == 7 { MacAddress::BROADCAST } else { mac(destination) };
                let mut frame = numbered(destination, mac(source), 0, 60);
                let kind: u16 = [0x0800, 0x8808, 0x8100, 0x0026][kind];
                frame[12..14].copy_from_slice(&kind.to_be_bytes());
                let alone = other.forwarder.decide(&frame, port, &mut other.counters, one.now);
                let next = one.forwarder.decide_next(&mut last, &frame, port, &mut one.counters, one.now);
                prop_assert_eq!(next, alone);
                prop_assert_eq!(&one.counters, &other.counters);
            }
        }
    }
}
