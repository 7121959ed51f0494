//! How long a sender stands still for a destination that takes nothing, or takes frames slowly.

mod bench;

use base::{Effects, Instant, MacAddress, Port};
use bench::{Bench, nanos};
use path::{HOLD, PATIENCE, PortConfig, PortId};
use testkit::frame::{mac, numbered};
use testkit::{Lan, QueuePort};

/// What station 0 sends to a guest that takes nothing, and then 1000 frames to the wire.
fn sends_beside_a_full_vnic(destination: MacAddress, count: u32) -> (Bench, u64) {
    let mut bench = Bench::new();
    bench.ports[1].space = 0;
    bench.arrive(0, destination, 0..count);
    bench.arrive(0, mac(9), 1000..2000);
    let mut now = 0;
    let mut wire = Vec::new();
    while wire.len() < 1000 {
        bench.run(now);
        wire.extend(bench.sent(2).into_iter().filter(|number| *number >= 1000));
        now += 100_000;
        assert!(now < nanos(HOLD), "{} frames are out after {now} ns", wire.len());
    }
    assert_eq!(wire, (1000..2000).collect::<Vec<_>>());
    (bench, now)
}

#[test]
fn one_group_frame_for_a_full_vnic_delays_its_sender_not_at_all() {
    let (bench, now) = sends_beside_a_full_vnic(MacAddress::BROADCAST, 1);
    assert_eq!(now, 100_000, "all are out at once");
    assert_eq!(bench.counters(1).no_room, 1);
}

#[test]
fn a_few_frames_for_a_full_vnic_delay_its_sender_not_at_all() {
    let (bench, now) = sends_beside_a_full_vnic(mac(1), 4);
    assert_eq!(now, 100_000, "all are out at once");
    assert_eq!(bench.lan.switch.pending(PortId::new(0).unwrap()), 4);
}

#[test]
fn many_frames_for_a_full_vnic_delay_its_sender_no_longer_than_its_patience() {
    let (mut bench, now) = sends_beside_a_full_vnic(mac(1), 500);
    assert_eq!(now, nanos(PATIENCE) + 100_000);
    assert_eq!(bench.counters(1).no_room, 496);
    // The same again, later: the vNIC still takes nothing, and its sender does not wait for it once more.
    let later = now + 1_000_000;
    bench.arrive(0, mac(1), 0..500);
    bench.arrive(0, mac(9), 1000..1100);
    bench.run(later);
    assert_eq!(bench.sent(2), (1000..1100).collect::<Vec<_>>());
}

#[test]
fn senders_stand_still_for_a_vnic_that_takes_20000_frames_a_second() {
    let mut bench = Bench::new();
    bench.ports[1].space = 0;
    bench.arrive(0, mac(1), 0..1000);
    for turn in 0..1000 {
        bench.make_room(1, 1);
        bench.run(turn * 50_000);
    }
    assert_eq!((bench.sent(1).len(), bench.counters(1).dropped_on_departure()), (1000, 0));
}

#[test]
fn senders_stand_still_for_a_vnic_whose_guest_runs_every_other_slice() {
    let mut bench = Bench::new();
    bench.ports[1].space = 256;
    bench.arrive(0, mac(1), 0..6000);
    for turn in 0..25 {
        bench.run(turn * 4_000_000);
        bench.run(turn * 4_000_000 + 2_000_000);
        bench.make_room(1, 256);
    }
    assert_eq!((bench.sent(1).len(), bench.counters(1).dropped_on_departure()), (6000, 0));
}

#[test]
fn a_vnic_that_takes_frames_slowly_seldom_stops_its_senders() {
    // One frame every 500 us, or every 200 us, for a second, and meanwhile as many to the wire as to it.
    for (gap, most) in [(500_000, 110), (200_000, 260)] {
        let mut bench = Bench::new();
        bench.ports[1].space = 0;
        let (mut stood, mut next) = (0, 0);
        for millisecond in 0..1000u64 {
            for number in next..next + 20 {
                bench.arrive(0, mac(if number % 2 == 0 { 1 } else { 9 }), number..number + 1);
            }
            next += 20;
            for now in (millisecond * 1_000_000..(millisecond + 1) * 1_000_000).step_by(50_000) {
                if now % gap == 0 {
                    bench.make_room(1, 1);
                }
                bench.run(now);
            }
            stood += u32::from(!bench.ports[0].incoming.is_empty());
        }
        // 4 ms, and 50 us for each frame that it has taken.
        assert!(stood <= most, "one in {gap} ns: its sender stood still in {stood} of 1000 ms");
        let beyond = bench.counters(1);
        assert!(beyond.no_room + beyond.held_too_long > 0, "{beyond:?}");
    }
}

#[test]
fn a_guest_that_sends_faster_than_the_wire_waits_for_it() {
    let mut bench = Bench::new();
    bench.ports[2].space = 0;
    bench.arrive(0, mac(9), 0..500);
    bench.arrive(1, mac(9), 1000..1500);
    // As fast as 100 Mb/s.
    for turn in 0..1000 {
        bench.make_room(2, 1);
        bench.run(turn * 120_000);
    }
    assert_eq!((bench.sent(2).len(), bench.counters(2).dropped_on_departure()), (1000, 0));
}

#[test]
fn a_physical_nic_that_hangs_stops_nobody_for_longer_than_frames_are_held() {
    let mut bench = Bench::new();
    bench.ports[2].space = 0;
    bench.arrive(0, mac(9), 0..500);
    bench.arrive(0, mac(1), 1000..1100);
    for now in [0, nanos(HOLD) - 1] {
        bench.run(now);
        assert_eq!(bench.sent(1), []);
    }
    bench.run(nanos(HOLD));
    assert_eq!(bench.sent(1), (1000..1100).collect::<Vec<_>>());
    // Later it still hangs, and the guest does not wait for it once more.
    for later in [30_000_000, 100_000_000] {
        bench.arrive(0, mac(9), 0..500);
        bench.arrive(0, MacAddress::BROADCAST, 2000..2010);
        bench.run(later);
        assert_eq!(bench.sent(1), (2000..2010).collect::<Vec<_>>());
    }
    // When it takes frames again, the guest waits for it as before.
    let now = 200_000_000;
    let before = bench.counters(2).no_room;
    bench.make_room(2, 10);
    bench.run(now);
    bench.arrive(0, mac(9), 3000..3100);
    bench.run(now + 1);
    assert_eq!(bench.ports[0].incoming.len(), 68);
    bench.make_room(2, usize::MAX);
    bench.run(now + 2);
    assert_eq!(bench.counters(2).no_room, before);
    assert!(bench.sent(2).ends_with(&(3000..3100).collect::<Vec<_>>()));
}

#[test]
fn a_slow_wire_that_gets_stuck_lets_go_of_frames_when_they_were_held_for_that_long() {
    let mut bench = Bench::new();
    bench.ports[2].space = 0;
    bench.arrive(0, mac(9), 0..100);
    bench.arrive(0, mac(1), 1000..1100);
    bench.arrive(1, mac(9), 2000..2002);
    bench.run(0);
    // One frame in 15 ms is slow, and nothing is too old for that.
    for number in 1..=4u64 {
        bench.make_room(2, 1);
        let progress = bench.run(number * 15_000_000);
        assert_eq!((progress.delivered, progress.dropped), (1, 0));
    }
    let end = 60_000_000 + nanos(HOLD);
    assert_eq!(bench.lan.switch.next_deadline(), Some(Instant(end)));
    assert_eq!(bench.run(end - 1).dropped, 0);
    assert_eq!(bench.sent(1), [], "its sender stands still");
    bench.run(end);
    assert_eq!(bench.sent(1), (1000..1100).collect::<Vec<_>>());
    let counters = bench.counters(2);
    assert_eq!((counters.tx_frames, counters.held_too_long), (4, 30), "{counters:?}");
    // Four of those that came since wait, each for its own time.
    assert_eq!((counters.no_room, bench.lan.switch.next_deadline()), (64, Some(Instant(end + nanos(HOLD)))));
}

#[test]
fn a_few_frames_for_a_slow_wire_delay_their_sender_not_at_all() {
    let mut bench = Bench::new();
    bench.ports[2].space = 0;
    bench.arrive(0, mac(9), 0..4);
    bench.run(0);
    for number in 1..=3u64 {
        bench.make_room(2, 1);
        bench.arrive(0, mac(1), 1000..1100);
        bench.run(number * 15_000_000);
        assert_eq!(bench.sent(1).len(), 100);
    }
    assert_eq!((bench.sent(2), bench.counters(2).dropped()), (vec![0, 1, 2], 0));
}

#[test]
fn however_many_destinations_take_nothing_a_guest_reaches_the_others() {
    let guests = (0..15).map(|number| PortConfig::guest(mac(number)));
    let configs: Vec<_> = guests.chain([PortConfig::uplink()]).collect();
    let mut lan = Lan::new(&configs, 1).unwrap();
    let mut ports: Vec<_> = (0..16).map(|_| QueuePort::with_space(0)).collect();
    ports.iter_mut().for_each(|port| port.capabilities.max_frame = 9018);
    ports[14].space = usize::MAX;
    for number in 0..900 {
        // To all guests but itself, and to the wire.
        ports[0].arrive(&numbered(mac(1 + (number % 15) as u8), mac(0), number, 9018));
    }
    lan.note(0, Effects::TX_KICK);
    let mut list: Vec<_> = ports.iter_mut().map(|port| port as &mut dyn Port).collect();
    lan.run(&mut list, Instant::ZERO);
    while let Some(deadline) = lan.switch.next_deadline().filter(|deadline| deadline.0 < 100_000_000) {
        lan.run(&mut list, deadline);
    }
    assert_eq!((ports[14].sent.len(), ports[0].incoming.len()), (60, 0));
}
