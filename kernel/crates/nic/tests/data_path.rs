//! The whole path of a frame, on the host: the driver acts as the guest on a vNIC, frames pass the switch, and
//! the same driver drives a "physical" NIC, which is the vNIC model again; its port is the wire.
//!
//! An error that model and driver share would pass here: `qemu.rs` is the outside witness.

mod support;

use base::time::Duration;
use base::{Duplex, Effects, Instant, LinkSpeed, MacAddress, Port};
use nic::{MAX_FRAME, Nic, NicEvent};
use path::{HOLD, PortConfig, PortCounters, PortId};
use proptest::prelude::*;
use support::{TestMachine, poll, send};
use testkit::frame::{Station, checksums_are_right, mac, number_of, numbered, padded, tcp, udp};
use testkit::{Lan, VirtualClock, bounce_memory};
use vnic::{Vnic, VnicModelConfig};

/// The station behind the wire.
const PEER: u8 = 9;
/// The switch's port of the uplink.
const UPLINK: usize = 2;

/// A NIC and the driver on top of it.
struct Node {
    machine: TestMachine<Vnic>,
    driver: Nic<TestMachine<Vnic>>,
}

impl Node {
    fn new(number: u8, clock: &VirtualClock) -> Self {
        let machine = TestMachine::with_clock(
            Vnic::new(VnicModelConfig::new(mac(number)), bounce_memory()),
            clock.clone(),
        );
        let driver = machine.start().expect("the driver starts the model");
        Self { machine, driver }
    }

    /// Moves frames that wait in the NIC to the descriptors that the driver has given it.
    fn let_held_frames_in(&self, now: Instant) {
        self.machine.nic.borrow_mut().port(&self.machine.memory).flush(now);
    }

    /// What the driver's accesses, and frames, have given the NIC to do.
    fn take_effects(&self) -> Effects {
        self.machine.effects.take() | self.machine.nic.borrow_mut().take_effects()
    }
}

/// Two guests, with addresses 0 and 1 at the ports of these numbers, and a physical NIC.
struct World {
    clock: VirtualClock,
    guests: [Node; 2],
    physical: Node,
    lan: Lan,
}

impl World {
    fn new() -> Self {
        let clock = VirtualClock::new();
        let ports = [PortConfig::guest(mac(0)), PortConfig::guest(mac(1)), PortConfig::uplink()];
        let guests = [Node::new(0, &clock), Node::new(1, &clock)];
        let physical = Node::new(200, &clock);
        let mut world = Self { clock, guests, physical, lan: Lan::new(&ports, 1).unwrap() };
        // The switch learns where the peer is.
        world.wire_sends(&[numbered(mac(0), mac(PEER), 0, 60)]);
        world.settle();
        assert_eq!(world.guest_polls(0).len(), 1);
        world
    }

    /// Does what there is a reason for; true if there was any.
    fn step(&mut self) -> bool {
        let now = self.clock.advance(Duration::from_micros(20));
        let mut work = Effects::empty();
        for (port, guest) in self.guests.iter().enumerate() {
            let effects = guest.take_effects() & (Effects::TX_KICK | Effects::RX_SPACE);
            self.lan.note(port, effects);
            work |= effects;
        }
        let [a, b] = &self.guests;
        let (mut a_nic, mut b_nic) = (a.machine.nic.borrow_mut(), b.machine.nic.borrow_mut());
        let mut a_port = a_nic.port(&a.machine.memory);
        let mut b_port = b_nic.port(&b.machine.memory);
        let progress = self.lan.run(&mut [&mut a_port, &mut b_port, &mut self.physical.driver], now);
        self.physical.let_held_frames_in(now);
        !work.is_empty() || (progress.polled, progress.delivered, progress.dropped) != (0, 0, 0)
    }

    fn settle(&mut self) {
        for _ in 0..10_000 {
            let waits = |port| self.lan.switch.pending(PortId::new(port).unwrap()) > 0;
            if !(0..3).any(waits) && !self.step() {
                return;
            }
        }
        panic!("the path does not come to rest");
    }

    fn guest_sends(&mut self, guest: usize, frames: &[Vec<u8>]) -> usize {
        send(&mut self.guests[guest].driver, frames, self.clock.now())
    }

    fn guest_polls(&mut self, guest: usize) -> Vec<Vec<u8>> {
        let frames = poll(&mut self.guests[guest].driver, self.clock.now());
        self.guests[guest].let_held_frames_in(self.clock.now());
        frames
    }

    fn wire_sends(&mut self, frames: &[Vec<u8>]) -> usize {
        self.lan.interrupt();
        let Node { machine, .. } = &self.physical;
        send(&mut machine.nic.borrow_mut().port(&machine.memory), frames, self.clock.now())
    }

    fn wire_polls(&mut self) -> Vec<Vec<u8>> {
        self.lan.interrupt();
        let Node { machine, .. } = &self.physical;
        poll(&mut machine.nic.borrow_mut().port(&machine.memory), self.clock.now())
    }

    /// One step, after which every node takes what has arrived.
    fn listen(&mut self, arrived: &mut [Vec<u32>; 3]) {
        self.step();
        for (place, arrived) in arrived.iter_mut().enumerate() {
            arrived.extend(numbers(match place {
                UPLINK => self.wire_polls(),
                guest => self.guest_polls(guest),
            }));
        }
    }

    fn counters(&self, port: usize) -> PortCounters {
        *self.lan.switch.counters(PortId::new(port).unwrap()).unwrap()
    }
}

fn frame(to: u8, from: u8, number: u32, length: usize) -> Vec<u8> {
    numbered(mac(to), mac(from), number, length)
}

fn numbers(frames: Vec<Vec<u8>>) -> Vec<u32> {
    frames.iter().map(|frame| number_of(frame).expect("undamaged")).collect()
}

#[test]
fn the_driver_finds_address_and_link_of_the_model() {
    let mut node = Node::new(7, &VirtualClock::new());
    assert_eq!(node.driver.mac(), mac(7));
    let link = node.driver.link();
    assert_eq!((link.up, link.speed, link.duplex), (true, LinkSpeed::Mbps1000, Duplex::Full));
    assert_eq!(node.driver.events().collect::<Vec<_>>(), [NicEvent::LinkUp(link)]);
    assert_eq!(node.machine.nic.borrow().counters().unknown_register, 0);
}

#[test]
fn frames_of_every_kind_of_length_go_to_the_wire_and_come_back() {
    let mut world = World::new();
    for (number, length) in (0..).zip([18, 59, 60, 61, 1514, 1518, 2048, 2049, 4096, 9000, MAX_FRAME]) {
        assert_eq!(world.guest_sends(0, &[frame(PEER, 0, number, length)]), 1);
        world.settle();
        assert_eq!(world.wire_polls(), [padded(frame(PEER, 0, number, length))], "{length} bytes out");
        assert_eq!(world.wire_sends(&[padded(frame(0, PEER, number, length))]), 1);
        world.settle();
        assert_eq!(world.guest_polls(0), [padded(frame(0, PEER, number, length))], "{length} bytes in");
    }
    assert!(world.guest_polls(1).is_empty());
}

#[test]
fn guests_reach_each_other_and_the_wire_does_not_hear_it() {
    let mut world = World::new();
    let (a, b) = (Station::number(0), Station::number(1));
    let there: Vec<_> = (0..50).map(|number| tcp(&a, &b, number, &[number as u8; 700])).collect();
    let back: Vec<_> = (0..50).map(|number| udp(&b, &a, &[number; 300])).collect();
    assert_eq!((world.guest_sends(0, &there), world.guest_sends(1, &back)), (50, 50));
    world.settle();
    let arrived = world.guest_polls(1);
    assert!(arrived.iter().all(|frame| checksums_are_right(frame)));
    assert_eq!(arrived, there);
    assert_eq!(world.guest_polls(0), back);
    assert!(world.wire_polls().is_empty());
}

#[test]
fn a_broadcast_reaches_everyone_else_once() {
    let mut world = World::new();
    let hello = [numbered(MacAddress::BROADCAST, mac(0), 5, 60)];
    world.guest_sends(0, &hello);
    world.settle();
    assert_eq!(world.guest_polls(1), hello);
    assert_eq!(world.wire_polls(), hello);
    assert!(world.guest_polls(0).is_empty());
}

#[test]
fn a_guest_that_does_not_receive_loses_its_own_frames_and_no_others() {
    let mut world = World::new();
    let (mut offered, mut got) = (0, 0);
    for round in 0..40 {
        let to_stuck: Vec<_> = (0..16).map(|number| frame(0, PEER, round * 16 + number, 1000)).collect();
        offered += world.wire_sends(&to_stuck);
        world.wire_sends(&[frame(1, PEER, round, 60)]);
        let asked = world.clock.now();
        while world.clock.now() - asked < HOLD + Duration::from_micros(100) {
            world.step();
        }
        got += world.guest_polls(1).len();
    }
    assert_eq!((offered, got), (640, 40));
    let lost = world.counters(0).dropped_on_departure();
    assert!(lost > 100, "{lost}");
    let mut received = 0;
    loop {
        let frames = world.guest_polls(0);
        if frames.is_empty() {
            break;
        }
        received += frames.len() as u64;
    }
    assert_eq!(received + lost, 640);
}

#[test]
fn frames_for_a_wire_without_link_are_counted_and_flow_again_with_it() {
    let mut world = World::new();
    let now = world.clock.now();
    let _ = world.physical.machine.nic.borrow_mut().set_link(false, now);
    world.physical.driver.unmask();
    assert!(world.physical.driver.interrupt().link);
    world.guest_sends(0, &[frame(PEER, 0, 1, 60), frame(1, 0, 2, 60)]);
    world.settle();
    assert_eq!(world.counters(UPLINK).link_down, 1);
    assert_eq!(numbers(world.guest_polls(1)), [2]);

    let _ = world.physical.machine.nic.borrow_mut().set_link(true, now);
    assert!(world.physical.driver.interrupt().link);
    world.guest_sends(0, &[frame(PEER, 0, 3, 60)]);
    world.settle();
    assert_eq!(numbers(world.wire_polls()), [3]);
}

#[test]
fn the_models_statistics_agree_with_the_drivers_counts() {
    let mut world = World::new();
    world.guest_sends(0, &(0..30).map(|number| frame(PEER, 0, number, 500)).collect::<Vec<_>>());
    world.settle();
    // The physical NIC's transmitter runs when its wire is polled.
    assert_eq!(world.wire_polls().len(), 30);
    let now = world.clock.advance(Duration::from_secs(2));
    world.physical.driver.check(now);
    let (counters, statistics) =
        (*world.physical.driver.queue_counters(), *world.physical.driver.statistics());
    assert_eq!((counters.tx_queued, counters.tx_done, statistics.good_packets_transmitted), (30, 30, 30));
    assert_eq!(statistics.good_octets_transmitted, 30 * 504);
    assert_eq!((counters.rx_frames, statistics.good_packets_received), (1, 1));
}

/// A burst of frames from a guest or from the wire to one of the three.
fn burst() -> impl Strategy<Value = (usize, u8, u32, usize)> {
    (0..3usize, 0..3u8, 1..60u32, prop_oneof![60..200usize, 60..=MAX_FRAME])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn everything_arrives_once_whole_and_in_order_while_everyone_listens(
        bursts in prop::collection::vec(burst(), 1..40),
    ) {
        let mut world = World::new();
        let mut expected: [Vec<u32>; 3] = Default::default();
        let mut arrived: [Vec<u32>; 3] = Default::default();
        let mut sender = Vec::new();
        for (from, to, count, length) in bursts {
            if from == usize::from(to) {
                continue;
            }
            let station = |place: u8| if usize::from(place) == UPLINK { PEER } else { place };
            let next = sender.len() as u32;
            let frames: Vec<_> = (next..next + count)
                .map(|number| frame(station(to), station(from as u8), number, length))
                .collect();
            let taken = match from {
                UPLINK => world.wire_sends(&frames),
                guest => world.guest_sends(guest, &frames),
            };
            expected[usize::from(to)].extend(next..next + taken as u32);
            sender.extend(std::iter::repeat_n(from, frames.len()));
            (0..8).for_each(|_| world.listen(&mut arrived));
        }
        (0..64).for_each(|_| world.listen(&mut arrived));
        for (arrived, expected) in arrived.iter().zip(expected) {
            for from in 0..3 {
                let of_sender = |numbers: &[u32]| -> Vec<u32> {
                    numbers.iter().copied().filter(|number| sender[*number as usize] == from).collect()
                };
                prop_assert_eq!(of_sender(arrived), of_sender(&expected));
            }
        }
        prop_assert_eq!((0..3).map(|port| world.counters(port).dropped_on_departure()).sum::<u64>(), 0);
    }
}
