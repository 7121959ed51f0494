//! Builds Ethernet frames with correct checksums, and verifies them.

use alloc::vec::Vec;
use base::{MacAddress, UnfinishedChecksum};

/// An IPv4 address.
pub type Ipv4 = [u8; 4];

/// EtherType of ARP [RFC 826].
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// EtherType of IPv4 [RFC 894].
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// EtherType for local experiments [IEEE 802 local experimental 1]; [`numbered`] frames carry it.
pub const ETHERTYPE_EXPERIMENTAL: u16 = 0x88b5;
/// IPv4 protocol number of ICMP.
pub const PROTOCOL_ICMP: u8 = 1;
/// IPv4 protocol number of TCP.
pub const PROTOCOL_TCP: u8 = 6;
/// IPv4 protocol number of UDP.
pub const PROTOCOL_UDP: u8 = 17;

/// One end of a connection.
///
/// ```
/// use testkit::frame::{Station, checksums_are_right, udp};
///
/// let (client, server) = (Station::number(1), Station::number(2));
/// let mut frame = udp(&client, &server, b"hello");
/// assert_eq!(frame[..6], server.mac.0);
/// assert!(checksums_are_right(&frame));
/// frame[45] ^= 1;
/// assert!(!checksums_are_right(&frame));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Station {
    /// Its Ethernet address.
    pub mac: MacAddress,
    /// Its IPv4 address.
    pub ip: Ipv4,
    /// Its UDP or TCP port.
    pub port: u16,
}

impl Station {
    /// Station `number` of the test network: MAC 52:54:00:00:00:`number`, address 10.0.0.`number`, port
    /// 1000 + `number`.
    #[must_use]
    pub fn number(number: u8) -> Self {
        Self { mac: mac(number), ip: [10, 0, 0, number], port: 1000 + u16::from(number) }
    }
}

/// The locally administered unicast address 52:54:00:00:00:`number`.
#[must_use]
pub fn mac(number: u8) -> MacAddress {
    MacAddress([0x52, 0x54, 0, 0, 0, number])
}

/// The Internet checksum of `bytes` [RFC 1071]; 0 when `bytes` contains its own correct checksum.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    for pair in bytes.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !((sum & 0xffff) as u16)
}

/// An Ethernet frame with this `payload`, without padding and frame check sequence.
#[must_use]
pub fn ethernet(destination: MacAddress, source: MacAddress, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&destination.0[..], &source.0, &ethertype.to_be_bytes(), payload].concat()
}

/// `frame` with an 802.1Q tag after the source address.
#[must_use]
pub fn tagged(frame: &[u8], tag_control: u16) -> Vec<u8> {
    [&frame[..12], &[0x81, 0x00], &tag_control.to_be_bytes(), &frame[12..]].concat()
}

/// `frame` padded with zeros to Ethernet's minimum of 60 bytes.
#[must_use]
pub fn padded(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() < 60 {
        frame.resize(60, 0);
    }
    frame
}

/// A broadcast ARP request from `source` for `target`.
#[must_use]
pub fn arp_request(source: &Station, target: Ipv4) -> Vec<u8> {
    let body = arp(1, source, MacAddress::default(), target);
    ethernet(MacAddress::BROADCAST, source.mac, ETHERTYPE_ARP, &body)
}

/// The ARP reply from `source` to `target`.
#[must_use]
pub fn arp_reply(source: &Station, target: &Station) -> Vec<u8> {
    ethernet(target.mac, source.mac, ETHERTYPE_ARP, &arp(2, source, target.mac, target.ip))
}

fn arp(operation: u16, source: &Station, target_mac: MacAddress, target: Ipv4) -> Vec<u8> {
    let fixed = [0, 1, 8, 0, 6, 4];
    [&fixed[..], &operation.to_be_bytes(), &source.mac.0, &source.ip, &target_mac.0, &target].concat()
}

/// An IPv4 frame from `source` to `destination`.
#[must_use]
pub fn ipv4(source: &Station, destination: &Station, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).expect("an IPv4 packet has at most 65535 bytes");
    let mut header = [&[0x45, 0][..], &length.to_be_bytes(), &[0, 1, 0x40, 0, 64, protocol, 0, 0]].concat();
    header.extend(source.ip);
    header.extend(destination.ip);
    let sum = checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header.extend(payload);
    ethernet(destination.mac, source.mac, ETHERTYPE_IPV4, &header)
}

/// A UDP frame from `source` to `destination`.
#[must_use]
pub fn udp(source: &Station, destination: &Station, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("a UDP datagram has at most 65535 bytes");
    let ports = [source.port.to_be_bytes(), destination.port.to_be_bytes()].concat();
    let mut segment = [&ports[..], &length.to_be_bytes(), &[0, 0], payload].concat();
    let sum = transport_checksum(source.ip, destination.ip, PROTOCOL_UDP, &segment);
    let sum = if sum == 0 { 0xffff } else { sum };
    segment[6..8].copy_from_slice(&sum.to_be_bytes());
    ipv4(source, destination, PROTOCOL_UDP, &segment)
}

/// A TCP frame with the ACK flag, without options, from `source` to `destination`.
#[must_use]
pub fn tcp(source: &Station, destination: &Station, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let ports = [source.port.to_be_bytes(), destination.port.to_be_bytes()].concat();
    let fixed = [0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0];
    let mut segment = [&ports[..], &sequence.to_be_bytes(), &fixed, payload].concat();
    let sum = transport_checksum(source.ip, destination.ip, PROTOCOL_TCP, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    ipv4(source, destination, PROTOCOL_TCP, &segment)
}

/// An ICMP echo request from `source` to `destination`.
#[must_use]
pub fn echo_request(source: &Station, destination: &Station, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut message = [&[8, 0, 0, 0, 0x12, 0x34][..], &sequence.to_be_bytes(), payload].concat();
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    ipv4(source, destination, PROTOCOL_ICMP, &message)
}

/// The checksum of a UDP or TCP segment with its pseudo header [RFC 768, RFC 9293 3.1]; 0 when `segment`
/// contains its own correct checksum.
#[must_use]
pub fn transport_checksum(source: Ipv4, destination: Ipv4, protocol: u8, segment: &[u8]) -> u16 {
    let length = u16::try_from(segment.len()).expect("a segment has at most 65535 bytes");
    let pseudo = [&source[..], &destination, &[0, protocol], &length.to_be_bytes(), segment].concat();
    checksum(&pseudo)
}

/// `frame`, which is TCP or UDP, in IPv6 instead of IPv4: its addresses are the two of IPv4, each four times.
///
/// # Panics
/// If the frame is not what [`tcp`] or [`udp`] returns.
#[must_use]
pub fn in_ipv6(frame: &[u8]) -> Vec<u8> {
    let (ethernet, packet) = frame.split_at(14);
    let (header, segment) = packet.split_at(20);
    let mut segment = segment.to_vec();
    let length = u16::try_from(segment.len()).expect("it was IPv4").to_be_bytes();
    let addresses = [header[12..16].repeat(4), header[16..20].repeat(4)].concat();
    let field = if header[9] == PROTOCOL_TCP { 16 } else { 6 };
    segment[field..field + 2].fill(0);
    let pseudo = [&addresses[..], &[0, 0], &length, &[0, 0, 0, header[9]], &segment].concat();
    let sum = match checksum(&pseudo) {
        0 if header[9] == PROTOCOL_UDP => 0xffff,
        sum => sum,
    };
    segment[field..field + 2].copy_from_slice(&sum.to_be_bytes());
    let fixed = [0x60, 0, 0, 0, length[0], length[1], header[9], 64];
    [&ethernet[..12], &[0x86, 0xdd], &fixed, &addresses, &segment].concat()
}

/// `frame`, which is TCP or UDP, possibly tagged, with the sum of the pseudo header in place of its checksum, and what is
/// still to be computed.
///
/// # Panics
/// If the frame is too short.
#[must_use]
pub fn unfinished(frame: &[u8]) -> (Vec<u8>, UnfinishedChecksum) {
    let mut ip = 14;
    while frame[ip - 2] == 0x81 || frame[ip - 2] == 0x88 {
        ip += 4;
    }
    let is_ipv4 = frame[ip] >> 4 == 4;
    let (addresses, protocol, start) = match is_ipv4 {
        true => (ip + 12..ip + 20, frame[ip + 9], ip + usize::from(frame[ip] & 0xf) * 4),
        false => (ip + 8..ip + 40, frame[ip + 6], ip + 40),
    };
    let length = match is_ipv4 {
        true => u16::from_be_bytes([frame[ip + 2], frame[ip + 3]]) - u16::from(frame[ip] & 0xf) * 4,
        false => u16::from_be_bytes([frame[ip + 4], frame[ip + 5]]),
    };
    let is_udp = protocol == PROTOCOL_UDP;
    let field = start + if is_udp { 6 } else { 16 };
    let pseudo = [&frame[addresses], &length.to_be_bytes(), &[0, protocol]].concat();
    let mut frame = frame.to_vec();
    frame[field..field + 2].copy_from_slice(&(!checksum(&pseudo)).to_be_bytes());
    (frame, UnfinishedChecksum::new(start, field, is_udp).expect("it is in the head"))
}

/// True when the IPv4 header checksum of `frame` and the checksum of the UDP, TCP or ICMP message in it are
/// correct; false for a frame that is not IPv4.
#[must_use]
pub fn checksums_are_right(frame: &[u8]) -> bool {
    if frame.len() < 34 || frame[12..14] != ETHERTYPE_IPV4.to_be_bytes() {
        return false;
    }
    let header_end = 14 + usize::from(frame[14] & 0xf) * 4;
    let packet_end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    if header_end > packet_end || packet_end > frame.len() {
        return false;
    }
    let ip = |at: usize| [frame[at], frame[at + 1], frame[at + 2], frame[at + 3]];
    let segment = &frame[header_end..packet_end];
    let inner = match frame[23] {
        PROTOCOL_ICMP => checksum(segment),
        protocol => transport_checksum(ip(26), ip(30), protocol, segment),
    };
    checksum(&frame[14..header_end]) == 0 && inner == 0
}

/// A frame of `length` bytes (at least 18) that carries `number` and a pattern derived from it.
#[must_use]
pub fn numbered(destination: MacAddress, source: MacAddress, number: u32, length: usize) -> Vec<u8> {
    let mut frame = ethernet(destination, source, ETHERTYPE_EXPERIMENTAL, &number.to_be_bytes());
    while frame.len() < length {
        frame.push(pattern(number, frame.len()));
    }
    frame
}

/// The number in a frame that [`numbered`] built, or `None` when a byte of its pattern is wrong.
///
/// In a frame of 60 bytes, zeros at the end are accepted as padding.
#[must_use]
pub fn number_of(frame: &[u8]) -> Option<u32> {
    let number = u32::from_be_bytes(frame.get(14..18)?.try_into().ok()?);
    let padded = frame.len() == 60;
    let whole = |at: usize| frame[at] == pattern(number, at) || (padded && frame[at] == 0);
    (frame[12..14] == ETHERTYPE_EXPERIMENTAL.to_be_bytes() && (18..frame.len()).all(whole)).then_some(number)
}

fn pattern(number: u32, at: usize) -> u8 {
    number.to_le_bytes()[0].wrapping_mul(31).wrapping_add(at.to_le_bytes()[0]) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_the_rfc_1071_example_is_right() {
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
    }

    #[test]
    fn built_frames_pass_the_check_and_damaged_ones_do_not() {
        let (a, b) = (Station::number(1), Station::number(2));
        for frame in [udp(&a, &b, b"hello"), tcp(&a, &b, 7, b"odd"), echo_request(&a, &b, 1, &[9; 100])] {
            assert!(checksums_are_right(&frame));
            for at in [15, 30, 34, frame.len() - 1] {
                let mut damaged = frame.clone();
                damaged[at] ^= 0x10;
                assert!(!checksums_are_right(&damaged), "byte {at}");
            }
        }
    }

    #[test]
    fn numbered_frames_reveal_their_number_and_any_damage() {
        let mut frame = numbered(mac(1), mac(2), 77, 1514);
        assert_eq!((frame.len(), number_of(&frame)), (1514, Some(77)));
        frame[1000] ^= 1;
        assert_eq!(number_of(&frame), None);
    }
}
