//! Several NICs behind one port, of which some fail: what they give back is sent by the others.

mod bench;

use base::time::Duration;
use base::{Instant, Port};
use bench::team::TeamBench;
use path::{PortId, RESEND_HOLD};

fn range(numbers: std::ops::Range<u32>) -> Vec<u32> {
    numbers.collect()
}

#[test]
fn frames_keep_their_order_when_they_move_from_nic_to_nic_to_nic() {
    let mut bench = TeamBench::that_keeps(1, 3);
    bench.arrive(0, 0, 0..10);
    bench.run();
    bench.send(0, 3);
    // The second one takes two of the seven that come back.
    bench.make_room(1, 2);
    bench.team.fail(0, 1);
    bench.run_after(Duration::from_micros(100));
    assert_eq!((bench.accepted(0), bench.accepted(1), bench.pending(0)), (range(0..3), range(3..5), 5));
    bench.arrive(0, 0, 10..15);
    bench.run();
    assert_eq!(bench.pending(0), 10);
    // They come back while the others wait still, and go before them.
    bench.team.fail(1, 2);
    bench.run_after(Duration::from_micros(100));
    assert_eq!((bench.accepted(1), bench.accepted(2)), (vec![], range(3..15)));
    bench.send(2, 100);
    assert_eq!((bench.wire.clone(), bench.counters().taken_back), (range(0..15), 9));
}

#[test]
fn flows_of_two_nics_that_fail_one_after_the_other_keep_their_order() {
    let mut bench = TeamBench::that_keeps(1, 3);
    for number in 0..20 {
        bench.arrive(0, number as usize % 2, number..number + 1);
    }
    bench.run();
    (0..2).for_each(|lane| bench.send(lane, 4));
    // What the first one gives back waits for the second one, and more that is for either behind it.
    bench.make_room(1, 0);
    bench.team.fail(0, 1);
    bench.run_after(Duration::from_micros(100));
    for number in 20..24 {
        bench.arrive(0, number as usize % 2, number..number + 1);
    }
    bench.run();
    assert_eq!(bench.pending(0), 6 + 4);
    bench.team.fail(1, 2);
    bench.run_after(Duration::from_micros(100));
    assert_eq!(bench.pending(0), 0);
    bench.send(2, 100);
    for flow in 0..2 {
        let of = bench.wire.iter().copied().filter(|number| number % 2 == flow);
        assert!(of.eq((0..24).filter(|number| number % 2 == flow)), "{:?}", bench.wire);
    }
}

#[test]
fn both_nics_may_fail_at_once() {
    let mut bench = TeamBench::that_keeps(2, 3);
    for guest in 0..2 {
        for key in 0..2 {
            let first = 100 * guest as u32 + 1000 * key as u32;
            bench.arrive(guest, key, first..first + 10);
        }
    }
    bench.run();
    bench.team.fail(0, 2);
    bench.team.fail(1, 2);
    bench.run_after(Duration::from_micros(100));
    bench.send(2, 100);
    for first in [0, 100, 1000, 1100] {
        let of = bench.wire.iter().copied().filter(|number| (first..first + 100).contains(number));
        assert!(of.eq(first..first + 10), "{:?}", bench.wire);
    }
}

#[test]
fn what_comes_back_is_offered_again_at_once_whoever_asks() {
    for asks in 0..2 {
        let mut bench = TeamBench::that_keeps(2, 2);
        bench.arrive(0, 0, 0..10);
        bench.run();
        bench.team.fail(0, 1);
        let guests = bench.guests.iter_mut().map(|guest| guest as &mut dyn Port);
        let mut ports: Vec<_> = guests.chain([&mut bench.team as &mut dyn Port]).collect();
        let (other, now) = (PortId::new(1).unwrap(), Instant(1000));
        match asks {
            0 => bench.lan.switch.take_from(other, &mut ports, 32, now),
            _ => bench.lan.switch.give_to(other, &mut ports, now),
        };
        assert_eq!((bench.accepted(1), bench.pending(0)), (range(0..10), 0));
        assert_eq!(bench.lan.switch.kept(PortId::new(0).unwrap()), 10);
    }
}

#[test]
fn nothing_is_dropped_for_want_of_a_link_while_one_nic_has_one() {
    let mut bench = TeamBench::that_keeps(1, 3);
    bench.arrive(0, 0, 0..30);
    bench.run();
    for (failing, survivor) in [(0, 1), (1, 2)] {
        bench.make_room(survivor, 0);
        bench.team.fail(failing, survivor);
        bench.run_after(Duration::from_micros(100));
        bench.arrive(0, 0, 30 * (1 + failing as u32)..30 * (2 + failing as u32));
        bench.run_after(Duration::from_millis(10));
        bench.make_room(survivor, usize::MAX);
        bench.run();
    }
    assert_eq!((bench.accepted(2), bench.counters().dropped_on_departure()), (range(0..90), 0));
    // The last one takes nothing: what came back is held for its time, and what has come since for less.
    bench.make_room(2, 0);
    bench.team.lanes[2].give_up();
    bench.run_after(Duration::from_micros(100));
    bench.arrive(0, 0, 90..100);
    bench.run();
    bench.run_after(RESEND_HOLD - Duration::from_nanos(1));
    assert_eq!((bench.pending(0), bench.counters().link_down), (90 + 4, 0));
    bench.run_after(Duration::from_nanos(1));
    let counters = bench.counters();
    assert_eq!((bench.pending(0), counters.held_too_long, counters.no_room), (0, 94, 6));
    // And now it has no link either.
    bench.team.lanes[2].capabilities.link_up = false;
    bench.arrive(0, 0, 100..110);
    bench.run();
    assert_eq!((bench.counters().link_down, bench.pending(0)), (10, 0));
}
