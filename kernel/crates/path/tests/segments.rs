//! Long segments that a NIC cuts: they go through the switch whole if they go to exactly one that does.

mod bench;

use base::{Effects, MacAddress};
use bench::Bench;
use core::num::NonZeroU16;
use testkit::frame::{mac, number_of, numbered};

/// A guest whose frames are all to be cut, before a NIC that does that.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.ports[2].capabilities.segments = true;
    // The switch learns what the NIC can.
    bench.arrive(0, mac(9), 0..1);
    bench.run(0);
    assert_eq!(bench.sent(2), [0]);
    bench.ports[0].mss = NonZeroU16::new(1460);
    bench
}

fn run(bench: &mut Bench) {
    while {
        bench.run(0);
        bench.ports[0].has_offered()
    } {
        bench.lan.signal(0, Effects::TX_KICK);
    }
}

#[test]
fn those_for_the_wire_go_whole_and_count_as_one_frame() {
    let mut bench = bench();
    bench.arrive(0, mac(9), 1..20);
    run(&mut bench);
    assert_eq!(bench.sent(2), (1..20).collect::<Vec<_>>());
    assert_eq!((bench.ports[0].declined, bench.ports[0].lent()), (0, 0));
    let counters = bench.counters(0);
    assert_eq!((counters.rx_frames, counters.forwarded), (20, 20));
}

#[test]
fn those_for_others_are_declined_and_come_again_in_their_order() {
    for destination in [mac(1), MacAddress::BROADCAST] {
        let mut bench = bench();
        bench.arrive(0, mac(9), 1..3);
        bench.arrive(0, destination, 3..6);
        bench.arrive(0, mac(9), 6..8);
        run(&mut bench);
        assert_eq!((bench.ports[0].declined, bench.ports[0].lent()), (3, 0));
        assert_eq!(bench.sent(1), [3, 4, 5]);
        let group = destination == MacAddress::BROADCAST;
        let expected = if group { (1..8).collect() } else { vec![1, 2, 6, 7] };
        assert_eq!(bench.sent(2), expected);
        assert_eq!(bench.counters(0).rx_frames, 8, "each counts once");
    }
}

#[test]
fn nobody_asks_before_a_nic_that_does_not_cut() {
    let mut bench = bench();
    bench.ports[2].capabilities.segments = false;
    bench.arrive(0, mac(9), 1..3);
    run(&mut bench);
    bench.arrive(0, mac(9), 3..6);
    run(&mut bench);
    assert_eq!(bench.sent(2), (1..6).collect::<Vec<_>>());
    // The first was lent out before the switch knew.
    assert!(bench.ports[0].declined <= 1);
    let declined = bench.ports[0].declined;
    bench.ports[0].arrive(&numbered(mac(9), mac(0), 6, 60));
    bench.lan.signal(0, Effects::TX_KICK);
    bench.run(0);
    assert!(!bench.ports[0].has_offered());
    assert_eq!((bench.ports[0].declined, number_of(&bench.ports[2].sent[0])), (declined, Some(6)));
}
