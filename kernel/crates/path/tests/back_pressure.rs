//! Back-pressure, hold times and link state, with queues as ports.

mod bench;

use base::{Effects, Instant, MacAddress, Port};
use bench::{Bench, is_idle, nanos};
use path::{AGEING, GUEST_QUOTA, HOLD, PATIENCE, PortConfig, PortId};
use testkit::frame::{mac, numbered};
use testkit::{Lan, QueuePort};

#[test]
fn frames_for_one_destination_are_flushed_together() {
    let mut bench = Bench::new();
    bench.arrive(0, mac(9), 0..32);
    bench.run(0);
    assert_eq!(bench.sent(2), (0..32).collect::<Vec<_>>());
    assert_eq!(bench.ports[2].flushes, 1);
}

#[test]
fn a_full_destination_stops_its_sender_instead_of_losing_frames() {
    let mut bench = Bench::new();
    bench.ports[1].space = 10;
    bench.arrive(0, mac(1), 0..100);
    assert_eq!((bench.run(0).pending, bench.ports[0].incoming.len()), (22, 68));
    // Its guest's doorbells change nothing.
    bench.lan.note(0, Effects::TX_KICK);
    let progress = bench.run(1);
    assert_eq!((progress.polled, progress.pending), (0, 22));
    assert_eq!(bench.lan.switch.next_deadline(), Some(Instant(nanos(PATIENCE))));

    bench.make_room(1, usize::MAX);
    bench.run(2);
    assert_eq!(bench.sent(1), (0..100).collect::<Vec<_>>());
    assert_eq!(bench.lan.switch.next_deadline(), None);
}

#[test]
fn a_slow_destination_does_not_delay_others_of_the_same_batch() {
    let mut bench = Bench::new();
    bench.ports[1].space = 0;
    bench.arrive(2, mac(1), 0..1);
    bench.arrive(2, mac(0), 1..2);
    bench.run(0);
    assert_eq!(bench.sent(0), [1]);
}

#[test]
fn pending_frames_are_dropped_and_counted_when_their_hold_time_is_over() {
    for ingress in [0, 2] {
        let mut bench = Bench::new();
        bench.ports[1].space = 1;
        bench.arrive(ingress, mac(1), 0..3);
        bench.run(0);
        assert_eq!(bench.run(nanos(HOLD) - 1).dropped, 0);
        assert_eq!(bench.run(nanos(HOLD)).dropped, 2);
        assert_eq!(bench.counters(1).held_too_long, 2);
        assert_eq!(bench.lan.switch.pending(PortId::new(ingress).unwrap()), 0);
    }
}

#[test]
fn a_frame_from_the_wire_waits_until_a_flooded_guest_runs_again() {
    let mut bench = Bench::new();
    bench.ports[1].space = 0;
    bench.arrive(2, mac(1), 0..1);
    for millis in 0..15 {
        bench.arrive(0, MacAddress::BROADCAST, 100..132);
        bench.run(millis * 1_000_000);
    }
    bench.make_room(1, 1);
    bench.arrive(0, MacAddress::BROADCAST, 100..132);
    bench.run(15_000_000);
    assert_eq!((bench.sent(1), bench.counters(1).held_too_long), (vec![0], 0));
}

#[test]
fn a_group_frame_reaches_each_port_with_room_once_and_waits_for_no_vnic() {
    let mut bench = Bench::new();
    bench.ports[1].space = 1;
    bench.arrive(0, MacAddress::BROADCAST, 0..2);
    bench.run(0);
    assert_eq!((bench.sent(1), bench.sent(2)), (vec![0], vec![0, 1]));
    assert_eq!((bench.counters(1).no_room, bench.ports[1].missed), (1, 1));
    assert_eq!(bench.lan.switch.next_deadline(), None);
}

#[test]
fn a_group_frame_waits_for_a_physical_nic() {
    let mut bench = Bench::new();
    bench.ports[2].space = 0;
    bench.arrive(0, MacAddress::BROADCAST, 0..2);
    bench.run(0);
    assert_eq!((bench.sent(1), bench.sent(2)), (vec![0, 1], vec![]));
    bench.make_room(2, usize::MAX);
    bench.run(1);
    assert_eq!((bench.sent(1), bench.sent(2)), (vec![], vec![0, 1]));
}

#[test]
fn a_full_vnic_does_not_delay_frames_from_the_wire_to_others() {
    let mut bench = Bench::new();
    bench.ports[1].space = 0;
    bench.arrive(2, mac(1), 0..300);
    bench.arrive(2, mac(0), 1000..1300);
    bench.run(0);
    assert_eq!(bench.sent(0), (1000..1300).collect::<Vec<_>>());
    assert_eq!(bench.counters(1).no_room, 296);
    assert_eq!(bench.lan.switch.pending(PortId::new(2).unwrap()), 4);
}

#[test]
fn fifteen_full_vnics_do_not_delay_frames_from_the_wire() {
    let guests = (0..15).map(|number| PortConfig::guest(mac(number)));
    let configs: Vec<_> = guests.chain([PortConfig::uplink()]).collect();
    let mut lan = Lan::new(&configs, 1).unwrap();
    let mut ports: Vec<_> = (0..16).map(|_| QueuePort::with_space(0)).collect();
    ports.iter_mut().for_each(|port| port.capabilities.max_frame = 9018);
    ports[0].space = usize::MAX;
    // As long as the longest frames that the vNICs take.
    for number in 0..600 {
        ports[15].arrive(&numbered(mac((number % 15) as u8), mac(99), number, 9018));
    }
    lan.interrupt();
    let mut list: Vec<_> = ports.iter_mut().map(|port| port as &mut dyn Port).collect();
    lan.run(&mut list, Instant::ZERO);
    assert_eq!(ports[0].sent.len(), 40);
    assert!(ports[15].incoming.is_empty());
}

#[test]
fn a_port_is_polled_by_its_own_work_only_and_is_named_when_it_can_go_on() {
    let mut bench = Bench::new();
    let port = |number| PortId::new(number).unwrap();
    bench.ports[1].space = 0;
    bench.arrive(0, mac(1), 0..40);
    bench.arrive(2, mac(0), 100..101);
    let [a, b, c] = &mut bench.ports;
    let list = &mut [a as &mut dyn Port, b, c];
    let first = bench.lan.switch.take_from(port(0), list, 32, Instant(0));
    assert_eq!((first.polled, first.pending), (32, 32));
    let second = bench.lan.switch.take_from(port(0), list, 32, Instant(1));
    assert_eq!((second.polled, second.resumed), (0, path::PortSet::EMPTY));
    assert!(is_idle(bench.lan.switch.retry(list, Instant(2))));
    bench.ports[1].space = 30;
    let [a, b, c] = &mut bench.ports;
    let list = &mut [a as &mut dyn Port, b, c];
    let given = bench.lan.switch.give_to(port(1), list, Instant(3));
    assert_eq!((given.delivered, given.resumed), (30, path::PortSet::EMPTY.with(port(0))));
    assert_eq!(bench.ports[2].incoming.len(), 1, "nobody polled the wire");
}

#[test]
fn frames_to_a_port_without_link_are_dropped_at_once() {
    let mut bench = Bench::new();
    bench.ports[2].capabilities.link_up = false;
    bench.arrive(0, mac(9), 0..3);
    assert_eq!(bench.run(0).dropped, 3);
    assert_eq!(bench.counters(2).link_down, 3);
    bench.lan.note(0, Effects::TX_KICK);
    assert!(is_idle(bench.run(1)));
}

#[test]
fn a_port_missing_from_the_list_is_treated_as_without_link() {
    let mut bench = Bench::new();
    bench.arrive(0, mac(9), 0..1);
    let [a, b, _] = &mut bench.ports;
    bench.lan.run(&mut [a as &mut dyn Port, b], Instant(1));
    assert_eq!(bench.counters(2).link_down, 1);
    bench.lan.note(0, Effects::TX_KICK);
    assert!(is_idle(bench.lan.run(&mut [], Instant(2))));
}

#[test]
fn senders_share_a_destination_with_little_room() {
    let mut bench = Bench::new();
    bench.arrive(0, mac(9), 0..640);
    bench.arrive(1, mac(9), 1000..1640);
    for step in 0..10 {
        bench.make_room(2, 64);
        bench.run(step);
    }
    let sent = bench.sent(2);
    let of_first = sent.iter().filter(|number| **number < 1000).count();
    assert_eq!((sent.len(), of_first), (640, 320));
}

#[test]
fn a_guest_that_invents_addresses_uses_up_its_quota_until_they_are_stale() {
    let mut bench = Bench::new();
    let invent = |bench: &mut Bench, numbers: std::ops::Range<u32>, now: u64| {
        for number in numbers {
            let [.., a, b] = number.to_be_bytes();
            bench.ports[0].arrive(&numbered(mac(9), MacAddress([2, 0, 0, 0, a, b]), number, 60));
            bench.lan.note(0, Effects::TX_KICK);
            bench.run(now);
        }
        bench.counters(0).not_learned
    };
    let refused = invent(&mut bench, 0..1000, 0);
    assert!((1..1000 - GUEST_QUOTA as u64).contains(&refused), "{refused}");
    let known = (0..1000u32).filter(|number| {
        let [.., a, b] = number.to_be_bytes();
        bench.lan.switch.find(MacAddress([2, 0, 0, 0, a, b]), Instant::ZERO).is_some()
    });
    assert_eq!(known.count(), GUEST_QUOTA);

    let later = nanos(AGEING) + 1;
    for _ in 0..path::CAPACITY / 8 {
        bench.lan.interrupt();
        bench.run(later);
    }
    assert_eq!(invent(&mut bench, 1000..1020, later), refused);
}

#[test]
fn a_port_is_told_how_many_of_its_frames_were_given_up() {
    let mut bench = Bench::new();
    bench.ports[1].space = 2;
    bench.arrive(0, mac(1), 0..5);
    bench.run(0);
    assert_eq!(bench.ports[1].missed, 0, "they wait");
    bench.run(nanos(HOLD));
    assert_eq!(bench.ports[1].missed, 3);
    bench.ports[1].capabilities.link_up = false;
    bench.arrive(0, mac(1), 5..6);
    bench.run(nanos(HOLD));
    assert_eq!(bench.ports[1].missed, 3, "without a link nothing arrives that could be missed");
}

#[test]
fn a_poll_says_whether_the_port_may_have_more() {
    let mut bench = Bench::new();
    let take = |bench: &mut Bench, budget| {
        let [a, b, c] = &mut bench.ports;
        let ports: &mut [&mut dyn Port] = &mut [a as &mut dyn Port, b, c];
        bench.lan.switch.take_from(PortId::new(2).unwrap(), ports, budget, Instant::ZERO)
    };
    bench.arrive(2, mac(0), 0..40);
    let progress = take(&mut bench, 32);
    assert_eq!((progress.polled, progress.more), (32, true));
    let progress = take(&mut bench, 32);
    assert_eq!((progress.polled, progress.more), (8, false));
    assert!(!take(&mut bench, 32).more);
}

#[test]
fn frames_of_a_port_that_has_begun_another_life_go_nowhere() {
    let mut bench = Bench::new();
    bench.ports[1].space = 1;
    let long = numbered(mac(1), mac(0), 0, 1514);
    (0..4).for_each(|_| bench.ports[0].arrive(&long));
    bench.lan.note(0, Effects::TX_KICK);
    bench.run(0);
    assert_eq!((bench.sent(1), bench.ports[0].lent()), (vec![0], 3));
    bench.ports[0].life = 1;
    bench.ports[0].overwrite_lent();
    bench.arrive(0, mac(1), 7..8);
    bench.make_room(1, usize::MAX);
    bench.run(1);
    assert_eq!((bench.sent(1), bench.counters(1).withdrawn), (vec![7], 3));
    assert_eq!((bench.ports[0].lent(), bench.ports[1].missed), (0, 0));
}

#[test]
fn a_port_whose_frames_all_wait_is_named_when_it_can_lend_more() {
    let mut bench = Bench::new();
    bench.ports[0].most_lent = 2;
    bench.ports[1].space = 0;
    bench.arrive(0, mac(1), 0..3);
    bench.run(0);
    assert_eq!((bench.ports[0].lent(), bench.ports[0].incoming.len()), (2, 1));
    bench.make_room(1, usize::MAX);
    bench.run(1);
    assert_eq!((bench.sent(1), bench.ports[0].lent()), (vec![0, 1, 2], 0));
}
