//! The gateway, asked by members that do not hear each other: in IPv4 and in IPv6, with and without a tag.

#[path = "support/team.rs"]
mod support;

use base::MacAddress;
use nic_manager::{BeaconSettings, MemberId, TeamSettings};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use support::{Bench, READY, SILENT, STATION};
use testkit::frame::{checksum, ethernet, mac, padded, tagged};

const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 5, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456);
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const SECOND: u64 = 1_000_000_000;

/// A frame without its tag, and the VLAN in that.
fn untagged(frame: &[u8]) -> (Vec<u8>, Option<u16>) {
    match frame[12..14] {
        [0x81, 0] => {
            let vlan = u16::from_be_bytes([frame[14], frame[15]]);
            ([&frame[..12], &frame[16..]].concat(), Some(vlan))
        }
        _ => (frame.to_vec(), None),
    }
}

/// The gateway's answer to a frame, if that is a question for it.
fn answer(frame: &[u8], gateway: IpAddr) -> Option<Vec<u8>> {
    let (frame, vlan) = untagged(frame);
    let asker = MacAddress::source_of(&frame)?;
    let answer = match gateway {
        IpAddr::V4(gateway) => padded(reply(&frame, asker, gateway)?),
        IpAddr::V6(gateway) => advertisement(&frame, asker, gateway)?,
    };
    Some(vlan.map_or(answer.clone(), |vlan| tagged(&answer, vlan)))
}

/// The reply to an ARP request [RFC 826].
fn reply(frame: &[u8], asker: MacAddress, gateway: Ipv4Addr) -> Option<Vec<u8>> {
    let is_question = frame[..6] == [0xff; 6]
        && frame[12..22] == [8, 6, 0, 1, 8, 0, 6, 4, 0, 1]
        && frame[38..42] == gateway.octets();
    let fixed = [0, 1, 8, 0, 6, 4, 0, 2];
    let packet = [&fixed[..], &mac(STATION).0, &gateway.octets(), &asker.0, &frame[28..32]].concat();
    is_question.then(|| ethernet(asker, mac(STATION), ARP, &packet))
}

/// The advertisement that answers a neighbour solicitation [RFC 4861 4.3, RFC 4861 4.4].
fn advertisement(frame: &[u8], asker: MacAddress, gateway: Ipv6Addr) -> Option<Vec<u8>> {
    let [.., a, b, c] = gateway.octets();
    let is_question = frame[..6] == [0x33, 0x33, 0xff, a, b, c]
        && frame[12..14] == IPV6.to_be_bytes()
        && frame[20..22] == [58, 255]
        && frame[54..56] == [135, 0]
        && frame[62..78] == gateway.octets();
    let addresses = [&gateway.octets()[..], frame.get(22..38)?].concat();
    let message = [&[136, 0, 0, 0, 0x60, 0, 0, 0][..], &gateway.octets(), &[2, 1], &mac(STATION).0].concat();
    let sum = checksum(&[&addresses, &[0, 0, 0, 32, 0, 0, 0, 58][..], &message].concat());
    let mut packet = [&[0x60, 0, 0, 0, 0, 32, 58, 255][..], &addresses, &message].concat();
    packet[42..44].copy_from_slice(&sum.to_be_bytes());
    is_question.then(|| ethernet(asker, mac(STATION), IPV6, &packet))
}

/// A second in which no beacon arrives, and the gateway hears this member alone. Returns how many questions each has asked, of which all
/// are in this VLAN.
fn second(bench: &mut Bench, gateway: IpAddr, heard: usize, vlan: Option<u16>) -> [u64; 2] {
    bench.run(SECOND);
    let asked = [0, 1].map(|place| {
        let member = bench.member(place);
        member.nic.send_kept(100);
        let sent = member.nic.take_sent();
        assert!(sent.iter().all(|frame| untagged(frame).1 == vlan), "member {place} speaks in another VLAN");
        let answers: Vec<_> = sent.iter().filter_map(|frame| answer(frame, gateway)).collect();
        answers.iter().filter(|_| place == heard).for_each(|answer| member.nic.arrive(answer));
        answers.len() as u64
    });
    bench.run(0);
    asked
}

#[test]
fn f14_the_gateway_is_asked_in_its_vlan_and_its_answer_there_is_recognised_and_counted_and_seen_by_no_guest()
{
    for (gateway, vlan) in [IpAddr::V4(GATEWAY_V4), IpAddr::V6(GATEWAY_V6)]
        .into_iter()
        .flat_map(|gateway| [None, Some(5)].map(|vlan| (gateway, vlan)))
    {
        for heard in [0, 1] {
            let beacon = BeaconSettings {
                gateway: Some(gateway),
                vlans: vlan.into_iter().collect(),
                ..BeaconSettings::STANDARD
            };
            let mut bench = Bench::new(TeamSettings { beacon: Some(beacon), ..SILENT }, &[READY; 2], 2);
            let mut asked = [0; 2];
            for _ in 0..12 {
                let new = second(&mut bench, gateway, heard, vlan);
                (0..2).for_each(|place| asked[place] += new[place]);
            }
            let usable: Vec<_> = bench.team.manager().usable().iter().map(MemberId::index).collect();
            assert_eq!(usable, [heard], "{gateway} in {vlan:?}");
            assert!(asked[0] >= 5 && asked[1] >= 5, "{gateway} in {vlan:?}: asked {asked:?}");
            assert_eq!(bench.team.counters().answers, asked[heard], "{gateway} in {vlan:?}");
            assert_eq!(bench.got(1) + bench.got(2), 0, "{gateway} in {vlan:?}");
        }
    }
}
