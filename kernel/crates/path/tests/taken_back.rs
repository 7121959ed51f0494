//! Frames that a physical NIC has accepted and gives back unsent.

mod bench;

use base::time::Duration;
use base::{Effects, Instant, MacAddress};
use bench::{Bench, nanos};
use path::{PortId, RESEND_HOLD};
use testkit::frame::{mac, number_of, numbered};

/// The wire keeps frames of both guests, of which it has sent the first three.
fn kept() -> Bench {
    let mut bench = Bench::new();
    bench.ports[2].keeps = true;
    bench.arrive(0, mac(9), 0..10);
    bench.arrive(1, mac(9), 100..110);
    bench.run(0);
    bench.ports[2].send_kept(3);
    bench
}

fn pending(bench: &Bench, port: usize) -> (usize, usize) {
    let port = PortId::new(port).unwrap();
    (bench.lan.switch.pending(port), bench.lan.switch.kept(port))
}

#[test]
fn they_leave_first_and_in_order_when_the_nic_works_again() {
    let mut bench = kept();
    bench.ports[2].give_up();
    bench.ports[2].capabilities.link_up = false;
    bench.run(100_000);
    assert_eq!((pending(&bench, 0), pending(&bench, 1)), ((7, 0), (10, 0)));
    // What comes while there is no link is dropped, as always, and those that were there before are not.
    bench.arrive(0, mac(9), 10..20);
    bench.run(1_000_000);
    assert_eq!((pending(&bench, 0).0, bench.counters(2).link_down), (7, 10));
    assert_eq!(bench.ports[0].incoming.len(), 0, "its sender does not stand still");

    bench.ports[2].capabilities.link_up = true;
    bench.arrive(0, mac(9), 20..25);
    bench.run(2_000_000);
    let sent = bench.sent(2);
    let of = |first: u32| sent.iter().copied().filter(|number| number / 100 == first).collect::<Vec<_>>();
    assert_eq!(of(0), (0..10).chain(20..25).collect::<Vec<_>>());
    assert_eq!(of(1), (100..110).collect::<Vec<_>>());
    let counters = bench.counters(2);
    assert_eq!((counters.taken_back, counters.dropped_on_departure()), (17, 10));
    bench.ports[2].send_kept(100);
    bench.run(2_100_000);
    assert_eq!((bench.ports[0].lent(), bench.ports[1].lent()), (0, 0));
}

#[test]
fn they_wait_for_a_nic_without_a_link_until_their_time_ends_and_are_counted() {
    let mut bench = kept();
    bench.ports[2].give_up();
    bench.ports[2].capabilities.link_up = false;
    bench.run(100_000);
    let end = 100_000 + nanos(RESEND_HOLD);
    assert_eq!(bench.lan.switch.next_deadline(), Some(Instant(end)));
    bench.run(end - 1);
    assert_eq!(pending(&bench, 0).0 + pending(&bench, 1).0, 17);
    bench.run(end);
    assert_eq!((pending(&bench, 0).0 + pending(&bench, 1).0, bench.counters(2).held_too_long), (0, 17));
    assert_eq!(bench.lan.switch.next_deadline(), None);
}

#[test]
fn those_that_are_taken_back_again_come_before_those_that_wait() {
    let mut bench = kept();
    for now in [1, 2, 3] {
        bench.ports[2].give_up();
        bench.ports[2].space = 4;
        bench.lan.signal(2, Effects::RX_SPACE);
        bench.run(now * 1_000_000);
        assert_eq!(bench.ports[2].sent.len(), 3 + 4, "four were accepted again");
    }
    bench.make_room(2, usize::MAX);
    bench.run(4_000_000);
    let sent = bench.sent(2);
    let of = |first: u32| sent.iter().copied().filter(|number| number / 100 == first).collect::<Vec<_>>();
    assert_eq!((of(0), of(1)), ((0..10).collect::<Vec<_>>(), (100..110).collect::<Vec<_>>()));
}

#[test]
fn those_of_another_life_of_their_guest_are_withdrawn_and_keep_nobody_waiting() {
    let mut bench = Bench::new();
    bench.ports[2].keeps = true;
    for number in 0..5 {
        bench.ports[0].arrive(&numbered(mac(9), mac(0), number, 500));
    }
    bench.lan.signal(0, Effects::TX_KICK);
    bench.run(0);
    let port = PortId::new(0).unwrap();
    assert_eq!(bench.lan.switch.referred(port), 5);
    // Frames of its next life are there before the NIC gives up.
    bench.ports[0].life += 1;
    bench.arrive(0, mac(9), 10..12);
    bench.run(50_000);
    bench.ports[2].give_up();
    bench.run(200_000);
    assert_eq!((bench.lan.switch.referred(port), bench.counters(2).withdrawn), (0, 5));
    let sent = bench.ports[2].sent.iter().map(|frame| number_of(frame));
    assert!(sent.eq([Some(10), Some(11)]));
    // And the same if there is none yet.
    bench.ports[2].give_up();
    bench.ports[0].life += 1;
    bench.ports[2].capabilities.link_up = false;
    bench.run(400_000);
    assert_eq!((pending(&bench, 0), bench.counters(2).withdrawn), ((0, 0), 7));
    assert_eq!((bench.counters(2).taken_back, bench.ports[0].lent()), (9, 0), "two of them twice");
}

#[test]
fn a_guest_whose_window_is_full_of_them_goes_on_when_their_time_ends() {
    let mut bench = Bench::new();
    bench.ports[2].keeps = true;
    bench.arrive(0, mac(9), 0..200);
    bench.arrive(0, mac(1), 1000..1010);
    bench.run(0);
    bench.ports[2].give_up();
    bench.ports[2].capabilities.link_up = false;
    bench.run(100_000);
    assert_eq!((bench.sent(1).len(), bench.ports[0].incoming.len()), (0, 82));
    let end = Duration::from_micros(100) + RESEND_HOLD;
    bench.run(nanos(end));
    assert_eq!((bench.sent(1), bench.ports[0].lent()), ((1000..1010).collect::<Vec<_>>(), 0));
    assert_eq!((bench.counters(2).held_too_long, bench.counters(2).link_down), (128, 72));
}

#[test]
fn a_group_frame_that_the_wire_gives_back_went_to_the_guests_once() {
    let mut bench = Bench::new();
    bench.ports[2].keeps = true;
    bench.arrive(0, MacAddress::BROADCAST, 0..3);
    bench.run(0);
    bench.ports[2].give_up();
    bench.run(100_000);
    bench.ports[2].send_kept(3);
    bench.run(200_000);
    assert_eq!((bench.sent(1), bench.sent(2)), (vec![0, 1, 2], vec![0, 1, 2]));
    assert_eq!((bench.ports[0].lent(), bench.counters(2).taken_back), (0, 3));
}
