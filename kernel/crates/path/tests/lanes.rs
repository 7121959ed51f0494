//! Several NICs behind one port: who waits for one of them, and who does not.

mod bench;

use base::time::Duration;
use base::{Effects, Instant};
use bench::nanos;
use bench::team::TeamBench;
use path::{HOLD, PortId};

/// What each of these guests gets onto each of two NICs that send `rate` frames in each of 2000 rounds. Each guest always has
/// frames to send: its keys in turn, and their length.
fn shares(guests: &[(&[usize], usize)], rate: usize) -> Vec<[usize; 2]> {
    let mut bench = TeamBench::new(guests.len(), 2);
    let mut counts = vec![[0; 2]; guests.len()];
    let mut next = vec![0; guests.len()];
    for _ in 0..2000 {
        (0..2).for_each(|lane| bench.make_room(lane, rate));
        for (guest, (keys, length)) in guests.iter().enumerate() {
            while bench.guests[guest].incoming.len() < 64 {
                bench.arrive_long(guest, keys[next[guest] % keys.len()], 0..1, *length);
                next[guest] += 1;
            }
        }
        bench.run_after(Duration::from_micros(50));
        for (lane, nic) in bench.team.lanes.iter_mut().enumerate() {
            nic.take_sent().iter().for_each(|frame| counts[usize::from(frame[11])][lane] += frame.len());
        }
    }
    assert_eq!(bench.counters().dropped_on_departure(), 0, "nobody's frames are dropped");
    counts
}

/// Asserts that the first number is a half of the sum, but for this part of it.
fn assert_half(one: usize, other: usize, deviation: f64) {
    let half = (one + other) as f64 / 2.0;
    assert!((one as f64 - half).abs() <= deviation * half, "{one} and {other}");
}

#[test]
fn a_full_nic_stops_nobody_who_sends_by_another() {
    let mut bench = TeamBench::new(3, 3);
    bench.team.lanes[0].space = 0;
    bench.arrive(0, 0, 0..500);
    bench.run();
    assert_eq!(bench.guests[0].incoming.len(), 500 - 32);
    bench.arrive(1, 1, 1000..2000);
    bench.arrive(2, 2, 2000..3000);
    let progress = bench.run();
    assert_eq!((progress.polled, progress.delivered), (2000, 2000), "all at once");
    assert_eq!(bench.accepted(1), (1000..2000).collect::<Vec<_>>());
    assert_eq!(bench.accepted(2), (2000..3000).collect::<Vec<_>>());
    // And as long as it lasts, a few in each round, while a NIC takes frames slowly.
    for round in 1..=400u32 {
        bench.make_room(0, 1);
        bench.arrive(1, 1, 3000 + round..3001 + round);
        bench.run_after(Duration::from_micros(100));
        assert_eq!(
            (bench.accepted(0).len(), bench.accepted(1).len()),
            (round as usize, 1000 + round as usize)
        );
    }
}

#[test]
fn those_who_send_by_one_nic_share_it_whatever_others_do() {
    let (by_0, by_1): (&[usize], &[usize]) = (&[0], &[1]);
    for rate in [1, 4, 8] {
        let counts = shares(&[(by_0, 1514), (by_1, 1514), (by_0, 1514)], rate);
        assert_half(counts[0][0], counts[2][0], 0.05);
        assert_eq!(counts[1], [0, 2000 * rate * 1514], "it has a NIC of its own");
    }
    let counts = shares(&[(by_0, 9014), (by_1, 1514), (by_0, 1514), (by_1, 9014)], 4);
    assert_half(counts[0][0], counts[2][0], 0.15);
    assert_half(counts[1][1], counts[3][1], 0.15);
}

#[test]
fn who_sends_by_two_nics_has_a_share_of_each() {
    for rate in [1, 4, 8] {
        for keys in [&[0, 1][..], &[0, 0, 0, 1, 1, 1], &[0, 0, 1, 1, 1, 0, 1, 0]] {
            // It waits for one after the other, so it has less than half of each, and more than half of one in all.
            let counts = shares(&[(keys, 1514), (&[0], 1514), (&[1], 1514)], rate);
            let sum: usize = counts.iter().flatten().sum();
            assert_eq!(sum, 2 * 2000 * rate * 1514, "both NICs are full: {counts:?}");
            for sent in counts[0] {
                let part = sent as f64 / (sum / 2) as f64;
                assert!((0.3..0.52).contains(&part), "{part} of a NIC: {counts:?}");
            }
            let counts = shares(&[(keys, 1514), (keys, 1514), (&[0], 1514)], rate);
            assert_half(counts[0][0], counts[1][0], 0.05);
            assert_half(counts[0][1], counts[1][1], 0.05);
        }
    }
}

#[test]
fn a_frame_for_a_full_nic_holds_up_the_frames_of_its_own_sender_only() {
    let mut bench = TeamBench::new(2, 2);
    bench.team.lanes[0].space = 0;
    bench.arrive(0, 0, 0..1);
    bench.arrive(0, 1, 1..4);
    bench.arrive(1, 1, 10..14);
    bench.run();
    assert_eq!(bench.accepted(1), [10, 11, 12, 13]);
    bench.make_room(0, 1);
    bench.run();
    assert_eq!((bench.accepted(0), bench.accepted(1)), (vec![0], vec![10, 11, 12, 13, 1, 2, 3]));
}

#[test]
fn frames_follow_when_they_move_to_another_nic() {
    let mut bench = TeamBench::new(3, 2);
    (0..2).for_each(|lane| bench.team.lanes[lane].space = 0);
    bench.arrive(0, 0, 0..20);
    bench.arrive(1, 1, 100..120);
    bench.run();
    // Both are the second one's now.
    bench.team.table = vec![1, 1];
    bench.make_room(1, 40);
    bench.run_after(Duration::from_micros(50));
    assert_eq!((bench.accepted(1).len(), bench.pending(0), bench.pending(1)), (40, 0, 0));
    // The first one has none that waits, and its next sender is served at once.
    bench.team.table = vec![0, 1];
    bench.make_room(0, 5);
    bench.arrive(2, 0, 200..205);
    bench.run();
    assert_eq!(bench.accepted(0), (200..205).collect::<Vec<_>>());
}

#[test]
fn a_nic_that_hangs_makes_no_frame_for_another_late() {
    let mut bench = TeamBench::new(2, 2);
    (0..2).for_each(|lane| bench.team.lanes[lane].space = 0);
    // The second one takes a frame in 15 ms: that is slow, and nothing is too old for it.
    bench.arrive(0, 0, 0..100);
    bench.arrive(1, 1, 1000..1100);
    bench.run();
    assert_eq!(bench.lan.switch.next_deadline(), Some(Instant(nanos(HOLD))));
    for number in 1..=10 {
        bench.make_room(1, 1);
        bench.run_after(Duration::from_millis(15));
        assert_eq!(bench.accepted(1).len(), number);
        // The first one has taken nothing for too long from the second round on.
        let (hung, due) = (bench.now >= nanos(HOLD), bench.lan.switch.next_deadline().unwrap());
        assert!(due.0 > bench.now);
        assert_eq!(bench.guests[0].incoming.is_empty(), hung);
    }
    let counters = bench.counters();
    assert_eq!(bench.pending(1) + bench.guests[1].incoming.len() + 10, 100, "none is dropped: {counters:?}");
    assert_eq!(counters.no_room + counters.held_too_long, 100 - bench.pending(0) as u64);
}

#[test]
fn frames_behind_those_for_a_nic_that_hangs_are_not_dropped_for_its_sake() {
    let mut bench = TeamBench::new(2, 2);
    bench.team.lanes[0].space = 0;
    bench.arrive(0, 0, 0..8);
    bench.arrive(0, 1, 8..20);
    bench.run();
    assert_eq!(bench.accepted(1), []);
    bench.run_after(HOLD);
    assert_eq!((bench.accepted(1), bench.pending(0)), ((8..20).collect::<Vec<_>>(), 0));
    assert_eq!(bench.counters().held_too_long, 8);
    // It is known to hang, though nothing waits for it any more, whatever goes by the other one: its senders do not stand still again.
    for round in 1..10u32 {
        bench.arrive(1, 1, 100 * round..100 * round + 50);
        bench.arrive(0, 0, 100 * round..100 * round + 10);
        bench.arrive(0, 1, 100 * round + 50..100 * round + 60);
        let before = bench.accepted(1).len();
        bench.run_after(Duration::from_millis(1));
        assert_eq!(bench.accepted(1).len() - before, 60, "in round {round}");
    }
    // It works again.
    bench.make_room(0, usize::MAX);
    bench.arrive(0, 0, 5000..5200);
    bench.run();
    assert_eq!(bench.accepted(0).len(), 200);
}

#[test]
fn who_asks_while_others_wait_in_another_lane_is_served_at_once() {
    let mut bench = TeamBench::new(2, 2);
    bench.team.lanes[0].space = 0;
    bench.arrive(0, 0, 0..100);
    bench.run();
    let (port, mut number) = (PortId::new(1).unwrap(), 1000);
    for _ in 0..10 {
        bench.arrive(1, 1, number..number + 32);
        number += 32;
        let guests = bench.guests.iter_mut().map(|guest| guest as &mut dyn base::Port);
        let mut ports: Vec<_> = guests.chain([&mut bench.team as &mut dyn base::Port]).collect();
        let progress = bench.lan.switch.take_from(port, &mut ports, 32, Instant(bench.now));
        assert_eq!((progress.polled, progress.delivered, progress.pending), (32, 32, 0));
    }
    bench.lan.signal(1, Effects::TX_KICK);
    assert_eq!(bench.run().delivered, 0);
}
