//! Verification of the checksums in arriving frames, as requested by the guest [8254x 3.2.9].

use crate::ethernet::word;
use base::internet_checksum;
use intel_regs::Rxcsum;
use intel_regs::desc::{RxErrors, RxStatus};

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
/// Values of the type field up to this one are lengths [IEEE 802.3-2018 3.2.6].
const LAST_LENGTH: u16 = 1500;
/// The LLC and SNAP header of encapsulated Ethernet II [RFC 1042].
const SNAP: [u8; 6] = [0xaa, 0xaa, 0x03, 0, 0, 0];

/// Verifies the checksums of `frame`, whose type field, after any tag, is at `type_offset`, and returns `STATUS`
/// and `ERRORS` of the descriptor. When nothing was verified, they tell the guest to ignore the indication.
pub(crate) fn check(frame: &[u8], type_offset: usize, control: Rxcsum) -> (RxStatus, RxErrors) {
    let unchecked = (RxStatus::IXSM, RxErrors::empty());
    if !control.intersects(Rxcsum::IPOFL | Rxcsum::TUOFL) {
        return unchecked;
    }
    let (status, errors) = match payload(frame, type_offset) {
        Some((ETHERTYPE_IPV4, packet)) => ipv4(packet, control),
        Some((ETHERTYPE_IPV6, packet)) => ipv6(packet, control),
        _ => return unchecked,
    };
    if status.is_empty() { unchecked } else { (status, errors) }
}

/// The EtherType and payload of an Ethernet II or SNAP frame.
fn payload(frame: &[u8], type_offset: usize) -> Option<(u16, &[u8])> {
    let ethertype = word(frame, type_offset)?;
    let rest = frame.get(type_offset + 2..)?;
    if ethertype > LAST_LENGTH {
        return Some((ethertype, rest));
    }
    let rest = rest.strip_prefix(&SNAP)?;
    Some((word(rest, 0)?, rest.get(2..)?))
}

fn ipv4(packet: &[u8], control: Rxcsum) -> (RxStatus, RxErrors) {
    let mut result = (RxStatus::empty(), RxErrors::empty());
    let first = packet.first().copied().unwrap_or(0);
    let (version, header_length) = (first >> 4, usize::from(first & 0xf) * 4);
    let total_length = usize::from(word(packet, 2).unwrap_or(0));
    if version != 4 || header_length < 20 || total_length < header_length {
        return result;
    }
    let Some((header, payload)) =
        packet.get(..total_length).and_then(|packet| packet.split_at_checked(header_length))
    else {
        return result;
    };
    if control.contains(Rxcsum::IPOFL) {
        result.0 |= RxStatus::IPCS;
        result.1.set(RxErrors::IPE, internet_checksum::sum(header) != 0xffff);
    }
    // A fragment (More Fragments or a non-zero offset) has no complete TCP or UDP checksum.
    let fragment = word(header, 6).unwrap_or(0) & 0x3fff != 0;
    if !fragment && control.contains(Rxcsum::TUOFL) {
        transport(&mut result, header[9], &header[12..20], payload);
    }
    result
}

fn ipv6(packet: &[u8], control: Rxcsum) -> (RxStatus, RxErrors) {
    let mut result = (RxStatus::empty(), RxErrors::empty());
    let length = usize::from(word(packet, 4).unwrap_or(0));
    let (Some(header), Some(segment)) = (packet.get(..40), packet.get(40..40 + length)) else {
        return result;
    };
    if header[0] >> 4 == 6 && control.contains(Rxcsum::TUOFL | Rxcsum::IPV6OFL) {
        transport(&mut result, header[6], &header[8..40], segment);
    }
    result
}

/// Verifies a TCP or UDP segment; `addresses` are source and destination, as in the pseudo header.
fn transport(result: &mut (RxStatus, RxErrors), protocol: u8, addresses: &[u8], segment: &[u8]) {
    let shortest = match protocol {
        PROTOCOL_TCP => 20,
        PROTOCOL_UDP => 8,
        _ => return,
    };
    // In UDP, 0 stands for no checksum [RFC 768].
    if segment.len() < shortest || protocol == PROTOCOL_UDP && word(segment, 6) == Some(0) {
        return;
    }
    let pseudo = internet_checksum::add(
        internet_checksum::sum(addresses),
        internet_checksum::add(u16::from(protocol), internet_checksum::length_word(segment.len())),
    );
    result.0 |= RxStatus::TCPCS;
    result.1.set(RxErrors::TCPE, internet_checksum::add(pseudo, internet_checksum::sum(segment)) != 0xffff);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;
    use testkit::frame::{self, Station};

    const ALL: Rxcsum = Rxcsum::IPOFL.union(Rxcsum::TUOFL).union(Rxcsum::IPV6OFL);

    fn check_all(frame: &[u8]) -> (RxStatus, RxErrors) {
        check(frame, 12, ALL)
    }

    fn stations() -> (Station, Station) {
        (Station::number(1), Station::number(2))
    }

    fn ipv6_udp(payload: &[u8]) -> Vec<u8> {
        let length = (8 + payload.len()) as u16;
        let mut packet = Vec::from([0x60, 0, 0, 0]);
        packet.extend(length.to_be_bytes());
        packet.extend([PROTOCOL_UDP, 64]);
        packet.extend([0x20; 16]);
        packet.extend([0x21; 16]);
        let mut segment = Vec::from([1, 2, 3, 4]);
        segment.extend(length.to_be_bytes());
        segment.extend([0, 0]);
        segment.extend(payload);
        let pseudo =
            [&[0x20; 16][..], &[0x21; 16], &u32::from(length).to_be_bytes(), &[0, 0, 0, 17], &segment];
        let sum = frame::checksum(&pseudo.concat());
        segment[6..8].copy_from_slice(&sum.to_be_bytes());
        packet.extend(segment);
        let (a, b) = stations();
        frame::ethernet(b.mac, a.mac, ETHERTYPE_IPV6, &packet)
    }

    #[test]
    fn good_frames_pass_and_a_flipped_bit_is_detected() {
        let (a, b) = stations();
        for good in [frame::tcp(&a, &b, 7, b"hello world"), frame::udp(&a, &b, b"odd"), ipv6_udp(b"six")] {
            let (status, errors) = check_all(&good);
            assert!(status.contains(RxStatus::TCPCS) && errors.is_empty());
            let mut bad = good.clone();
            let last = bad.len() - 1;
            bad[last] ^= 1;
            assert_eq!(check_all(&bad).1, RxErrors::TCPE);
        }
        let mut bad = frame::udp(&a, &b, b"x");
        bad[14 + 8] ^= 1;
        assert_eq!(check_all(&bad).1, RxErrors::IPE);
    }

    #[test]
    fn padding_after_the_packet_is_ignored() {
        let (a, b) = stations();
        let mut padded = frame::udp(&a, &b, b"x");
        padded.resize(60, 0xee);
        assert_eq!(check_all(&padded), (RxStatus::IPCS | RxStatus::TCPCS, RxErrors::empty()));
    }

    #[test]
    fn the_guest_ignores_what_was_not_verified() {
        let (a, b) = stations();
        let frame = frame::udp(&a, &b, b"x");
        assert_eq!(check(&frame, 12, Rxcsum::empty()).0, RxStatus::IXSM);
        assert_eq!(check(&frame, 12, Rxcsum::IPOFL).0, RxStatus::IPCS);
        assert_eq!(check(&frame, 12, Rxcsum::TUOFL).0, RxStatus::TCPCS);
        assert_eq!(check_all(&frame::arp_request(&a, b.ip)).0, RxStatus::IXSM);
    }

    #[test]
    fn fragments_and_udp_without_checksum_have_no_transport_check() {
        let (a, b) = stations();
        let mut without = frame::udp(&a, &b, b"x");
        without[14 + 20 + 6..][..2].fill(0);
        assert_eq!(check_all(&without), (RxStatus::IPCS, RxErrors::empty()));
        let mut fragment = frame::tcp(&a, &b, 1, b"data");
        fragment[14 + 6] |= 0x20;
        assert_eq!(check_all(&fragment).0, RxStatus::IPCS);
    }

    #[test]
    fn snap_frames_are_verified_too() {
        let (a, b) = stations();
        let plain = frame::udp(&a, &b, b"snap");
        let mut snap = Vec::from(&plain[..12]);
        snap.extend(((plain.len() - 12 + 6) as u16).to_be_bytes());
        snap.extend(SNAP);
        snap.extend(&plain[12..]);
        assert_eq!(check_all(&snap), (RxStatus::IPCS | RxStatus::TCPCS, RxErrors::empty()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..120), ethertype in 0usize..3) {
            let mut frame = bytes;
            if let Some(field) = frame.get_mut(12..14) {
                match ethertype {
                    0 => field.copy_from_slice(&ETHERTYPE_IPV4.to_be_bytes()),
                    1 => field.copy_from_slice(&ETHERTYPE_IPV6.to_be_bytes()),
                    _ => {}
                }
            }
            if let Some(version) = frame.get_mut(14) {
                *version = if ethertype == 0 { 0x40 | *version & 0xf } else { 0x60 | *version & 0xf };
            }
            let (status, _) = check_all(&frame);
            prop_assert!(!status.is_empty());
        }
    }
}
