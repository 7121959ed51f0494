//! Whatever happens at the ports, no frame is duplicated, damaged, reordered, or lost without being counted.

use base::{Effects, Instant, MacAddress, Port};
use path::{PortConfig, PortId};
use proptest::prelude::*;
use std::collections::HashMap;
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, QueuePort};

const PORTS: usize = 4;

/// What happens between two steps.
#[derive(Clone, Debug)]
enum Event {
    /// A burst of frames arrives at a port, for a station that is known, unknown, or broadcast.
    Arrive { port: usize, destination: u8, count: u8, length: usize },
    /// A damaged frame arrives.
    Odd { port: usize, bytes: Vec<u8> },
    /// A port accepts `space` more frames from now on.
    Space { port: usize, space: usize },
    /// A port's link changes.
    Link { port: usize, up: bool },
    /// A port's memory serves another purpose: what it has lent out must not go anywhere.
    Renew { port: usize },
    /// The physical NICs send what they have kept.
    Send { count: usize },
    /// They are reset, and give it back.
    GiveUp,
    /// Time passes.
    Wait { micros: u64 },
}

fn event() -> impl Strategy<Value = Event> {
    let port = 0..PORTS;
    prop_oneof![
        5 => (port.clone(), 0u8..8, 1u8..90, 60usize..9018).prop_map(|(port, destination, count, length)| {
            Event::Arrive { port, destination, count, length }
        }),
        1 => (port.clone(), prop::collection::vec(any::<u8>(), 0..30)).prop_map(|(port, bytes)| {
            Event::Odd { port, bytes }
        }),
        3 => (port.clone(), 0usize..100).prop_map(|(port, space)| Event::Space { port, space }),
        1 => (port.clone(), any::<bool>()).prop_map(|(port, up)| Event::Link { port, up }),
        1 => port.prop_map(|port| Event::Renew { port }),
        3 => (1usize..200).prop_map(|count| Event::Send { count }),
        2 => Just(Event::GiveUp),
        3 => (0u64..30_000).prop_map(|micros| Event::Wait { micros }),
    ]
}

/// Stations 0 and 1 are the guests, 2 and 3 are behind the uplinks, 4 to 6 do not exist, 7 is broadcast.
fn station(number: u8) -> MacAddress {
    if number == 7 { MacAddress::BROADCAST } else { mac(number) }
}

struct Bench {
    lan: Lan,
    ports: [QueuePort; PORTS],
    now: u64,
    next: u32,
    ingress: HashMap<u32, usize>,
}

impl Bench {
    fn new() -> Self {
        let guests = [PortConfig::guest(mac(0)), PortConfig::guest(mac(1))];
        let ports = [guests[0], guests[1], PortConfig::uplink(), PortConfig::uplink()];
        let lan = Lan::new(&ports, 1).unwrap();
        let mut ports: [QueuePort; PORTS] = Default::default();
        ports.iter_mut().for_each(|port| port.capabilities.max_frame = 9018);
        // The second one sends at once.
        ports[2].keeps = true;
        Self { lan, ports, now: 0, next: 0, ingress: HashMap::new() }
    }

    fn apply(&mut self, event: Event) {
        match event {
            Event::Arrive { port, destination, count, length } => {
                for _ in 0..count {
                    let frame = numbered(station(destination), mac(port as u8), self.next, length);
                    self.ports[port].arrive(&frame);
                    self.ingress.insert(self.next, port);
                    self.next += 1;
                }
                self.lan.signal(port, Effects::TX_KICK);
            }
            // These carry no number: they may be delivered, but their order is not checked.
            Event::Odd { port, bytes } => {
                self.ports[port].arrive(&bytes);
                self.lan.signal(port, Effects::TX_KICK);
            }
            Event::Space { port, space } => {
                self.ports[port].space = space;
                self.lan.signal(port, Effects::RX_SPACE);
            }
            Event::Link { port, up } => self.ports[port].capabilities.link_up = up,
            Event::Renew { port } => {
                self.ports[port].life += 1;
                self.ports[port].overwrite_lent();
            }
            Event::Send { count } => self.ports.iter_mut().for_each(|port| port.send_kept(count)),
            Event::GiveUp => self.ports.iter_mut().for_each(QueuePort::give_up),
            Event::Wait { micros } => self.now += micros * 1000,
        }
    }

    fn run(&mut self) {
        let [a, b, c, d] = &mut self.ports;
        self.lan.run(&mut [a as &mut dyn Port, b, c, d], Instant(self.now));
    }

    fn check_conservation(&self) {
        let all: Vec<_> = (0..PORTS).map(|index| PortId::new(index).unwrap()).collect();
        let of = |port: &PortId| *self.lan.switch.counters(*port).unwrap();
        for counters in all.iter().map(of) {
            assert_eq!(counters.rx_frames, counters.forwarded + counters.dropped_on_arrival());
        }
        let copies: u64 = all.iter().map(|port| of(port).copies).sum();
        let gone: u64 = all.iter().map(|port| of(port).tx_frames + of(port).dropped_on_departure()).sum();
        let pending: usize = all.iter().map(|port| self.lan.switch.pending(*port)).sum();
        let taken_back: u64 = all.iter().map(|port| of(port).taken_back).sum();
        assert_eq!(copies + taken_back, gone + pending as u64);
        let lent: usize = self.ports.iter().map(QueuePort::lent).sum();
        let kept: usize = all.iter().map(|port| self.lan.switch.kept(*port)).sum();
        assert!(
            lent <= pending + kept,
            "{lent} frames are lent for {pending} copies that wait and {kept} kept"
        );
        for (port, queue) in all.iter().zip(&self.ports) {
            let sent = queue.sent.len() as u64;
            assert_eq!(of(port).tx_frames, sent + of(port).taken_back);
            if of(port).taken_back == 0 {
                let bytes = queue.sent.iter().map(|frame| frame.len() as u64).sum::<u64>();
                assert_eq!(of(port).tx_bytes, bytes);
            }
        }
    }

    fn check_order(&self) {
        for (egress, queue) in self.ports.iter().enumerate() {
            let mut last = HashMap::new();
            for number in queue.sent.iter().filter(|frame| frame.len() >= 60).map(|frame| number_of(frame)) {
                let number = number.expect("a frame arrives undamaged");
                let ingress = self.ingress[&number];
                assert_ne!(ingress, egress, "a frame never returns to its ingress port");
                let before = last.insert(ingress, number);
                assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn frames_are_conserved_and_keep_their_order(events in prop::collection::vec(event(), 1..60)) {
        let mut bench = Bench::new();
        for event in events {
            bench.apply(event);
            bench.run();
            bench.check_conservation();
            bench.check_order();
            if let Some(deadline) = bench.lan.switch.next_deadline() {
                prop_assert!(deadline.as_nanos() > bench.now, "no frame is pending beyond its deadline");
            }
        }
        // Once there is room everywhere, nobody stands still any more.
        for port in 0..PORTS {
            bench.apply(Event::Link { port, up: true });
            bench.apply(Event::Space { port, space: usize::MAX });
        }
        // What is kept may have left no room for the rest.
        while bench.ports.iter().any(|port| !port.incoming.is_empty() || port.lent() > 0) {
            bench.apply(Event::Send { count: usize::MAX / 2 });
            bench.apply(Event::Wait { micros: 100 });
            bench.run();
        }
        bench.check_conservation();
        bench.check_order();
        for (port, queue) in bench.ports.iter().enumerate() {
            prop_assert_eq!((queue.incoming.len(), bench.lan.switch.pending(PortId::new(port).unwrap())), (0, 0));
        }
    }

    #[test]
    fn no_frame_is_lost_when_every_port_accepts_all_it_is_offered(
        bursts in prop::collection::vec((0..2usize, 0u8..2, 1u8..90), 1..20),
    ) {
        let mut bench = Bench::new();
        let mut expected = [0u64; 2];
        for (port, destination, count) in bursts {
            bench.apply(Event::Arrive { port, destination, count, length: 300 });
            if usize::from(destination) != port {
                expected[usize::from(destination)] += u64::from(count);
            }
        }
        bench.run();
        bench.check_order();
        prop_assert_eq!([0, 1].map(|port: usize| bench.ports[port].sent.len() as u64), expected);
    }
}
