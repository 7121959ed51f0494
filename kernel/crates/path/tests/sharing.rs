//! How guests share the wire when they have more to send than it takes, however they ask for it.

use base::{Capabilities, Instant, LentFrame, MacAddress, Outbox, Port, Put, Ticket};
use core::num::NonZeroU16;
use path::{MAX_PORTS, PortConfig, PortId, PortSet, Switch};
use std::collections::VecDeque;
use testkit::QueuePort;
use testkit::frame::{mac, numbered};

/// Descriptors of the physical NIC.
const DESCRIPTORS: usize = 255;
/// Bytes in one descriptor.
const BUFFER: usize = 2000;
/// Bytes that wait in it at most in packets that it cuts.
const MOST_CUT: usize = 256 * 1024;
/// How often the physical NIC interrupts at most.
const INTERVAL: u64 = 50_000;
/// Nobody looks more often than that.
const STEP: u64 = 1000;
const SECOND: u64 = 1_000_000_000;

/// A physical NIC of 1 Gb/s or less, which interrupts when frames have left and others were refused.
struct Wire {
    /// Nanoseconds that a bit takes.
    bit: u64,
    /// The frames in its ring: their descriptors, their bytes if they are cut, and the time that each takes on the wire.
    ring: VecDeque<(usize, usize, u64)>,
    free: usize,
    cut: usize,
    first_leaves: u64,
    /// Bytes of the frames from each port, by the last byte of their sources.
    sent: [usize; MAX_PORTS],
    refused: bool,
    freed: bool,
}

impl Wire {
    fn new(bit: u64) -> Self {
        Self {
            bit,
            ring: VecDeque::new(),
            free: DESCRIPTORS,
            cut: 0,
            first_leaves: 0,
            sent: [0; MAX_PORTS],
            refused: false,
            freed: false,
        }
    }

    fn reclaim(&mut self, now: u64) {
        while let Some((descriptors, cut, _)) =
            self.ring.front().copied().filter(|_| self.first_leaves <= now)
        {
            self.ring.pop_front();
            (self.free, self.freed) = (self.free + descriptors, true);
            self.cut -= cut;
            self.first_leaves += self.ring.front().map_or(0, |(_, _, time)| *time);
        }
    }
}

impl Port for Wire {
    fn capabilities(&mut self) -> Capabilities {
        let segments = self.bit == 1;
        Capabilities { max_frame: 9018, link_up: true, segments, takes_segments: segments }
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        assert!(frame.mss.is_some() || frame.length <= 9018);
        self.reclaim(now.0);
        let cut = frame.mss.map_or(0, |_| frame.length);
        // What is cut stays in its guest's buffers, which may be longer.
        let descriptors = 1 + frame.length / if cut > 0 { 16_288 } else { BUFFER };
        let too_much = cut > 0 && self.cut > 0 && self.cut + cut > MOST_CUT;
        self.refused = descriptors > self.free || too_much;
        if self.refused {
            return Put::Refused(ticket);
        }
        // With preamble, frame check sequence and gap.
        let time = self.bit * 8 * (frame.length as u64 + 24);
        if self.ring.is_empty() {
            self.first_leaves = now.0 + time;
        }
        self.ring.push_back((descriptors, cut, time));
        self.free -= descriptors;
        self.cut += cut;
        self.sent[usize::from(frame.head[11])] += frame.length;
        Put::Done(ticket)
    }

    fn flush(&mut self, _: Instant) {}

    fn fetch(&mut self, _: &mut Outbox, _: usize, _: Instant) -> usize {
        0
    }

    fn settle(&mut self, _: &mut Outbox, _: Instant) {}
}

/// When a guest writes TDT beside the times when something has changed for it.
#[derive(Clone, Copy)]
enum Writes {
    Never,
    Every(u64),
    /// This long after each interrupt.
    After(u64),
    /// Regularly, for one frame each: it has no others.
    One(u64),
}

impl Writes {
    /// Whether it does so now, with the last interrupt at this time.
    fn now(self, now: u64, interrupt: u64) -> bool {
        match self {
            Self::Never => false,
            Self::Every(time) | Self::One(time) => now.is_multiple_of(time),
            Self::After(time) => now + INTERVAL == interrupt + time,
        }
    }
}

/// A guest that always has frames of this length to send, or packets that a NIC is to cut.
#[derive(Clone, Copy)]
struct Sender {
    length: usize,
    writes: Writes,
    /// One frame in so many is for a guest that takes none.
    to_full: u32,
}

const HONEST: Sender = Sender { length: 1514, writes: Writes::Never, to_full: u32::MAX };

/// What each of these guests gets onto a wire on which a bit takes so many nanoseconds, in bytes in a tenth of a second. One
/// more guest takes no frames.
fn shares(senders: &[Sender], bit: u64) -> Vec<usize> {
    let station = |index: usize| mac(index as u8);
    let full = 1 + senders.len();
    let guests = (1..=full).map(|port| PortConfig::guest(station(port)));
    let configs: Vec<_> = [PortConfig::uplink()].into_iter().chain(guests).collect();
    let mut switch = Switch::new(&configs, 1).unwrap();
    let mut wire = Wire::new(bit);
    let mut guests: Vec<_> =
        senders.iter().map(|_| QueuePort::new()).chain([QueuePort::with_space(0)]).collect();
    for (guest, sender) in guests.iter_mut().zip(senders) {
        guest.capabilities.max_frame = 9018;
        guest.mss = NonZeroU16::new(1460).filter(|_| sender.length > 9018);
    }
    let mut kicked = PortSet::ALL;
    let (mut interrupt, mut poll, mut number) = (0, 0, 0);
    for now in (0..SECOND / 10).step_by(STEP as usize) {
        wire.reclaim(now);
        let mut resumed = PortSet::EMPTY;
        for (index, sender) in senders.iter().enumerate() {
            let port = PortId::new(1 + index).unwrap();
            let one = matches!(sender.writes, Writes::One(_));
            let unasked = sender.writes.now(now, interrupt);
            if !unasked && (one || !kicked.contains(port)) && now > STEP {
                continue;
            }
            // With the first frames, short ones, the switch learns what the NIC cuts and where they go.
            let (count, length) =
                if now <= STEP { (1, 60) } else { (if one { 1 } else { 64 }, sender.length) };
            while guests[index].incoming.len() < count {
                number += 1;
                let to_full = number % sender.to_full == 0;
                let to = if to_full { station(full) } else { MacAddress([2, 9, 9, 9, 9, 9]) };
                guests[index].arrive(&numbered(to, station(1 + index), number, length));
            }
            let mut ports: Vec<&mut dyn Port> = vec![&mut wire];
            ports.extend(guests.iter_mut().map(|guest| guest as &mut dyn Port));
            let taken = switch.take_from(port, &mut ports, 32, Instant(now));
            kicked = if taken.polled > 0 { kicked.with(port) } else { kicked.without(port) };
            resumed = resumed.union(taken.resumed);
        }
        let interrupts = wire.refused && wire.freed && now >= interrupt;
        let due = switch.next_deadline().is_some_and(|deadline| deadline.0 <= now) || now >= poll;
        if interrupts || due {
            if interrupts {
                (wire.freed, interrupt) = (false, now + INTERVAL);
            }
            poll = now + 10_000_000;
            let mut ports: Vec<&mut dyn Port> = vec![&mut wire];
            ports.extend(guests.iter_mut().map(|guest| guest as &mut dyn Port));
            resumed = resumed.union(switch.retry(&mut ports, Instant(now)).resumed);
        }
        kicked = kicked.union(resumed);
    }
    let lost = switch.counters(PortId::new(0).unwrap()).unwrap().dropped_on_departure();
    assert_eq!(lost, 0, "nobody's frames are dropped");
    wire.sent[1..full].to_vec()
}

/// Asserts that these guests fill the wire, and that each gets an equal share of it but for this part of the share.
fn assert_fair(senders: &[Sender], deviation: f64) {
    let shares = shares(senders, 1);
    let sum: usize = shares.iter().sum();
    assert!(sum as f64 > 0.97 * 12.5e6, "the wire is not full: {shares:?}");
    let mean = sum as f64 / shares.len() as f64;
    let within = |share: &usize| (*share as f64 - mean).abs() <= deviation * mean;
    assert!(shares.iter().all(within), "{shares:?}");
}

#[test]
fn guests_that_wait_for_the_wire_share_it() {
    assert_fair(&[HONEST; 2], 0.05);
    assert_fair(&[HONEST; 5], 0.05);
}

#[test]
fn a_guest_that_writes_tdt_without_pause_gets_no_more_of_the_wire() {
    for time in [1000, 2000, 5000, 20_000] {
        assert_fair(&[Sender { writes: Writes::Every(time), ..HONEST }, HONEST], 0.05);
        assert_fair(&[HONEST, Sender { writes: Writes::Every(time), ..HONEST }, HONEST], 0.05);
    }
}

#[test]
fn a_guest_that_writes_tdt_at_a_chosen_moment_gets_no_more_of_the_wire() {
    for time in [1000, 13_000, 25_000, 37_000, 49_000] {
        assert_fair(&[Sender { writes: Writes::After(time), ..HONEST }, HONEST], 0.05);
    }
}

#[test]
fn a_guest_that_sends_the_longest_frames_gets_no_more_of_the_wire() {
    for writes in [Writes::Never, Writes::Every(2000)] {
        assert_fair(&[Sender { length: 9014, writes, ..HONEST }, HONEST], 0.15);
        assert_fair(&[Sender { length: 9014, ..HONEST }, Sender { writes, ..HONEST }], 0.15);
    }
}

#[test]
fn a_guest_that_takes_no_frames_takes_no_rate_from_others() {
    let alone = shares(&[HONEST], 1)[0];
    let within = |rate: usize, percent: usize| rate.abs_diff(alone) * 100 <= percent * alone;
    let beside = shares(&[HONEST, Sender { length: 60, to_full: 1, ..HONEST }], 1);
    assert!(within(beside[0], 1), "{alone} alone, beside one that sends to it: {beside:?}");
    // Who sends to it stands still once, for 4 of these 100 ms.
    let own = shares(&[Sender { to_full: 10, ..HONEST }], 1);
    assert!(within(own[0], 5), "{alone} alone, beside its own frames to it: {own:?}");
}

#[test]
fn a_guest_whose_packets_a_nic_cuts_gets_no_more_of_the_wire() {
    // One that has the ring gets 256 KiB at once, which is 2 % of what is sent here.
    for (length, deviation) in [(10_000, 0.1), (30_000, 0.12), (64_000, 0.2)] {
        let cut = Sender { length, ..HONEST };
        assert_fair(&[cut; 2], deviation);
        assert_fair(&[cut; 5], deviation);
        assert_fair(&[cut, HONEST], deviation);
        assert_fair(&[HONEST, cut, HONEST], deviation);
        assert_fair(&[cut, HONEST, HONEST, HONEST, HONEST], deviation);
        assert_fair(&[cut, Sender { length: 9014, ..HONEST }], 0.15);
        assert_fair(&[cut, cut, HONEST], deviation);
        assert_fair(&[Sender { writes: Writes::Every(2000), ..cut }, HONEST], deviation);
    }
}

#[test]
fn who_comes_after_a_guest_that_sends_little_gets_no_more_of_the_wire() {
    for time in [10_000, 50_000, 200_000] {
        let light = Sender { length: 60, writes: Writes::One(time), ..HONEST };
        let others = |senders: &[Sender]| {
            let shares = shares(senders, 1);
            let busy = shares.iter().zip(senders).filter(|(_, sender)| sender.length > 60);
            let busy: Vec<_> = busy.map(|(share, _)| *share as f64).collect();
            let mean = busy.iter().sum::<f64>() / busy.len() as f64;
            assert!(busy.iter().all(|share| (share - mean).abs() <= 0.12 * mean), "{time}: {shares:?}");
        };
        others(&[light, HONEST, HONEST, HONEST, HONEST]);
        for length in [10_000, 30_000] {
            let cut = Sender { length, ..HONEST };
            others(&[light, cut, HONEST, HONEST, HONEST]);
            others(&[light, light, light, cut, HONEST, HONEST]);
        }
    }
}

#[test]
fn a_guest_that_sends_faster_than_the_slowest_wire_loses_nothing() {
    // 10 Mb/s, and more than the ring takes, with one frame in 1.23 ms.
    for sender in [HONEST, Sender { length: 9014, ..HONEST }] {
        let sent = shares(&[sender], 100);
        assert!(sent[0] > 125_000, "{sent:?}");
    }
}

#[test]
fn guests_that_take_turns_on_a_slow_wire_lose_nothing() {
    // 100 Mb/s: a turn takes 1.36 ms, and it takes two to get rid of what one poll brings.
    let sent = shares(&[HONEST; 12], 10);
    assert!(sent.iter().all(|sent| *sent > 80_000), "{sent:?}");
    // 10 Mb/s: the next turn comes after 150 ms.
    shares(&[HONEST; 12], 100);
}
