//! Frames that a switch's neighbours act on and that no guest may send: MAC control, and the protocols by which
//! switches talk to each other, or to themselves to find loops. A station honours PAUSE that is sent to its own address
//! [IEEE 802.3 annex 31B], so that a guest could stop the port that Weir's NIC is connected to; a port that is not meant
//! for switches is often shut down when it receives a spanning tree's frame, and so is one that receives what looks like
//! the switch's own search for loops; and link aggregation or port authentication that one guest speaks changes the state
//! of the port that all share. All guests would lose the wire. Nor may a guest send to the NICs of a team what these send to
//! each other: one with vNICs at two switches could carry beacons from one to the other, and hide that a wire is broken.

use crate::forwarder::{DropCause, HEADER};
use base::MacAddress;

/// EtherType of MAC control [IEEE 802.3 31.4.1.3].
const MAC_CONTROL: u16 = 0x8808;
/// EtherTypes that need no closer look: IPv4 [RFC 894], ARP [RFC 826], IPv6 [RFC 2464].
const COMMON: [u16; 3] = [0x0800, 0x0806, 0x86dd];
/// EtherTypes of what switches and their stations agree on.
const BRIDGE_PROTOCOLS: [u16; 17] = [
    0x8809, // slow protocols (LACP, OAM) [IEEE 802.3 annex 57A]
    0x888e, // EAPOL [IEEE 802.1X]
    0x88cc, // LLDP [IEEE 802.1AB]
    0x88f5, // MVRP
    0x88f6, // MMRP
    0x8929, // MIRP [IEEE 802.1Q 10]
    0x22ea, // MSRP [IEEE 802.1Q 35]
    0x8902, // connectivity faults (CFM), and the protection of rings with them [IEEE 802.1Q 21]
    0x8940, // edge control (ECP), which carries the discovery of virtual stations (VDP) [IEEE 802.1Q 43]
    0x8914, // initialization of FCoE (FIP) [FC-BB-5]
    0x88e3, // redundancy of rings (MRP) [IEC 62439-2]
    0x9000, // configuration testing [Ethernet 2.0 8]: what Catalyst switches send to themselves to find loops
    0x8899, // Realtek's protocols: remote control, search for loops
    0x8918, // H3C's search for loops
    0x88a7, // H3C's management of clusters
    0x999a, // Huawei's search for loops
    0x9003, // MikroTik's search for loops
];
/// SNAP: what follows is the number of an organization, and a protocol of that organization [IEEE 802].
const SNAP: [u8; 3] = [0xaa, 0xaa, 3];
/// Organizations whose protocols are EtherTypes [RFC 1042, IEEE 802].
const ETHERTYPE_ORGANIZATIONS: [[u8; 3]; 2] = [[0, 0, 0], [0, 0, 0xf8]];
/// The organization of AppleTalk, which stations speak. What other organizations define are protocols of their switches,
/// such as Cisco's, whatever the address that they are sent to.
const APPLE: [u8; 3] = [0x08, 0x00, 0x07];
/// EtherTypes of VLAN tags: customer, service, and two that were used before the standard [IEEE 802.1Q 9.5].
const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// Length of a VLAN tag.
const TAG: usize = 4;
/// Smallest EtherType; smaller numbers are the length of an LLC frame [IEEE 802.3 3.2.6].
const ETHERTYPES: u16 = 0x0600;
/// EtherType in front of an LLC frame of any length [IEEE 802].
const LLC: u16 = 0x8870;
/// LLC address of the spanning tree protocol [IEEE 802.1Q 8.12.3]. The lowest bit only says that it is a group.
const SPANNING_TREE: u8 = 0x42;
/// Cisco's block of group addresses: CDP, VTP, DTP, PAgP and UDLD; spanning trees; tunnels for them; CGMP; ISL, which
/// has a second one.
const SWITCH_GROUPS: [[u8; 3]; 2] = [[0x01, 0x00, 0x0c], [0x03, 0x00, 0x0c]];

/// True if [`cause`] depends on nothing behind the header of this frame.
pub(crate) fn header_decides(frame: &[u8]) -> bool {
    let kind = word(frame, HEADER - 2);
    kind.is_some_and(|kind| kind >= ETHERTYPES && kind != LLC && !TAGS.contains(&kind))
}

/// Why a guest's frame to this destination is not forwarded, if it is such a frame.
pub(crate) fn cause(frame: &[u8], destination: MacAddress) -> Option<DropCause> {
    if destination.is_multicast()
        && (is_switch_group(destination)
            || is_registration(destination)
            || destination == MacAddress::BEACONS)
    {
        return Some(DropCause::BridgeProtocol);
    }
    // However many tags there are: the frame ends the loop.
    let mut at = HEADER - 2;
    let mut kind = word(frame, at)?;
    while TAGS.contains(&kind) {
        at += TAG;
        kind = word(frame, at)?;
    }
    if COMMON.contains(&kind) {
        return None;
    }
    if kind < ETHERTYPES || kind == LLC {
        let data = frame.get(at + 2..)?;
        if data.first().is_some_and(|service| service & 0xfe == SPANNING_TREE) {
            return Some(DropCause::BridgeProtocol);
        }
        kind = match snap(data) {
            Some((organization, protocol)) if ETHERTYPE_ORGANIZATIONS.contains(&organization) => protocol,
            None | Some((APPLE, _)) => return None,
            Some(_) => return Some(DropCause::BridgeProtocol),
        };
    }
    match kind {
        MAC_CONTROL => Some(DropCause::MacControl),
        _ if BRIDGE_PROTOCOLS.contains(&kind) => Some(DropCause::BridgeProtocol),
        _ => None,
    }
}

/// Organization and protocol of a SNAP frame.
fn snap(data: &[u8]) -> Option<([u8; 3], u16)> {
    let rest = data.strip_prefix(&SNAP)?;
    Some((rest.get(..3)?.try_into().ok()?, word(rest, 3)?))
}

fn is_switch_group(group: MacAddress) -> bool {
    SWITCH_GROUPS.iter().any(|block| group.0.starts_with(block))
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
            let ways: [&[u8]; 6] = [
                &[high, low, 1, 1],
                &[0x81, 0, 0, 5, high, low, 1, 1],
                &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, high, low],
                &[0, 38, 0xaa, 0xaa, 3, 0, 0, 0, high, low],
                &[0x81, 0, 0, 5, 0, 38, 0xaa, 0xaa, 3, 0, 0, 0xf8, high, low],
                &[0x88, 0x70, 0xaa, 0xaa, 3, 0, 0, 0, high, low],
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
        for group in [
            [0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc],
            [0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcd],
            [0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xcd],
            [0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xce],
            [0x01, 0x00, 0x0c, 0xcd, 0xcd, 0xd0],
            [0x01, 0x00, 0x0c, 0xdd, 0xdd, 0xdd],
            [0x01, 0x00, 0x0c, 0x00, 0x00, 0x07],
            [0x03, 0x00, 0x0c, 0x00, 0x00, 0xff],
        ] {
            let group = MacAddress(group);
            let found = cause(&frame(group, &[0x08, 0x00]), group);
            assert_eq!(found, Some(DropCause::BridgeProtocol), "{group}");
        }
        let unicast = MacAddress([0x00, 0x00, 0x0c, 0xcc, 0xcc, 0xcc]);
        assert_eq!(cause(&frame(unicast, &[0x08, 0x00]), unicast), None);
        assert_eq!(cause_of(&[0, 38, 0x42, 0x42, 3]), Some(DropCause::BridgeProtocol));
        assert_eq!(cause_of(&[0x81, 0, 0, 5, 0, 38, 0x43, 0x42, 3]), Some(DropCause::BridgeProtocol));
        assert_eq!(cause_of(&[0, 38, 0xaa, 0xaa, 3]), None, "SNAP");
        assert_eq!(cause_of(&[0x08, 0x00, 0x42, 0x42]), None, "IPv4");
    }

    #[test]
    fn nothing_is_sent_to_the_group_of_beacons() {
        for rest in [&[0x88, 0xb6, 0x57, 0x65][..], &[0x81, 0, 0, 5, 0x88, 0xb6], &[0x08, 0x00, 0x45, 0]] {
            let frame = frame(MacAddress::BEACONS, rest);
            assert_eq!(cause(&frame, MacAddress::BEACONS), Some(DropCause::BridgeProtocol), "{rest:x?}");
        }
        assert_eq!(cause_of(&[0x88, 0xb6, 0x57, 0x65]), None, "the EtherType is anybody's for experiments");
    }

    #[test]
    fn a_vendors_protocols_between_switches_are_found_whatever_their_destination() {
        // Cisco's (CDP, DTP), Extreme's, Foundry's, Nortel's.
        for organization in [[0x00, 0x00, 0x0c], [0x00, 0xe0, 0x2b], [0x00, 0xe0, 0x52], [0x00, 0x00, 0x81]] {
            for front in [&[0, 38][..], &[0x81, 0, 0, 5, 0, 38], &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 7, 0, 38]] {
                let protocol = [front, &[0xaa, 0xaa, 3], &organization, &[0x20, 0x04]].concat();
                assert_eq!(cause_of(&protocol), Some(DropCause::BridgeProtocol), "{protocol:x?}");
            }
        }
        assert_eq!(cause_of(&[0, 38, 0xaa, 0xaa, 3, 0x08, 0x00, 0x07, 0x80, 0x9b]), None, "AppleTalk");
        assert_eq!(cause_of(&[0, 38, 0xe0, 0xe0, 3]), None, "IPX");
        assert_eq!(cause_of(&[0x86, 0xdd, 0xaa, 0xaa, 3, 0x00, 0x00, 0x0c]), None, "IPv6");
    }

    #[test]
    fn frames_that_end_within_a_tag_are_left_to_their_destination() {
        for length in HEADER..HEADER + TAG {
            let whole = frame(mac(9), &[0x81, 0, 0, 5, 0x88, 0x08]);
            assert_eq!(cause(&whole[..length], mac(9)), None, "{length}");
        }
    }
}
