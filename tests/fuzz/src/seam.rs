//! Frames by reference through the switch, while guests are reset and NICs give back what they have not sent.

use crate::Input;
use base::{Effects, Instant, MacAddress, Port};
use core::num::NonZeroU16;
use path::{PortConfig, PortId};
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, QueuePort};

/// Guests, and NICs behind them.
const GUESTS: usize = 3;
const PORTS: usize = GUESTS + 2;

struct Bench {
    lan: Lan,
    ports: Vec<QueuePort>,
    now: u64,
    /// For each port, how many of the frames that it has sent have been looked at.
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
    let mut ports: Vec<_> = (0..PORTS).map(|_| QueuePort::new()).collect();
    ports[GUESTS..].iter_mut().for_each(|nic| nic.keeps = true);
    let lan = Lan::new(&configs, 1).expect("the ports are valid");
    let mut bench = Bench { lan, ports, now: 0, seen: vec![0; PORTS], origins: Vec::new() };
    while !input.is_empty() {
        bench.act(&mut input);
        bench.run();
        bench.check();
    }
    bench.finish();
}

impl Bench {
    fn act(&mut self, input: &mut Input) {
        let action = input.u8();
        let number = usize::from(action >> 4) % PORTS;
        let port = &mut self.ports[number];
        match action & 15 {
            0..4 => {
                let (to, count, length) = (input.u8(), 1 + input.below(16), 60 + usize::from(input.u8()));
                port.mss = NonZeroU16::new(u16::from(to & 8));
                for _ in 0..count.min(MOST.saturating_sub(self.origins.len() as u64)) {
                    let to = if to & 7 == 7 { MacAddress::BROADCAST } else { mac(to & 7) };
                    let frame = numbered(to, mac(number as u8), self.origins.len() as u32, length);
                    port.arrive(&frame);
                    self.origins.push((number, port.life));
                }
                self.lan.signal(number, Effects::TX_KICK);
            }
            4 | 5 => {
                port.space = input.u8().into();
                self.lan.signal(number, Effects::RX_SPACE);
            }
            6 => port.send_kept(input.u8().into()),
            7..10 => {
                port.give_up();
                self.seen[number] = self.seen[number].min(port.sent.len() - port.unsent());
                port.capabilities.link_up &= action & 15 != 9;
            }
            10 => {
                port.capabilities.link_up ^= true;
                port.capabilities.segments = number > GUESTS;
            }
            11 => {
                // As a guest that waits until no NIC reads its memory any more.
                let id = PortId::new(number).expect("few ports");
                if self.lan.switch.referred(id) == 0 {
                    port.begin_life();
                    port.overwrite_lent();
                }
            }
            _ => self.now += input.number(2) * 1000,
        }
    }

    fn run(&mut self) {
        let mut list: Vec<&mut dyn Port> = self.ports.iter_mut().map(|port| port as &mut dyn Port).collect();
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
        for ((port, seen), of) in self.ports.iter().zip(&mut self.seen).zip(counters()) {
            assert_eq!(of.tx_frames, port.sent.len() as u64 + of.taken_back);
            let sent = port.sent.len() - port.unsent();
            for frame in &port.sent[(*seen).min(sent)..sent] {
                let (from, life) =
                    self.origins[number_of(frame).expect("a frame leaves as it came") as usize];
                assert_eq!(life, self.ports[from].life, "its guest has begun another life");
            }
            *seen = sent;
        }
    }

    /// With room, links and time nothing stays behind.
    fn finish(&mut self) {
        for number in 0..PORTS {
            self.ports[number].space = usize::MAX;
            self.ports[number].capabilities.link_up = true;
            self.lan.signal(number, Effects::TX_KICK | Effects::RX_SPACE);
        }
        let mut rounds = 0;
        while self.ports.iter().any(|port| port.lent() > 0 || !port.incoming.is_empty()) {
            self.ports.iter_mut().for_each(|port| port.send_kept(WINDOW));
            self.now += 100_000;
            self.run();
            rounds += 1;
            assert!(rounds < 10_000, "frames stay behind");
        }
        self.check();
        for port in &self.ports {
            let mut last = [None; PORTS];
            for number in port.sent.iter().filter_map(|frame| number_of(frame)) {
                let before = last[self.origins[number as usize].0].replace(number);
                assert!(before.is_none_or(|before| before < number), "{before:?} before {number}");
            }
        }
    }
}

/// Most frames in one run.
const MOST: u64 = 400;
/// More frames than a NIC can have kept.
const WINDOW: usize = 4096;
