//! A switch between guests and a port with several NICs behind it, the lanes.

use super::nanos;
use base::time::Duration;
use base::{Effects, Instant, MacAddress, Port};
use path::{PortConfig, PortCounters, PortId, Progress};
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, LanePort, QueuePort};

/// The guests have the first numbers, and the team the one after. The key of a frame is what is added to the number of its
/// destination, which is behind the team.
pub struct TeamBench {
    pub lan: Lan,
    pub guests: Vec<QueuePort>,
    pub team: LanePort,
    pub now: u64,
    /// For each lane, how many of the frames that it has accepted have left it, and the numbers of all that have, in their order.
    left: Vec<usize>,
    pub wire: Vec<u32>,
}

/// A station behind the team whose frames have this key.
pub fn behind(key: usize) -> MacAddress {
    mac(128 + key as u8)
}

impl TeamBench {
    pub fn new(guests: usize, lanes: usize) -> Self {
        let vnics = (0..guests).map(|number| PortConfig::guest(mac(number as u8)));
        let configs: Vec<_> = vnics.chain([PortConfig::uplink()]).collect();
        let mut team = LanePort::new(lanes, |frame, _| usize::from(frame.head[5] & 127));
        let guests: Vec<_> = (0..guests).map(|_| QueuePort::new()).collect();
        team.lanes.iter_mut().for_each(|lane| lane.capabilities.max_frame = 9018);
        let lan = Lan::new(&configs, 1).unwrap();
        Self { lan, guests, team, now: 0, left: vec![0; lanes], wire: Vec::new() }
    }

    /// The same with NICs that keep frames.
    pub fn that_keeps(guests: usize, lanes: usize) -> Self {
        let mut bench = Self::new(guests, lanes);
        bench.team.lanes.iter_mut().for_each(|lane| lane.keeps = true);
        bench
    }

    pub fn arrive(&mut self, guest: usize, key: usize, numbers: std::ops::Range<u32>) {
        self.arrive_long(guest, key, numbers, 60);
    }

    pub fn arrive_long(&mut self, guest: usize, key: usize, numbers: std::ops::Range<u32>, length: usize) {
        for number in numbers {
            self.guests[guest].arrive(&numbered(behind(key), mac(guest as u8), number, length));
        }
        self.lan.signal(guest, Effects::TX_KICK);
    }

    /// The lane accepts `space` frames from now on.
    pub fn make_room(&mut self, lane: usize, space: usize) {
        self.team.lanes[lane].space = space;
        self.lan.interrupt();
    }

    /// At most so many of the frames that this lane has kept leave it.
    pub fn send(&mut self, lane: usize, count: usize) {
        let (nic, left) = (&mut self.team.lanes[lane], &mut self.left[lane]);
        nic.send_kept(count);
        let until = left.saturating_add(count).min(nic.sent.len() - nic.unsent());
        self.wire.extend(nic.sent[*left..until].iter().filter_map(|frame| number_of(frame)));
        *left = until;
    }

    /// Does all that there is a reason for.
    pub fn run(&mut self) -> Progress {
        let guests = self.guests.iter_mut().map(|guest| guest as &mut dyn Port);
        let mut ports: Vec<_> = guests.chain([&mut self.team as &mut dyn Port]).collect();
        self.lan.run(&mut ports, Instant(self.now))
    }

    /// The same at a later time.
    pub fn run_after(&mut self, time: Duration) -> Progress {
        self.now += nanos(time);
        self.run()
    }

    /// The numbers of the frames that a lane has accepted and not given back.
    pub fn accepted(&self, lane: usize) -> Vec<u32> {
        self.team.lanes[lane].sent.iter().filter_map(|frame| number_of(frame)).collect()
    }

    pub fn pending(&self, guest: usize) -> usize {
        self.lan.switch.pending(PortId::new(guest).unwrap())
    }

    /// The counters of the team's port.
    pub fn counters(&self) -> PortCounters {
        *self.lan.switch.counters(PortId::new(self.guests.len()).unwrap()).unwrap()
    }
}
