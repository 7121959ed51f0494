//! Frames of guests' other addresses that come back from the wire.

use base::Instant;
use nic_manager::frames::EchoFilter;
use testkit::frame::{Station, arp_request, in_ipv6, padded, tagged, tcp, udp};

const KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
/// The longest head of a frame that filters see.
const HEAD: usize = 128;
const MOMENT: u64 = 50_000_000;

fn is_echo(filter: &EchoFilter, frame: &[u8], now: u64) -> bool {
    filter.is_echo(&frame[..frame.len().min(HEAD)], frame.len(), Instant(now))
}

fn filter_with(frame: &[u8]) -> EchoFilter {
    let mut filter = EchoFilter::new(KEY);
    filter.note(&frame[..frame.len().min(HEAD)], frame.len(), Instant(1));
    filter
}

#[test]
fn what_was_sent_a_moment_ago_is_an_echo() {
    let (a, b) = (Station::number(1), Station::number(2));
    let v4 = tcp(&a, &b, 5, &[7; 300]);
    for frame in [in_ipv6(&v4), tagged(&v4, 5), v4, udp(&a, &b, b""), arp_request(&a, b.ip)] {
        let filter = filter_with(&frame);
        assert!(is_echo(&filter, &frame, 1) && is_echo(&filter, &frame, MOMENT));
        assert!(!is_echo(&filter, &frame, MOMENT + 1), "too late");
        assert!(is_echo(&filter, &padded(frame), 2), "a NIC pads it");
        assert!(!is_echo(&EchoFilter::new(KEY), &v4_of_another(), 2), "nothing was sent");
    }
}

fn v4_of_another() -> Vec<u8> {
    tcp(&Station::number(3), &Station::number(2), 5, &[7; 300])
}

#[test]
fn a_checksum_that_the_nic_has_computed_makes_no_difference() {
    let (a, b) = (Station::number(1), Station::number(2));
    let v4 = tcp(&a, &b, 5, &[7; 300]);
    // Of IPv4 at 24, and of TCP at 50 behind it and at 70 behind IPv6 [RFC 791 3.1, RFC 9293 3.1].
    for (frame, sums) in [(in_ipv6(&v4), &[70][..]), (v4, &[24, 50][..])] {
        let filter = filter_with(&frame);
        let mut finished = frame.clone();
        sums.iter().for_each(|at| finished[*at..at + 2].copy_from_slice(&[0x12, 0x34]));
        assert!(is_echo(&filter, &finished, 2));
    }
}

#[test]
fn frames_that_differ_in_one_bit_of_what_is_the_same_on_the_wire_are_none() {
    let (a, b) = (Station::number(1), Station::number(2));
    let v4 = tcp(&a, &b, 5, &[7; 300]);
    for (frame, compared) in [(in_ipv6(&v4), 58), (v4, 38), (padded(arp_request(&a, b.ip)), 46)] {
        let filter = filter_with(&frame);
        for bit in (0..24 * 8).chain(26 * 8..compared * 8) {
            let mut other = frame.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_echo(&filter, &other, 2), "bit {bit}");
        }
        assert!(!is_echo(&filter, &[&frame[..], &[0; 100]].concat(), 2), "another length");
        assert!(!is_echo(&filter, &v4_of_another(), 2), "another source");
    }
}
