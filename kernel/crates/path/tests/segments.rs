//! Long segments that a NIC cuts: they go through the switch whole where all that is for their destination goes to one that does.

mod bench;

use base::{Effects, MacAddress};
use bench::Bench;
use core::num::NonZeroU16;
use testkit::frame::{mac, numbered, tagged};

/// A guest whose frames are all to be cut and which has sent some to this station, before a NIC that cuts.
fn bench(station: u8) -> Bench {
    let mut bench = Bench::new();
    bench.ports[2].capabilities.segments = true;
    bench.ports[0].mss = NonZeroU16::new(1460);
    // With the first frame the switch learns what the NIC can, with the second one where it goes.
    for number in 0..2 {
        bench.arrive(0, mac(station), number..number + 1);
        bench.run(0);
    }
    assert_eq!((bench.sent(2), bench.ports[2].to_cut), (vec![0, 1], 0));
    bench
}

#[test]
fn those_for_the_wire_go_whole_and_count_as_one_frame() {
    let mut bench = bench(9);
    bench.arrive(0, mac(9), 2..20);
    bench.run(0);
    assert_eq!((bench.sent(2), bench.ports[2].to_cut), ((2..20).collect(), 18));
    let counters = bench.counters(0);
    assert_eq!((counters.rx_frames, counters.forwarded, bench.ports[0].lent()), (20, 20, 0));
}

#[test]
fn so_do_tagged_ones() {
    let mut bench = bench(7);
    for batch in 0..3 {
        for number in 0..4 {
            let frame = tagged(&numbered(mac(8), mac(0), 10 * batch + number, 60), 5);
            bench.ports[0].arrive(&frame);
        }
        bench.lan.signal(0, Effects::TX_KICK);
        bench.run(0);
    }
    assert_eq!(
        (bench.ports[2].sent.len(), bench.ports[2].to_cut),
        (12, 8),
        "all but those of the first batch"
    );
}

#[test]
fn those_for_others_are_cut_before_in_their_order() {
    for destination in [mac(1), MacAddress::BROADCAST] {
        let mut bench = bench(9);
        bench.arrive(0, mac(9), 2..4);
        bench.arrive(0, destination, 4..7);
        bench.arrive(0, mac(9), 7..9);
        bench.run(0);
        let group = destination == MacAddress::BROADCAST;
        let expected = if group { (2..9).collect() } else { vec![2, 3, 7, 8] };
        assert_eq!((bench.sent(1), bench.ports[1].to_cut), (vec![4, 5, 6], 0));
        assert_eq!((bench.sent(2), bench.ports[2].to_cut), (expected, 4));
    }
}

#[test]
fn a_destination_that_is_at_another_port_now_gets_none_whole() {
    let mut bench = bench(7);
    // The station is a guest's.
    bench.ports[1].arrive(&numbered(mac(8), mac(7), 100, 60));
    bench.lan.signal(1, Effects::TX_KICK);
    bench.run(0);
    assert_eq!(bench.sent(2), [100]);
    bench.arrive(0, mac(7), 2..5);
    bench.run(0);
    assert_eq!((bench.sent(1), bench.ports[1].to_cut, bench.ports[2].to_cut), (vec![2, 3, 4], 0, 0));
}

#[test]
fn what_a_frame_of_the_same_batch_moves_is_dropped_and_counted() {
    let mut bench = bench(7);
    bench.ports[0].arrive(&numbered(mac(8), mac(7), 100, 60));
    bench.arrive(0, mac(7), 2..5);
    bench.run(0);
    assert_eq!((bench.sent(2), bench.ports[2].to_cut), (vec![100], 0));
    assert_eq!((bench.counters(0).same_port, bench.ports[0].lent()), (3, 0));
}

#[test]
fn nothing_goes_whole_to_a_nic_that_does_not_cut_any_more() {
    let mut bench = bench(9);
    bench.ports[2].capabilities.segments = false;
    // The switch learns of it with the next batch.
    bench.arrive(0, mac(9), 2..3);
    bench.run(0);
    assert_eq!((bench.sent(2), bench.ports[2].to_cut), (vec![2], 1));
    bench.arrive(0, mac(9), 3..6);
    bench.run(0);
    assert_eq!((bench.sent(2), bench.ports[2].to_cut), (vec![3, 4, 5], 1));
}

#[test]
fn one_that_the_nic_refuses_waits_whole_and_leaves_in_order() {
    let mut bench = bench(9);
    bench.ports[2].space = 1;
    bench.arrive(0, mac(9), 2..6);
    bench.run(0);
    assert_eq!((bench.sent(2), bench.ports[0].lent()), (vec![2], 3));
    bench.ports[2].space = usize::MAX;
    bench.lan.signal(2, Effects::RX_SPACE);
    bench.run(1);
    assert_eq!((bench.sent(2), bench.ports[2].to_cut, bench.ports[0].lent()), (vec![3, 4, 5], 4, 0));
}

#[test]
fn those_that_the_nic_gives_back_leave_again_whole() {
    let mut bench = bench(9);
    bench.ports[2].keeps = true;
    bench.arrive(0, mac(9), 2..6);
    bench.run(0);
    bench.ports[2].give_up();
    bench.lan.signal(2, Effects::RX_SPACE);
    bench.run(100_000);
    assert_eq!((bench.sent(2), bench.ports[2].to_cut), (vec![2, 3, 4, 5], 8));
}
