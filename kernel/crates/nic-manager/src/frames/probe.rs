//! Probes: questions to the gateway, which the operator names, whether a member reaches it.
//!
//! Any station can answer in the gateway's name. So an answer decides between members of which the beacons say that
//! some are cut off, and nothing else.

use super::arp::{ARP, ArpPacket, REPLY, REQUEST};
use super::{OwnFrame, payload};
use base::{MacAddress, internet_checksum};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// EtherType of IPv6 [RFC 2464 3].
const IPV6: u16 = 0x86dd;
/// Length of the IPv6 header [RFC 8200 3].
const IPV6_HEADER: usize = 40;
/// ICMPv6 as a next header [RFC 4443 2.1].
const ICMPV6: u8 = 58;
/// The hop limit that a neighbour's packet has: a router would have lowered it [RFC 4861 7.1].
const NEIGHBOUR_HOP_LIMIT: u8 = 255;
/// ICMPv6 type of a neighbour solicitation [RFC 4861 4.3].
const SOLICITATION: u8 = 135;
/// Its length with the option for the sender's address.
const SOLICITATION_LENGTH: u8 = 32;
/// ICMPv6 type of a neighbour advertisement [RFC 4861 4.4].
const ADVERTISEMENT: u8 = 136;
/// Its length without options.
const ADVERTISEMENT_LENGTH: usize = 24;
/// The flag that it answers a question [RFC 4861 4.4].
const SOLICITED: u8 = 0x40;
/// Type and length, in eight bytes, of the option for the sender's link-layer address [RFC 4861 4.6.1].
const SOURCE_OPTION: [u8; 2] = [1, 1];

/// A question to the gateway from the NIC with the address `source`. Nobody learns an IP address from it that is not
/// the NIC's: in IPv4 the sender has none [RFC 5227 2.1.1], in IPv6 it has the link-local one that follows from its
/// hardware address.
#[must_use]
pub fn probe(gateway: IpAddr, source: MacAddress, vlan: Option<u16>) -> OwnFrame {
    match gateway {
        IpAddr::V4(gateway) => {
            let sender = (source, Ipv4Addr::UNSPECIFIED);
            let packet = ArpPacket { operation: REQUEST, sender, target: (MacAddress([0; 6]), gateway) };
            OwnFrame::new([MacAddress::BROADCAST, source], vlan, ARP, &packet.bytes())
        }
        IpAddr::V6(gateway) => {
            let group = solicited_node(gateway);
            let [.., a, b, c, d] = group.octets();
            // [RFC 2464 7]
            let destination = MacAddress([0x33, 0x33, a, b, c, d]);
            OwnFrame::new([destination, source], vlan, IPV6, &solicitation(gateway, source, group))
        }
    }
}

/// True if a frame is the gateway's answer to the [`probe`] of the NIC with the address `to`. `frame` may be the head
/// of a longer one, which answers are not.
#[must_use]
pub fn is_answer(frame: &[u8], gateway: IpAddr, to: MacAddress) -> bool {
    MacAddress::destination_of(frame) == Some(to)
        && match gateway {
            IpAddr::V4(gateway) => payload(frame, ARP).and_then(ArpPacket::read).is_some_and(|packet| {
                let (mac, ip) = packet.sender;
                packet.operation == REPLY && packet.target.0 == to && ip == gateway && !mac.is_multicast()
            }),
            IpAddr::V6(gateway) => {
                payload(frame, IPV6).is_some_and(|packet| is_advertisement(packet, gateway, to))
            }
        }
}

/// A neighbour solicitation for the gateway, to its group.
fn solicitation(gateway: Ipv6Addr, source: MacAddress, group: Ipv6Addr) -> [u8; 72] {
    let mut packet = [0; IPV6_HEADER + SOLICITATION_LENGTH as usize];
    packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, SOLICITATION_LENGTH, ICMPV6, NEIGHBOUR_HOP_LIMIT]);
    packet[8..24].copy_from_slice(&link_local(source).octets());
    packet[24..40].copy_from_slice(&group.octets());
    packet[40] = SOLICITATION;
    packet[48..64].copy_from_slice(&gateway.octets());
    packet[64..66].copy_from_slice(&SOURCE_OPTION);
    packet[66..72].copy_from_slice(&source.0);
    let checksum = !sum_with_pseudo_header(&packet);
    packet[42..44].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// True for a valid neighbour advertisement of the gateway that answers the NIC's question [RFC 4861 7.1.2].
fn is_advertisement(packet: &[u8], gateway: Ipv6Addr, to: MacAddress) -> bool {
    let Some(([first, _, _, _, high, low, next, hop_limit], rest)) = packet.split_first_chunk() else {
        return false;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let Some(packet) = packet.get(..IPV6_HEADER + length) else { return false };
    let Some((addresses, message)) = rest.split_first_chunk::<32>() else { return false };
    let Some((fixed, options)) = message[..length].split_first_chunk::<ADVERTISEMENT_LENGTH>() else {
        return false;
    };
    first >> 4 == 6
        && *next == ICMPV6
        && *hop_limit == NEIGHBOUR_HOP_LIMIT
        && addresses[16..] == link_local(to).octets()
        && fixed[..2] == [ADVERTISEMENT, 0]
        && fixed[4] & SOLICITED != 0
        && fixed[8..] == gateway.octets()
        && are_options(options)
        && sum_with_pseudo_header(packet) == 0xffff
}

/// True if these are whole options, none of which is empty [RFC 4861 4.6].
fn are_options(mut options: &[u8]) -> bool {
    while let [_, length, ..] = *options {
        match options.get(usize::from(length) * 8..) {
            Some(rest) if length != 0 => options = rest,
            _ => return false,
        }
    }
    options.is_empty()
}

/// The sum of an ICMPv6 packet with its pseudo header [RFC 8200 8.1, RFC 4443 2.3]; FFFFh if the checksum in it is
/// right.
fn sum_with_pseudo_header(packet: &[u8]) -> u16 {
    let (header, message) = packet.split_at(IPV6_HEADER);
    // The addresses, the message and the pseudo header's length and protocol.
    let parts = [internet_checksum::sum(&header[8..]), internet_checksum::sum(message)];
    let parts = parts.into_iter().chain([internet_checksum::length_word(message.len()), ICMPV6.into()]);
    parts.fold(0, internet_checksum::add)
}

/// The link-local address of an interface [RFC 4291 2.5.6], with the identifier that follows from its hardware address
/// [RFC 4291 appendix A].
fn link_local(mac: MacAddress) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
}

/// The group in which who has this address listens for solicitations [RFC 4291 2.7.1].
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a, b, c])
}
