//! Announcements: frames that tell switches behind which of their ports an address is now.

use super::arp::{ARP, ArpPacket, RARP, REPLY, REQUEST, REVERSE_REQUEST};
use super::{OwnFrame, payload};
use base::MacAddress;
use core::net::Ipv4Addr;

/// The announcement of a guest's address: a question, with the guest as its sender, for the IPv4 address of this
/// hardware address [RFC 903]. Switches learn from its source; whoever is not a RARP server ignores its content. So
/// the guest's IP addresses need not be known.
#[must_use]
pub fn announcement(mac: MacAddress, vlan: Option<u16>) -> OwnFrame {
    let guest = (mac, Ipv4Addr::UNSPECIFIED);
    let packet = ArpPacket { operation: REVERSE_REQUEST, sender: guest, target: guest };
    OwnFrame::new([MacAddress::BROADCAST, mac], vlan, RARP, &packet.bytes())
}

/// True if a frame tells others where its source is now: RARP, as [`announcement`] has it, or an ARP packet for the
/// sender's own protocol address [RFC 5227 2.3]. Both must be about the source of the frame.
#[must_use]
pub fn is_announcement_of_move(frame: &[u8]) -> bool {
    let about_source = |packet: &ArpPacket| MacAddress::source_of(frame) == Some(packet.sender.0);
    let packet = |kind| payload(frame, kind).and_then(ArpPacket::read).filter(about_source);
    let is_reverse = |packet: ArpPacket| packet.operation == REVERSE_REQUEST;
    let is_gratuitous = |ArpPacket { operation, sender: (_, own), target: (_, asked) }: ArpPacket| {
        matches!(operation, REQUEST | REPLY) && own == asked && !own.is_unspecified()
    };
    packet(RARP).is_some_and(is_reverse) || packet(ARP).is_some_and(is_gratuitous)
}
