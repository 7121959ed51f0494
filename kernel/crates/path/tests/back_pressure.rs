//! Back-pressure, hold times and link state, with queues as ports.

use base::time::Duration;
use base::{Instant, MacAddress, Port};
use path::{
    AGEING, GUEST_HOLD, GUEST_QUOTA, PortConfig, PortCounters, PortId, Progress, Switch, UPLINK_HOLD,
};
use testkit::QueuePort;
use testkit::frame::{mac, number_of, numbered};

/// Ports 0 and 1 are guests with addresses 0 and 1; port 2 is the uplink, with station 9 behind it.
struct Bench {
    switch: Switch,
    ports: [QueuePort; 3],
}

impl Bench {
    fn new() -> Self {
        let ports = [PortConfig::guest(mac(0)), PortConfig::guest(mac(1)), PortConfig::uplink()];
        let mut bench = Self { switch: Switch::new(&ports, 1).unwrap(), ports: Default::default() };
        bench.ports[2].arrive(&numbered(mac(0), mac(9), 0, 60));
        bench.step(0);
        bench.ports[0].take_sent();
        bench
    }

    fn arrive(&mut self, ingress: usize, destination: MacAddress, numbers: std::ops::Range<u32>) {
        let source = if ingress == 2 { mac(9) } else { mac(ingress as u8) };
        for number in numbers {
            self.ports[ingress].arrive(&numbered(destination, source, number, 60));
        }
    }

    fn step(&mut self, nanos: u64) -> Progress {
        let [a, b, c] = &mut self.ports;
        self.switch.step(&mut [a as &mut dyn Port, b, c], Instant(nanos))
    }

    fn sent(&mut self, port: usize) -> Vec<u32> {
        self.ports[port].take_sent().iter().map(|frame| number_of(frame).unwrap()).collect()
    }

    fn counters(&self, port: usize) -> PortCounters {
        *self.switch.counters(PortId::new(port).unwrap()).unwrap()
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

#[test]
fn frames_for_one_destination_are_sent_in_one_call() {
    let mut bench = Bench::new();
    bench.arrive(0, mac(9), 0..40);
    bench.step(0);
    assert_eq!(bench.sent(2), (0..40).collect::<Vec<_>>());
    assert_eq!(bench.ports[2].send_calls, 1);
}

#[test]
fn a_full_destination_stops_its_sender_instead_of_losing_frames() {
    let mut bench = Bench::new();
    bench.ports[1].space = 10;
    bench.arrive(0, mac(1), 0..100);
    bench.step(0);
    let progress = bench.step(1);
    assert_eq!((progress.polled, progress.pending), (0, 54));
    assert_eq!(bench.ports[0].incoming.len(), 36);
    assert_eq!(bench.switch.next_deadline(), Some(Instant(nanos(GUEST_HOLD))));

    bench.ports[1].space = usize::MAX;
    bench.step(2);
    bench.step(3);
    assert_eq!(bench.sent(1), (0..100).collect::<Vec<_>>());
    assert_eq!(bench.switch.next_deadline(), None);
}

#[test]
fn a_slow_destination_does_not_delay_others_of_the_same_batch() {
    let mut bench = Bench::new();
    bench.ports[1].space = 0;
    bench.arrive(2, mac(1), 0..1);
    bench.arrive(2, mac(0), 1..2);
    bench.step(0);
    assert_eq!(bench.sent(0), [1]);
}

#[test]
fn pending_frames_are_dropped_and_counted_when_their_hold_time_is_over() {
    for (ingress, hold) in [(0, GUEST_HOLD), (2, UPLINK_HOLD)] {
        let mut bench = Bench::new();
        bench.ports[1].space = 1;
        bench.arrive(ingress, mac(1), 0..3);
        bench.step(0);
        assert_eq!(bench.step(nanos(hold) - 1).dropped, 0);
        assert_eq!(bench.step(nanos(hold)).dropped, 2);
        assert_eq!(bench.counters(1).held_too_long, 2);
        assert_eq!(bench.switch.pending(PortId::new(ingress).unwrap()), 0);
    }
}

#[test]
fn a_flooded_frame_reaches_each_port_once_even_if_one_is_slow() {
    let mut bench = Bench::new();
    bench.ports[1].space = 0;
    bench.arrive(0, MacAddress::BROADCAST, 0..2);
    for time in 0..5 {
        bench.step(time);
    }
    assert_eq!((bench.sent(1), bench.sent(2)), (vec![], vec![0, 1]));
    bench.ports[1].space = usize::MAX;
    bench.step(5);
    assert_eq!((bench.sent(1), bench.sent(2)), (vec![0, 1], vec![]));
}

#[test]
fn frames_to_a_port_without_link_are_dropped_at_once() {
    let mut bench = Bench::new();
    bench.ports[2].capabilities.link_up = false;
    bench.arrive(0, mac(9), 0..3);
    assert_eq!(bench.step(0).dropped, 3);
    assert_eq!(bench.counters(2).link_down, 3);
    assert!(bench.step(1).is_idle());
}

#[test]
fn a_port_missing_from_the_list_is_treated_as_without_link() {
    let mut bench = Bench::new();
    bench.arrive(0, mac(9), 0..1);
    let [a, b, _] = &mut bench.ports;
    bench.switch.step(&mut [a as &mut dyn Port, b], Instant(1));
    assert_eq!(bench.counters(2).link_down, 1);
    assert!(bench.switch.step(&mut [], Instant(2)).is_idle());
}

#[test]
fn senders_share_a_destination_with_little_room() {
    let mut bench = Bench::new();
    bench.arrive(0, mac(9), 0..640);
    bench.arrive(1, mac(9), 1000..1640);
    for step in 0..10 {
        bench.ports[2].space = 64;
        bench.step(step);
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
            bench.step(now);
        }
        bench.counters(0).not_learned
    };
    let refused = invent(&mut bench, 0..1000, 0);
    assert!((1..1000 - GUEST_QUOTA as u64).contains(&refused), "{refused}");
    let known = (0..1000u32).filter(|number| {
        let [.., a, b] = number.to_be_bytes();
        bench.switch.find(MacAddress([2, 0, 0, 0, a, b]), Instant::ZERO).is_some()
    });
    assert_eq!(known.count(), GUEST_QUOTA);

    let later = nanos(AGEING) + 1;
    for _ in 0..200 {
        bench.step(later);
    }
    assert_eq!(invent(&mut bench, 1000..1020, later), refused);
}

#[test]
fn a_port_is_told_how_many_of_its_frames_were_given_up() {
    let mut bench = Bench::new();
    bench.ports[1].space = 2;
    bench.arrive(0, mac(1), 0..5);
    bench.step(0);
    assert_eq!(bench.ports[1].missed, 0, "they wait");
    bench.step(nanos(GUEST_HOLD));
    assert_eq!(bench.ports[1].missed, 3);
    bench.ports[1].capabilities.link_up = false;
    bench.arrive(0, mac(1), 5..6);
    bench.step(nanos(GUEST_HOLD));
    assert_eq!(bench.ports[1].missed, 3, "without a link nothing arrives that could be missed");
}
