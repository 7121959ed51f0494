//! How guests and the wire share a vNIC that takes less than they send.

use base::{Capabilities, Effects, Instant, LentFrame, MacAddress, Outbox, Port, Put, Ticket};
use path::{MAX_PORTS, PortConfig};
use std::collections::VecDeque;
use testkit::frame::{mac, numbered};
use testkit::{Lan, QueuePort};

const SECOND: u64 = 1_000_000_000;

/// Bytes that wait in a vNIC for its guest's descriptors, and what a frame takes of them beside its own.
const FIFO: usize = 48 * 1024;
const OVERHEAD: usize = 12;

/// A vNIC whose guest gives back sixteen descriptors with each write of RDT, as Linux does, and not fast enough.
#[derive(Default)]
struct SlowVnic {
    fifo: VecDeque<usize>,
    used: usize,
    /// Frames and bytes in them from each port, by the last byte of their sources.
    taken: [(usize, usize); MAX_PORTS],
}

impl SlowVnic {
    fn give_back(&mut self) {
        for _ in 0..16 {
            self.used -= self.fifo.pop_front().unwrap_or(0);
        }
    }
}

impl Port for SlowVnic {
    fn capabilities(&mut self) -> Capabilities {
        Capabilities { max_frame: 9018, link_up: true, segments: false, takes_segments: false }
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, _: Instant) -> Put {
        if frame.length + OVERHEAD > FIFO - self.used {
            return Put::Refused(ticket);
        }
        self.used += frame.length + OVERHEAD;
        self.fifo.push_back(frame.length + OVERHEAD);
        let taken = &mut self.taken[usize::from(frame.head[11])];
        *taken = (taken.0 + 1, taken.1 + frame.length);
        Put::Done(ticket)
    }

    fn flush(&mut self, _: Instant) {}

    fn fetch(&mut self, _: &mut Outbox, _: usize, _: Instant) -> usize {
        0
    }

    fn settle(&mut self, _: &mut Outbox, _: Instant) {}
}

/// One that sends so many frames at once, to all or to the slow vNIC: a guest, or the wire.
#[derive(Clone, Copy)]
struct Flood {
    length: usize,
    to: MacAddress,
    frames: usize,
    /// How often.
    every: u64,
    from_wire: bool,
}

/// The address of the slow vNIC, the same as `mac(0)`.
const SLOW: MacAddress = MacAddress([0x52, 0x54, 0, 0, 0, 0]);
const SHORT: Flood = Flood { length: 60, to: SLOW, frames: 40, every: 100_000, from_wire: false };
const LONG: Flood = Flood { length: 1514, ..SHORT };

/// What these get into a vNIC whose guest writes RDT that often, in a fifth of a second, in frames and bytes. Each begins
/// a little after those before it.
fn into_slow_vnic(floods: &[Flood], write: u64) -> Vec<(usize, usize)> {
    let port = |(index, flood): (usize, &Flood)| match flood.from_wire {
        true => PortConfig::uplink(),
        false => PortConfig::guest(mac(1 + index as u8)),
    };
    let configs: Vec<_> =
        [PortConfig::guest(SLOW)].into_iter().chain(floods.iter().enumerate().map(port)).collect();
    let mut lan = Lan::new(&configs, 1).unwrap();
    let mut vnic = SlowVnic::default();
    let mut senders: Vec<_> = floods.iter().map(|_| QueuePort::new()).collect();
    senders.iter_mut().for_each(|sender| sender.capabilities.max_frame = 9018);
    for now in (0..SECOND / 5).step_by(20_000) {
        for (index, flood) in floods.iter().enumerate() {
            if now < index as u64 * 10_000_000 || now % flood.every != 0 {
                continue;
            }
            while senders[index].incoming.len() < flood.frames {
                senders[index].arrive(&numbered(flood.to, mac(1 + index as u8), 0, flood.length));
            }
            lan.signal(1 + index, Effects::TX_KICK);
        }
        if now % write == 0 {
            vnic.give_back();
            lan.note(0, Effects::RX_SPACE);
        }
        let mut ports: Vec<&mut dyn Port> = vec![&mut vnic];
        ports.extend(senders.iter_mut().map(|sender| sender as &mut dyn Port));
        lan.run(&mut ports, Instant(now));
    }
    vnic.taken[1..=floods.len()].to_vec()
}

#[test]
fn short_frames_do_not_shut_long_ones_out_of_a_slow_vnic() {
    let floods = [
        (SHORT, LONG),
        (Flood { to: MacAddress::BROADCAST, ..SHORT }, LONG),
        (SHORT, Flood { length: 6014, ..LONG }),
        (SHORT, Flood { length: 9014, ..LONG }),
        (SHORT, Flood { from_wire: true, ..LONG }),
        (Flood { from_wire: true, ..SHORT }, LONG),
    ];
    for (number, (short, long)) in floods.into_iter().enumerate() {
        for write in [100_000, 400_000] {
            let taken = into_slow_vnic(&[short, long], write);
            assert!(taken[1].1 * 10 >= (taken[0].1 + taken[1].1) * 4, "{number}, {write}: {taken:?}");
            assert!(taken[0].0 > 682 + 500, "{number}, {write}: {taken:?}");
        }
    }
}

#[test]
fn a_long_frame_that_waits_for_room_does_not_shut_out_a_few_short_ones() {
    let few = Flood { frames: 1, every: 1_000_000, ..SHORT };
    for few in [Flood { to: MacAddress::BROADCAST, ..few }, Flood { from_wire: true, ..few }, few] {
        for write in [160_000, 400_000] {
            let taken = into_slow_vnic(&[LONG, few], write);
            assert_eq!(taken[1].0, 190, "{write}: {taken:?}");
        }
    }
}

#[test]
fn a_long_frame_for_which_a_vnic_makes_no_room_stops_no_short_ones() {
    // Of 1152 bytes in 8 ms the turns of the short ones get their part.
    let taken = into_slow_vnic(&[SHORT, LONG], 8_000_000);
    assert!(taken[0].0 > 682 + 200, "beyond what fills it at once: {taken:?}");
}
