//! Frames that a team sends of its own, and those that it recognises.

use base::{Instant, MacAddress};
use core::net::IpAddr;
use nic_manager::MemberId;
use nic_manager::frames::{
    Beacon, BeaconFilter, BeaconKey, BeaconRefusal, DuplicateFilter, LocalAddress, OwnFrame, Provenance,
    announcement, is_announcement_of_move, is_answer, probe, provenance, untag,
};
use proptest::collection::vec;
use proptest::prelude::*;
use testkit::frame::{Station, arp_reply, arp_request, in_ipv6, mac, padded, tagged, tcp, udp};

const KEY: [u64; 2] = [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210];
const V4: &str = "10.0.0.2";
const V6: &str = "fe80::200:5eff:fe00:5301";

fn member(place: usize) -> MemberId {
    MemberId::new(place).expect("below MAX_MEMBERS")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an IP address")
}

/// The bytes that hexadecimal digits stand for.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn frames() -> Vec<OwnFrame> {
    let beacon = Beacon { team: 3, member: member(5), vlan: Some(42), sequence: 77 };
    let questions = [V4, V6].map(|gateway| probe(address(gateway), mac(1), Some(9)));
    let mut all = Vec::from(questions);
    all.extend([beacon.frame(&BeaconKey::new(KEY), mac(1)), announcement(mac(1), None)]);
    all
}

#[test]
fn an_announcement_is_a_reverse_request_for_the_guests_own_address() {
    // Ethernet: broadcast, from the guest, RARP. Packet: Ethernet, IPv4, 6 and 4 bytes, operation 3; twice the guest's
    // hardware address and 0.0.0.0 [RFC 903].
    let packet = "0001 0800 06 04 0003 525400000007 00000000 525400000007 00000000";
    let untagged = hex(&format!("ffffffffffff 525400000007 8035 {packet}"));
    assert_eq!(announcement(mac(7), None).bytes(), padded(untagged));
    let in_vlan = hex(&format!("ffffffffffff 525400000007 8100 002a 8035 {packet}"));
    assert_eq!(announcement(mac(7), Some(42)).bytes(), padded(in_vlan));
}

#[test]
fn a_move_is_announced_by_rarp_and_by_gratuitous_arp() {
    let own = Station::number(1);
    let gratuitous = [arp_request(&own, own.ip), arp_reply(&own, &own)];
    for frame in gratuitous.iter().chain([&announcement(own.mac, None).bytes().to_vec()]) {
        assert!(is_announcement_of_move(frame) && is_announcement_of_move(&tagged(frame, 0x2005)));
        assert!(!is_announcement_of_move(&tagged(&tagged(frame, 5), 6)), "behind two tags");
        let mut of_another = frame.clone();
        of_another[11] = 9;
        assert!(!is_announcement_of_move(&of_another), "it is not about its source");
        for length in 0..frame.len().min(42) {
            assert!(!is_announcement_of_move(&frame[..length]), "{length}");
        }
    }
    let other = Station::number(2);
    let detection = arp_request(&Station { ip: [0; 4], ..own }, [0; 4]);
    for frame in [arp_request(&own, other.ip), arp_reply(&own, &other), detection, udp(&own, &other, b"")] {
        assert!(!is_announcement_of_move(&frame));
    }
}

#[test]
fn a_probe_in_ipv4_is_an_arp_request_without_a_protocol_address() {
    // [RFC 5227 2.1.1]: broadcast; request; sender's hardware address and 0.0.0.0; target unknown and the gateway.
    let packet = "0001 0800 06 04 0001 525400000001 00000000 000000000000 0a000002";
    let untagged = hex(&format!("ffffffffffff 525400000001 0806 {packet}"));
    assert_eq!(probe(address(V4), mac(1), None).bytes(), padded(untagged));
    let in_vlan = hex(&format!("ffffffffffff 525400000001 8100 0ffe 0806 {packet}"));
    assert_eq!(probe(address(V4), mac(1), Some(4094)).bytes(), padded(in_vlan));
}

/// An advertisement [RFC 4861 4.4] as a router sends it to the link-local address of 52:54:00:00:00:01.
fn advertisement() -> Vec<u8> {
    hex("525400000001 00005e005301 86dd 6000 0000 0020 3a ff
         fe80000000000000 02005efffe005301 fe80000000000000 505400fffe000001
         88 00 35c6 e0000000 fe80000000000000 02005efffe005301 0201 00005e005301")
}

#[test]
fn a_probe_in_ipv6_is_a_neighbour_solicitation() {
    // Ethernet: the gateway's group [RFC 2464 7]. IPv6: 32 bytes of ICMPv6, hop limit 255, from the link-local address
    // to the solicited-node group. ICMPv6: type 135, code 0, checksum, reserved, target, option 1 of 8 bytes.
    let expected = hex("3333ff005301 525400000001 86dd 6000 0000 0020 3a ff
         fe80000000000000 505400fffe000001 ff02000000000000 00000001ff005301
         87 00 d5ef 00000000 fe80000000000000 02005efffe005301 0101 525400000001");
    assert_eq!(probe(address(V6), mac(1), None).bytes(), expected);
    assert_eq!(probe(address(V6), mac(1), Some(7)).bytes(), tagged(&expected, 7));
}

#[test]
fn the_gateways_answer_is_recognised_behind_a_tag_too() {
    let (gateway, nic) = (Station::number(2), Station { ip: [0; 4], ..Station::number(1) });
    for (frame, ip) in [(padded(arp_reply(&gateway, &nic)), V4), (advertisement(), V6)] {
        assert!(is_answer(&frame, address(ip), nic.mac), "{ip}");
        assert!(is_answer(&tagged(&frame, 0x6005), address(ip), nic.mac), "{ip}");
        assert!(!is_answer(&frame, address(ip), mac(9)), "it is for another NIC");
        for other in ["10.0.0.3", "fe80::200:5eff:fe00:5302", if ip == V4 { V6 } else { V4 }] {
            assert!(!is_answer(&frame, address(other), nic.mac), "{other}");
        }
    }
}

#[test]
fn what_is_not_a_valid_answer_is_none() {
    let arp = arp_reply(&Station::number(2), &Station::number(1));
    for length in 0..arp.len() {
        assert!(!is_answer(&arp[..length], address(V4), mac(1)), "{length}");
    }
    // Formats, operation, both addresses of the sender that count, and the target.
    for (at, bit) in [(15, 2), (16, 1), (18, 1), (19, 1), (21, 3), (22, 1), (28, 1), (32, 4)] {
        let mut wrong = arp.clone();
        wrong[at] ^= bit;
        assert!(!is_answer(&wrong, address(V4), mac(1)), "byte {at}");
    }
    let valid = advertisement();
    for length in 0..valid.len() {
        assert!(!is_answer(&valid[..length], address(V6), mac(1)), "{length}");
    }
    // All of IPv6 and ICMPv6 but traffic class and flow label; the checksum covers the rest.
    let bytes = [14].into_iter().chain(18..valid.len());
    for (at, bit) in bytes.flat_map(|at| (0..8).map(move |bit| (at, bit))) {
        let mut wrong = valid.clone();
        wrong[at] ^= 1 << bit;
        let is_class = at == 14 && bit < 4;
        assert_eq!(is_answer(&wrong, address(V6), mac(1)), is_class, "bit {bit} of byte {at}");
    }
}

/// [`advertisement`] with other bytes from `at` on, and a right checksum.
fn altered(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut frame = advertisement();
    frame[at..at + bytes.len()].copy_from_slice(bytes);
    frame[56..58].fill(0);
    let pseudo = [&frame[22..54], &[0, 0, 0, 32, 0, 0, 0, 58], &frame[54..]].concat();
    let checksum = testkit::frame::checksum(&pseudo);
    frame[56..58].copy_from_slice(&checksum.to_be_bytes());
    frame
}

#[test]
fn an_advertisement_with_a_right_checksum_must_be_valid_otherwise() {
    let is_answer = |frame: &[u8]| is_answer(frame, address(V6), mac(1));
    assert_eq!(altered(58, &[0xe0]), advertisement());
    assert!(is_answer(&altered(58, &[0x40])), "it may be no router's");
    assert!(!is_answer(&altered(58, &[0xa0])), "nobody has asked for it");
    assert!(!is_answer(&altered(21, &[254])), "a router has passed it on");
    assert!(!is_answer(&altered(54, &[135])), "a question");
    assert!(!is_answer(&altered(55, &[1])), "a code");
    assert!(!is_answer(&altered(79, &[0])), "an option without a length");
    assert!(!is_answer(&altered(79, &[2])), "an option that ends behind the packet");
    let all_nodes = hex("ff02000000000000 0000000000000001");
    assert!(!is_answer(&altered(38, &all_nodes)), "a solicited one to all nodes");
}

#[test]
fn a_beacon_has_the_documented_form() {
    let frame = &frames()[2];
    // To the group, from the NIC, VLAN 42; "Weir" and version, team, member; VLAN, round.
    let start = hex("035765697200 525400000001 8100 002a 88b6 5765697201 03 05 00 002a 000000000000004d");
    assert!(frame.bytes().starts_with(&start));
    assert_eq!(frame.bytes().len(), 64);
    assert_eq!(frame.bytes()[44..56], [0; 12]);
}

#[test]
fn a_beacon_with_one_bit_flipped_is_refused() {
    let key = BeaconKey::new(KEY);
    for vlan in [None, Some(42)] {
        let beacon = Beacon { team: 3, member: member(5), vlan, sequence: 77 };
        let frame = beacon.frame(&key, mac(1));
        let start = frame.bytes().len() - 46;
        for (at, bit) in (0..frame.bytes().len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = frame.bytes().to_vec();
            flipped[at] ^= 1 << bit;
            let expected = match at {
                0..6 => None,
                6..12 => Some(Err(BeaconRefusal::Forged)),
                // The priority in the tag is the switches'.
                14 if start > 14 && bit >= 4 => Some(Ok(beacon)),
                14..16 if start > 14 => Some(Err(BeaconRefusal::Misplaced)),
                _ if at < start => None,
                _ if (0..5).contains(&(at - start)) => Some(Err(BeaconRefusal::Foreign)),
                _ if (18..26).contains(&(at - start)) => Some(Err(BeaconRefusal::Foreign)),
                _ => Some(Err(BeaconRefusal::Forged)),
            };
            assert_eq!(Beacon::read(&flipped, &key), expected, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn a_beacon_that_is_cut_off_is_forged_and_padding_is_ignored() {
    let key = BeaconKey::new(KEY);
    let frame = &frames()[2];
    for length in 0..frame.bytes().len() {
        let read = Beacon::read(&frame.bytes()[..length], &key);
        assert_eq!(read, (length >= 18).then_some(Err(BeaconRefusal::Forged)), "{length}");
    }
    let longer = [frame.bytes(), &[0xff; 8]].concat();
    assert!(matches!(Beacon::read(&longer, &key), Some(Ok(_))));
}

#[test]
fn a_beacon_carried_into_another_vlan_is_misplaced() {
    let key = BeaconKey::new(KEY);
    let frame = frames()[2].bytes().to_vec();
    let bare = [&frame[..12], &frame[16..]].concat();
    for carried in [tagged(&bare, 43), bare.clone(), tagged(&bare, 0)] {
        assert_eq!(Beacon::read(&carried, &key), Some(Err(BeaconRefusal::Misplaced)));
    }
    assert!(matches!(Beacon::read(&tagged(&bare, 0xe02a), &key), Some(Ok(_))));
    let untagged = beacon_of(&filter(0, KEY, &[], 0), 0);
    assert!(matches!(Beacon::read(&tagged(&untagged, 0xe000), &key), Some(Ok(_))), "a priority is no VLAN");
}

/// The only beacon of a member in the present round.
fn beacon_of(filter: &BeaconFilter, place: usize) -> Vec<u8> {
    let mut all = filter.beacons(member(place), mac(place as u8));
    let only = all.next().expect("one VLAN at least");
    assert!(all.next().is_none());
    only.bytes().to_vec()
}

fn filter(team: u8, key: [u64; 2], vlans: &[u16], now: u64) -> BeaconFilter {
    let vlans = vlans.iter().copied().collect();
    let mut filter = BeaconFilter::new(team, BeaconKey::new(key), vlans, Instant(now));
    filter.begin_round();
    filter
}

#[test]
fn each_member_hears_a_beacon_once_and_its_sender_never() {
    let mut filter = filter(0, KEY, &[], 0);
    let frame = beacon_of(&filter, 0);
    for place in [1, 2] {
        let beacon = Beacon { team: 0, member: member(0), vlan: None, sequence: 1 };
        assert_eq!(filter.hear(&frame, member(place)), Some(Ok(beacon)));
        assert_eq!(filter.hear(&frame, member(place)), Some(Err(BeaconRefusal::Replayed)));
    }
    assert_eq!(filter.hear(&frame, member(0)), Some(Err(BeaconRefusal::Own)));
    assert_eq!(filter.hear(&udp(&Station::number(1), &Station::number(2), b""), member(1)), None);
}

#[test]
fn a_recorded_beacon_is_worth_nothing_after_the_next_round() {
    let mut filter = filter(0, KEY, &[], 0);
    let recorded = beacon_of(&filter, 0);
    filter.begin_round();
    let next = beacon_of(&filter, 0);
    assert!(matches!(filter.hear(&recorded, member(1)), Some(Ok(_))), "it was on its way");
    assert!(matches!(filter.hear(&next, member(1)), Some(Ok(_))));
    assert_eq!(filter.hear(&recorded, member(1)), Some(Err(BeaconRefusal::Replayed)));
    filter.begin_round();
    // A member that was cut off, and has heard neither.
    assert_eq!(filter.hear(&recorded, member(2)), Some(Err(BeaconRefusal::Replayed)));
    assert!(matches!(filter.hear(&next, member(2)), Some(Ok(_))));
}

#[test]
fn each_vlan_has_its_beacons() {
    let mut filter = filter(0, KEY, &[10, 20], 0);
    let all: Vec<_> = filter.beacons(member(0), mac(0)).map(|frame| frame.bytes().to_vec()).collect();
    assert_eq!(all.iter().map(|frame| untag(frame).0).collect::<Vec<_>>(), [Some(10), Some(20)]);
    for frame in &all {
        assert!(matches!(filter.hear(frame, member(1)), Some(Ok(_))));
        assert_eq!(filter.hear(frame, member(1)), Some(Err(BeaconRefusal::Replayed)));
    }
}

#[test]
fn beacons_of_others_are_told_apart() {
    let mut ours = filter(0, KEY, &[], 0);
    let foreign = beacon_of(&filter(0, [KEY[0], KEY[1] ^ 1], &[], 0), 0);
    assert_eq!(ours.hear(&foreign, member(1)), Some(Err(BeaconRefusal::Foreign)));
    let other_team = beacon_of(&filter(1, KEY, &[], 0), 0);
    assert_eq!(ours.hear(&other_team, member(1)), Some(Err(BeaconRefusal::OtherTeam)));
    // The team was set up anew, with other VLANs or the same.
    let before = beacon_of(&filter(0, KEY, &[10], 0), 0);
    for vlan in [10, 20] {
        let mut after = filter(0, KEY, &[vlan], 5_000_000);
        assert_eq!(after.hear(&before, member(1)), Some(Err(BeaconRefusal::Replayed)));
    }
    for (index, refusal) in BeaconRefusal::ALL.into_iter().enumerate() {
        assert_eq!(refusal.index(), index);
    }
}

#[test]
fn a_copy_at_another_member_soon_after_is_a_duplicate() {
    let mut filter = DuplicateFilter::new(KEY);
    let frame = tcp(&Station::number(1), &Station::number(2), 5, &[7; 300]);
    let mut at = |place, now| filter.is_duplicate(&frame[..128], frame.len(), member(place), Instant(now));
    assert!(!at(0, 10));
    assert!(!at(0, 20), "the sender repeats it");
    assert!(at(1, 30) && at(2, 20_000_019), "copies of it");
    assert!(!at(1, 20_000_020), "too late for a copy");
    assert!(at(0, 20_000_021));
}

#[test]
fn frames_that_differ_in_one_bit_of_a_header_are_two() {
    let (a, b) = (Station::number(1), Station::number(2));
    let v4 = tcp(&a, &b, 5, &[7; 300]);
    for frame in [in_ipv6(&v4), v4, padded(udp(&a, &b, b"")), padded(arp_reply(&a, &b))] {
        let head = &frame[..frame.len().min(128)];
        let mut filter = DuplicateFilter::new(KEY);
        assert!(!filter.is_duplicate(head, frame.len(), member(0), Instant(0)));
        assert!(!filter.is_duplicate(head, frame.len() + 1, member(1), Instant(1)), "another length");
        for bit in (0..16 * 8).chain(18 * 8..head.len().min(66) * 8) {
            assert!(!filter.is_duplicate(head, frame.len(), member(0), Instant(2)));
            let mut other = head.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!filter.is_duplicate(&other, frame.len(), member(1), Instant(3)), "bit {bit}");
        }
    }
}

#[test]
fn a_burst_that_is_flooded_is_seen_once() {
    let mut filter = DuplicateFilter::new(KEY);
    let (a, b) = (Station::number(1), Station::number(2));
    let burst: Vec<_> = (0..64).map(|number| padded(tcp(&a, &b, number, b""))).collect();
    let mut passed = |place| {
        let is_new = |frame: &&Vec<u8>| !filter.is_duplicate(frame, frame.len(), member(place), Instant(0));
        burst.iter().filter(is_new).count()
    };
    assert_eq!(passed(0), 64);
    assert!(passed(1) <= 8, "few frames take the place of others");
}

#[test]
fn what_comes_back_from_the_wire_is_told_from_what_moved_there() {
    let local = [LocalAddress { mac: mac(1), on: true }, LocalAddress { mac: mac(2), on: false }];
    let frame = |number| udp(&Station::number(number), &Station::number(9), b"");
    let moved = |number| announcement(mac(number), Some(5)).bytes().to_vec();
    for (frame, expected) in [
        (frame(3), Provenance::Ordinary),
        (moved(3), Provenance::Ordinary),
        (frame(1), Provenance::Reflected),
        (moved(1), Provenance::Reflected),
        (frame(2), Provenance::Ordinary),
        (moved(2), Provenance::Moved),
        (vec![0; 11], Provenance::Ordinary),
    ] {
        assert_eq!(provenance(&frame, &local), expected, "{frame:x?}");
    }
}

proptest! {
    #[test]
    fn beacons_arrive_as_they_were_sent(
        team: u8, place in 0..8usize, vlan in 0..4095u16, sequence: u64, source: [u8; 6],
    ) {
        let (key, vlan) = (BeaconKey::new(KEY), Some(vlan).filter(|vlan| *vlan != 0));
        let beacon = Beacon { team, member: member(place), vlan, sequence };
        let frame = beacon.frame(&key, MacAddress(source));
        prop_assert_eq!(Beacon::read(frame.bytes(), &key), Some(Ok(beacon)));
        prop_assert_eq!(untag(frame.bytes()).0, vlan);
    }

    #[test]
    fn no_bytes_can_do_harm(
        start in 0..4usize, kept in 0..100usize, noise in vec(any::<u8>(), 0..128), place in 0..8usize,
    ) {
        let own = &frames()[start];
        let frame = [&own.bytes()[..kept.min(own.bytes().len())], &noise].concat();
        prop_assert!(!matches!(filter(3, KEY, &[42], 76).hear(&frame, member(place)), Some(Ok(_))) || kept >= 64);
        let _ = is_announcement_of_move(&frame);
        for gateway in [V4, V6] {
            prop_assert!(!is_answer(&frame, address(gateway), mac(1)), "a question is no answer");
        }
        let mut duplicates = DuplicateFilter::new(KEY);
        prop_assert!(!duplicates.is_duplicate(&frame, frame.len(), member(place), Instant(0)));
        let is_copy = duplicates.is_duplicate(&frame, frame.len(), member((place + 1) % 8), Instant(1));
        prop_assert_eq!(is_copy, frame.len() >= 58);
    }
}
