//! Frames by reference through the switch, while guests are reset, NICs give back what they have not sent, and flows move from one
//! of the NICs behind a port to another.

use crate::Input;
use base::{Effects, Instant, MacAddress, Port};
use core::num::NonZeroU16;
use path::{PortConfig, PortId};
use std::collections::HashMap;
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, LanePort, QueuePort};

/// The ports of guests, then one with a NIC, and one with two NICs behind it.
const GUESTS: usize = 3;
const PORTS: usize = GUESTS + 2;
/// Guests and NICs.
const QUEUES: usize = PORTS + 1;
/// Frames with the same one of so many keys go by the same NIC.
const KEYS: usize = 8;

struct Bench {
    lan: Lan,
    ports: Vec<QueuePort>,
    team: LanePort,
    now: u64,
    /// For each guest and NIC, how many of the frames that it has sent have been looked at.
    seen: Vec<usize>,
    /// For each frame, by its number, the port that it arrived at, and the life of that port.
    origins: Vec<(usize, u32)>,
}

/// Actions at ports, and time.
///
/// # Panics
/// When a frame is neither waiting, kept, sent nor counted; is sent twice by a port, or before one that came earlier; has other
/// bytes than it was sent with, or is from another life of its guest; when a port gets a frame back twice, or never; or when
/// the switch wants to be called in the past.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let guests = (0..GUESTS).map(|number| PortConfig::guest(mac(number as u8)));
    let configs: Vec<_> = guests.chain([PortConfig::uplink(); PORTS - GUESTS]).collect();
    let ports: Vec<_> = (0..PORTS - 1).map(|_| QueuePort::new()).collect();
    let mut team = LanePort::new(2, |frame, _| key(frame.head));
    team.table = (0..KEYS).map(|key| key % 2).collect();
    let lan = Lan::new(&configs, 1).expect("the ports are valid");
    let mut bench = Bench { lan, ports, team, now: 0, seen: vec![0; QUEUES], origins: Vec::new() };
    (GUESTS..QUEUES).for_each(|nic| bench.queue(nic).keeps = true);
    while !input.is_empty() {
        bench.act(&mut input);
        bench.run();
        bench.check();
    }
    bench.finish();
}

/// By source and destination.
fn key(head: &[u8]) -> usize {
    usize::from(head[5] ^ head[11]) % KEYS
}

impl Bench {
    /// A guest or a NIC.
    fn queue(&mut self, number: usize) -> &mut QueuePort {
        match number.checked_sub(PORTS - 1) {
            Some(lane) => &mut self.team.lanes[lane],
            None => &mut self.ports[number],
        }
    }

    fn act(&mut self, input: &mut Input) {
        let action = input.u8();
        let number = usize::from(action >> 4) % QUEUES;
        let (origins, port) = match number.checked_sub(PORTS - 1) {
            Some(lane) => (&mut self.origins, &mut self.team.lanes[lane]),
            None => (&mut self.origins, &mut self.ports[number]),
        };
        match action & 15 {
            0..4 => {
                let (to, count, length) = (input.u8(), 1 + input.below(16), 60 + usize::from(input.u8()));
                port.mss = NonZeroU16::new(u16::from(to & 8));
                for _ in 0..count.min(MOST.saturating_sub(origins.len() as u64)) {
                    let to = if to & 7 == 7 { MacAddress::BROADCAST } else { mac(to & 7) };
                    let frame = numbered(to, mac(number as u8), origins.len() as u32, length);
                    port.arrive(&frame);
                    origins.push((number, port.life));
                }
                self.lan.signal(number.min(PORTS - 1), Effects::TX_KICK);
            }
            4 | 5 => {
                port.space = input.u8().into();
                self.lan.signal(number.min(PORTS - 1), Effects::RX_SPACE);
            }
            6 => port.send_kept(input.u8().into()),
            7..10 => {
                port.give_up();
                self.seen[number] = self.seen[number].min(port.sent.len() - port.unsent());
                port.capabilities.link_up &= action & 15 != 9;
                if action & 15 == 9
                    && let Some(lane) = number.checked_sub(PORTS - 1)
                {
                    self.team.fail(lane, 1 - lane);
                }
            }
            10 => {
                port.capabilities.link_up ^= true;
                port.capabilities.segments = number > GUESTS;
            }
            11 => {
                // As a guest that waits until no NIC reads its memory any more.
                let id = PortId::new(number).expect("few ports");
                if number < PORTS - 1 && self.lan.switch.referred(id) == 0 {
                    port.begin_life();
                    port.overwrite_lent();
                }
            }
            13 => {
                // As a team does it: when the NIC has sent what it was given before.
                let (key, lane) = (usize::from(input.u8()) % KEYS, number % 2);
                if self.team.lanes[self.team.table[key]].kept() == 0 {
                    self.team.table[key] = lane;
                }
            }
            _ => self.now += input.number(2) * 1000,
        }
    }

    fn run(&mut self) {
        let ports = self.ports.iter_mut().map(|port| port as &mut dyn Port);
        let mut list: Vec<_> = ports.chain([&mut self.team as &mut dyn Port]).collect();
        self.lan.run(&mut list, Instant(self.now));
        assert!(self.lan.switch.next_deadline().is_none_or(|due| due.0 > self.now));
        assert!(self.ports[..=GUESTS].iter().all(|guest| guest.to_cut == 0), "guests get no packets to cut");
    }

    fn check(&mut self) {
        let ids = || (0..PORTS).filter_map(PortId::new);
        let counters = || ids().filter_map(|id| self.lan.switch.counters(id));
        let copies: u64 = counters().map(|of| of.copies + of.taken_back).sum();
        let gone: u64 = counters().map(|of| of.tx_frames + of.dropped_on_departure()).sum();
        let pending: usize = ids().map(|id| self.lan.switch.pending(id)).sum();
        assert_eq!(copies, gone + pending as u64);
        let accepted = self.ports.iter().map(|port| port.sent.len());
        let by_team = self.team.lanes.iter().map(|lane| lane.sent.len()).sum();
        for (accepted, of) in accepted.chain([by_team]).zip(counters()) {
            assert_eq!(of.tx_frames, accepted as u64 + of.taken_back);
        }
        for (port, seen) in self.ports.iter().chain(&self.team.lanes).zip(&mut self.seen) {
            let sent = port.sent.len() - port.unsent();
            for frame in &port.sent[(*seen).min(sent)..sent] {
                let (from, life) =
                    self.origins[number_of(frame).expect("a frame leaves as it came") as usize];
                let lives = self.ports.get(from).map_or(0, |port| port.life);
                assert_eq!(life, lives, "its guest has begun another life");
            }
            *seen = sent;
        }
    }

    /// With room, links and time nothing stays behind.
    fn finish(&mut self) {
        for number in 0..QUEUES {
            self.queue(number).space = usize::MAX;
            self.queue(number).capabilities.link_up = true;
            self.lan.signal(number.min(PORTS - 1), Effects::TX_KICK | Effects::RX_SPACE);
        }
        let stays = |port: &QueuePort| port.lent() > 0 || !port.incoming.is_empty();
        let mut rounds = 0;
        while self.ports.iter().chain(&self.team.lanes).any(stays) {
            (0..QUEUES).for_each(|number| self.queue(number).send_kept(WINDOW));
            self.now += 100_000;
            self.run();
            rounds += 1;
            assert!(rounds < 10_000, "frames stay behind");
        }
        self.check();
        for (port, in_order_of) in self.ports.iter().map(|port| (port, 1)).chain(lanes(&self.team)) {
            let mut last = HashMap::new();
            for frame in &port.sent {
                let Some(number) = number_of(frame) else { continue };
                // By one of several NICs behind a port each flow is in order.
                let flow = (self.origins[number as usize].0, key(frame) % in_order_of);
                let before = last.insert(flow, number);
                assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
            }
        }
    }
}

/// The NICs behind a port, and how many flows of one sender there are at most.
fn lanes(team: &LanePort) -> impl Iterator<Item = (&QueuePort, usize)> {
    team.lanes.iter().map(|lane| (lane, KEYS))
}

/// Most frames in one run.
const MOST: u64 = 400;
/// More frames than a NIC can have kept.
const WINDOW: usize = 4096;
