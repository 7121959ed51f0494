//! Whatever happens to several NICs behind one port, no frame is duplicated, lost without being counted, or passes one of its flow,
//! and none waits for a NIC that is not its own.

mod bench;

use base::time::Duration;
use base::{Effects, Instant};
use bench::team::TeamBench;
use path::PortId;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use testkit::frame::number_of;

const GUESTS: usize = 3;
const LANES: usize = 3;
const KEYS: usize = 6;

/// What happens between two steps.
#[derive(Clone, Debug)]
enum LaneEvent {
    /// A guest sends a burst.
    Arrive { guest: usize, key: usize, count: u32, length: usize },
    /// A NIC accepts `space` more frames from now on.
    Space { lane: usize, space: usize },
    /// It sends some of what it has kept.
    Send { lane: usize, count: usize },
    /// It fails, and another one carries its frames.
    Fail { lane: usize, survivor: usize },
    /// It works again.
    Restore { lane: usize },
    /// Frames with this key move to another NIC, if that which has carried them has sent them all.
    Move { key: usize, lane: usize },
    /// Time passes.
    Wait { micros: u64 },
}

fn event() -> impl Strategy<Value = LaneEvent> {
    use LaneEvent::*;
    let (guest, lane, key) = (0..GUESTS, 0..LANES, 0..KEYS);
    prop_oneof![
        6 => (guest, key.clone(), 1u32..60, 60usize..9000).prop_map(|(guest, key, count, length)| {
            Arrive { guest, key, count, length }
        }),
        4 => (lane.clone(), 0usize..60).prop_map(|(lane, space)| Space { lane, space }),
        4 => (lane.clone(), 1usize..100).prop_map(|(lane, count)| Send { lane, count }),
        2 => (lane.clone(), lane.clone()).prop_map(|(lane, survivor)| Fail { lane, survivor }),
        2 => lane.clone().prop_map(|lane| Restore { lane }),
        3 => (key, lane).prop_map(|(key, lane)| Move { key, lane }),
        3 => (0u64..30_000).prop_map(|micros| Wait { micros }),
    ]
}

/// A bench, and the guest and the key of each frame, by its number.
struct Histories {
    bench: TeamBench,
    flows: Vec<(usize, usize)>,
}

impl Histories {
    fn apply(&mut self, event: LaneEvent) {
        let bench = &mut self.bench;
        let has_link = |bench: &TeamBench, lane: usize| bench.team.lanes[lane].capabilities.link_up;
        match event {
            LaneEvent::Arrive { guest, key, count, length } => {
                let first = self.flows.len() as u32;
                self.flows.resize(self.flows.len() + count as usize, (guest, key));
                bench.arrive_long(guest, key, first..first + count, length);
            }
            LaneEvent::Space { lane, space } => bench.make_room(lane, space),
            LaneEvent::Send { lane, count } => bench.send(lane, count),
            LaneEvent::Fail { lane, survivor } => {
                if lane != survivor && has_link(bench, survivor) {
                    bench.team.fail(lane, survivor);
                    bench.lan.interrupt();
                }
            }
            LaneEvent::Restore { lane } => bench.team.lanes[lane].capabilities.link_up = true,
            LaneEvent::Move { key, lane } => {
                if has_link(bench, lane) && bench.team.lanes[bench.team.table[key]].kept() == 0 {
                    bench.team.table[key] = lane;
                    bench.lan.interrupt();
                }
            }
            LaneEvent::Wait { micros } => bench.now += micros * 1000,
        }
    }

    fn check(&mut self) {
        let bench = &mut self.bench;
        assert!(bench.lan.switch.next_deadline().is_none_or(|due| due.0 > bench.now));
        let (counters, pending) =
            (bench.counters(), (0..GUESTS).map(|guest| bench.pending(guest)).sum::<usize>());
        let of = |guest: usize| *bench.lan.switch.counters(PortId::new(guest).unwrap()).unwrap();
        let copies: u64 = (0..GUESTS).map(|guest| of(guest).copies).sum();
        let dropped = counters.dropped_on_departure();
        assert_eq!(copies + counters.taken_back, counters.tx_frames + dropped + pending as u64);
        assert_eq!(counters.link_down, 0, "there is always a NIC with a link");
        let accepted: usize = bench.team.lanes.iter().map(|lane| lane.sent.len()).sum();
        assert_eq!(counters.tx_frames, accepted as u64 + counters.taken_back);
        let gone: HashSet<_> = (0..LANES).flat_map(|lane| bench.accepted(lane)).collect();
        for (guest, port) in bench.guests.iter().enumerate().filter(|(guest, _)| bench.pending(*guest) > 0) {
            // Those that have been dropped are among them.
            let to_come: HashSet<_> = port.incoming.iter().filter_map(|frame| number_of(frame)).collect();
            let waits = |number: &u32| !gone.contains(number) && !to_come.contains(number);
            let own = (0..).zip(&self.flows).filter(|(_, flow)| flow.0 == guest);
            let mut waiting = own.filter(|(number, _)| waits(number));
            let full = |key: usize| bench.team.lanes[bench.team.table[key]].space == 0;
            assert!(waiting.any(|(_, flow)| full(flow.1)), "guest {guest} waits for the NIC of others");
        }
        let guests = bench.guests.iter_mut().map(|guest| guest as &mut dyn base::Port);
        let mut ports: Vec<_> = guests.chain([&mut bench.team as &mut dyn base::Port]).collect();
        let again = bench.lan.switch.retry(&mut ports, Instant(bench.now));
        assert_eq!((again.delivered, again.dropped), (0, 0), "all that could be sent was");
        again.resumed.iter().for_each(|port| bench.lan.signal(port.index(), Effects::TX_KICK));
    }

    fn finish(&mut self) {
        let lent =
            |bench: &TeamBench| bench.guests.iter().any(|guest| guest.lent() + guest.incoming.len() > 0);
        let mut rounds = 0;
        while lent(&self.bench) {
            for lane in 0..LANES {
                self.bench.make_room(lane, usize::MAX);
                self.bench.send(lane, 4096);
            }
            self.bench.run_after(Duration::from_micros(100));
            self.check();
            rounds += 1;
            assert!(rounds < 1000, "frames stay behind");
        }
        let (wire, counters) = (&self.bench.wire, self.bench.counters());
        assert_eq!(wire.len() as u64 + counters.dropped_on_departure(), self.flows.len() as u64);
        assert_eq!(wire.iter().collect::<HashSet<_>>().len(), wire.len(), "none is sent twice");
        let mut last = HashMap::new();
        for number in wire {
            let before = last.insert(self.flows[*number as usize], *number);
            assert!(before.is_none_or(|before| before < *number), "{before:?} before {number}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flows_keep_their_order_and_no_frame_waits_for_another_nic(
        events in prop::collection::vec(event(), 1..60),
    ) {
        let mut bench = TeamBench::that_keeps(GUESTS, LANES);
        bench.team.table = (0..KEYS).map(|key| key % LANES).collect();
        bench.guests.iter_mut().for_each(|guest| guest.capabilities.max_frame = 9018);
        let mut histories = Histories { bench, flows: Vec::new() };
        for event in events {
            histories.apply(event);
            histories.bench.run();
            histories.check();
        }
        histories.finish();
    }
}
