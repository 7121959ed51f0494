//! Frames that a switch's neighbours act on and that no guest may send: MAC control, and the protocols by which
//! switches talk to each other. A station honours PAUSE that is sent to its own address [IEEE 802.3 annex 31B], so
//! that a guest could stop the port that Weir's NIC is connected to; a port that is not meant for switches is often
//! shut down when it receives a spanning tree's frame; and link aggregation or port authentication that one guest
//! speaks changes the state of the port that all share. All guests would lose the wire.

use crate::forwarder::{DropCause, HEADER};
use base::MacAddress;

/// EtherType of MAC control [IEEE 802.3 31.4.1.3].
const MAC_CONTROL: u16 = 0x8808;
/// EtherTypes of what switches and their stations agree on: slow protocols (LACP, OAM) [IEEE 802.3 annex 57A], EAPOL
/// [IEEE 802.1X], LLDP [IEEE 802.1AB], MVRP and MMRP [IEEE 802.1Q table 10-2], MSRP [IEEE 802.1Q table 35-1].
const BRIDGE_PROTOCOLS: [u16; 6] = [0x8809, 0x888e, 0x88cc, 0x88f5, 0x88f6, 0x22ea];
/// An EtherType in an LLC frame: the SNAP header, and the EtherType behind it [RFC 1042].
const SNAP: [u8; 6] = [0xaa, 0xaa, 3, 0, 0, 0];
/// EtherTypes of VLAN tags: customer, service, and two that were used before the standard [IEEE 802.1Q 9.5].
const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// Length of a VLAN tag.
const TAG: usize = 4;
/// Smallest EtherType; smaller numbers are the length of an LLC frame [IEEE 802.3 3.2.6].
const ETHERTYPES: u16 = 0x0600;
/// LLC address of the spanning tree protocol [IEEE 802.1Q 8.12.3]. The lowest bit only says that it is a group.
const SPANNING_TREE: u8 = 0x42;
/// Group addresses of Cisco's protocols between switches: CDP, VTP, DTP, PAgP and UDLD; the per-VLAN spanning
/// tree; UplinkFast; ISL.
const SWITCH_GROUPS: [MacAddress; 4] = [
    MacAddress([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc]),
    MacAddress([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd]),
    MacAddress([0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xcd]),
    MacAddress([0x01, 0x00, 0x0c, 0x00, 0x00, 0x00]),
];

/// Why a guest's frame to this destination is not forwarded, if it is such a frame.
pub(crate) fn cause(frame: &[u8], destination: MacAddress) -> Option<DropCause> {
    if destination.is_multicast() && (SWITCH_GROUPS.contains(&destination) || is_registration(destination)) {
        return Some(DropCause::BridgeProtocol);
    }
    // However many tags there are: the frame ends the loop.
    let mut at = HEADER - 2;
    let mut kind = word(frame, at)?;
    while TAGS.contains(&kind) {
        at += TAG;
        kind = word(frame, at)?;
    }
    let service = frame.get(at + 2).map(|service| service & 0xfe);
    if kind < ETHERTYPES && frame.get(at + 2..).is_some_and(|data| data.starts_with(&SNAP)) {
        kind = word(frame, at + 2 + SNAP.len())?;
    }
    match kind {
        MAC_CONTROL => Some(DropCause::MacControl),
        _ if BRIDGE_PROTOCOLS.contains(&kind) => Some(DropCause::BridgeProtocol),
        0..ETHERTYPES if service == Some(SPANNING_TREE) => Some(DropCause::BridgeProtocol),
        _ => None,
    }
}

/// The group addresses of MRP applications, such as MMRP and MVRP [IEEE 802.1Q table 10-1].
fn is_registration(group: MacAddress) -> bool {
    group.0[..5] == [0x01, 0x80, 0xc2, 0x00, 0x00] && group.0[5] & 0xf0 == 0x20
}

fn word(frame: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use testkit::frame::mac;

    fn frame(destination: MacAddress, rest: &[u8]) -> Vec<u8> {
        [&destination.0[..], &mac(1).0, rest, &[0; 46]].concat()
    }

    fn cause_of(rest: &[u8]) -> Option<DropCause> {
        cause(&frame(mac(9), rest), mac(9))
    }

    #[test]
    fn mac_control_is_found_behind_any_number_of_tags() {
        assert_eq!(cause_of(&[0x88, 0x08, 0, 1, 0xff, 0xff]), Some(DropCause::MacControl));
        for tag in TAGS {
            let [high, low] = tag.to_be_bytes();
            assert_eq!(
                cause_of(&[high, low, 0, 5, 0x88, 0x08, 0, 1]),
                Some(DropCause::MacControl),
                "{tag:#x}"
            );
            let twice = [high, low, 0, 5, 0x81, 0, 0, 7, 0x88, 0x08];
            assert_eq!(cause_of(&twice), Some(DropCause::MacControl), "{tag:#x}");
        }
        assert_eq!(cause_of(&[0x81, 0, 0, 5, 0x08, 0x00, 0x88, 0x08]), None);
    }

    #[test]
    fn protocols_between_switches_and_stations_are_found_by_ethertype_and_by_group() {
        for kind in BRIDGE_PROTOCOLS {
            let [high, low] = kind.to_be_bytes();
            let ways: [&[u8]; 4] = [
                &[high, low, 1, 1],
                &[0x81, 0, 0, 5, high, low, 1, 1],
                &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, high, low],
                &[0, 38, 0xaa, 0xaa, 3, 0, 0, 0, high, low],
            ];
            for way in ways {
                assert_eq!(cause_of(way), Some(DropCause::BridgeProtocol), "{way:x?}");
            }
            assert_eq!(cause_of(&[0x08, 0x00, high, low]), None, "{kind:#x} as data");
        }
        assert_eq!(cause_of(&[0, 38, 0xaa, 0xaa, 3, 0, 0, 0, 0x88, 0x08]), Some(DropCause::MacControl));
        assert_eq!(cause_of(&[0, 38, 0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x06]), None, "ARP");
        for last in 0..=u8::MAX {
            let group = MacAddress([0x01, 0x80, 0xc2, 0, 0, last]);
            let expected = (0x20..0x30).contains(&last).then_some(DropCause::BridgeProtocol);
            assert_eq!(cause(&frame(group, &[0x08, 0x00]), group), expected, "{group}");
        }
    }

    #[test]
    fn protocols_of_switches_are_found_by_group_and_by_llc_address() {
        for group in SWITCH_GROUPS {
            let found = cause(&frame(group, &[0x08, 0x00]), group);
            assert_eq!(found, Some(DropCause::BridgeProtocol), "{group}");
        }
        assert_eq!(cause_of(&[0, 38, 0x42, 0x42, 3]), Some(DropCause::BridgeProtocol));
        assert_eq!(cause_of(&[0x81, 0, 0, 5, 0, 38, 0x43, 0x42, 3]), Some(DropCause::BridgeProtocol));
        assert_eq!(cause_of(&[0, 38, 0xaa, 0xaa, 3]), None, "SNAP");
        assert_eq!(cause_of(&[0x08, 0x00, 0x42, 0x42]), None, "IPv4");
    }

    #[test]
    fn frames_that_end_within_a_tag_are_left_to_their_destination() {
        for length in HEADER..HEADER + TAG {
            let whole = frame(mac(9), &[0x81, 0, 0, 5, 0x88, 0x08]);
            assert_eq!(cause(&whole[..length], mac(9)), None, "{length}");
        }
    }
}
