//! Where the headers of TCP and UDP are in a frame.

use crate::internet_checksum;
use core::ops::Range;

const ETHERTYPE: usize = 12;
const TAG: usize = 4;
/// EtherTypes of the tags of customers and of providers [IEEE 802.1Q 9.5].
pub(crate) const TAGS: [u16; 2] = [0x8100, 0x88a8];
const MOST_TAGS: usize = 2;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const IPV6_HEADER: usize = 40;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The places of the headers in an Ethernet II frame with at most two tags, IPv4 or IPv6 and TCP or UDP.
///
/// ```
/// use base::TransportLayout;
///
/// let mut frame = [0; 60];
/// frame[12..16].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
/// frame[16..18].copy_from_slice(&46_u16.to_be_bytes());
/// frame[23] = 6;
/// let layout = TransportLayout::of(&frame, frame.len()).expect("TCP in IPv4");
/// assert_eq!((layout.link_header(), layout.ip_header(), layout.checksum_field()), (14, 20, 50..52));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportLayout {
    link: u8,
    ip: u8,
    is_ipv4: bool,
    is_udp: bool,
    end: usize,
}

impl TransportLayout {
    /// That of a frame of `length` bytes which begins with `head`. `None` for any other frame, for a fragment, for IPv6 with
    /// extension headers, if the headers are not all in `head`, and if a length in them is impossible.
    #[must_use]
    pub fn of(head: &[u8], length: usize) -> Option<Self> {
        let mut at = ETHERTYPE;
        while TAGS.contains(&word(head, at)?) {
            at += TAG;
        }
        let (ethertype, link) = (word(head, at)?, at + 2);
        if at > ETHERTYPE + MOST_TAGS * TAG {
            return None;
        }
        let packet = head.get(link..)?;
        let first = *packet.first()?;
        let (header, total, protocol) = match (ethertype, first >> 4) {
            (IPV4, 4) if word(packet, 6)? & 0x3fff == 0 => {
                (usize::from(first & 0xf) * 4, word(packet, 2)?.into(), *packet.get(9)?)
            }
            (IPV6, 6) => (IPV6_HEADER, IPV6_HEADER + usize::from(word(packet, 4)?), *packet.get(6)?),
            _ => return None,
        };
        let shortest = match protocol {
            TCP => 20,
            UDP if usize::from(word(packet, header + 4)?) + header == total => 8,
            _ => return None,
        };
        let valid = header >= 20 && header + shortest <= total && link + total <= length;
        let inside = header + shortest <= packet.len();
        let (link, ip) = (u8::try_from(link).ok()?, u8::try_from(header).ok()?);
        let (is_ipv4, is_udp) = (ethertype == IPV4, protocol == UDP);
        (valid && inside).then_some(Self { link, ip, is_ipv4, is_udp, end: usize::from(link) + total })
    }

    /// Bytes before the IP header, with tags.
    #[must_use]
    pub fn link_header(&self) -> usize {
        self.link.into()
    }

    /// Bytes of the IP header, with options.
    #[must_use]
    pub fn ip_header(&self) -> usize {
        self.ip.into()
    }

    /// True for IPv4, otherwise it is IPv6.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.is_ipv4
    }

    /// True for UDP, otherwise it is TCP.
    #[must_use]
    pub fn is_udp(&self) -> bool {
        self.is_udp
    }

    /// Where the header of TCP or UDP begins.
    #[must_use]
    pub fn start(&self) -> usize {
        self.link_header() + self.ip_header()
    }

    /// Where its checksum is.
    #[must_use]
    pub fn checksum_field(&self) -> Range<usize> {
        let field = self.start() + if self.is_udp { 6 } else { 16 };
        field..field + 2
    }

    /// Where the payload of the TCP segment begins whose head this was made from; `None` unless the whole header is in it.
    #[must_use]
    pub fn tcp_payload(&self, head: &[u8]) -> Option<usize> {
        let header = usize::from(head.get(self.start() + 12)? >> 4) * 4;
        let payload = self.start() + header;
        (!self.is_udp && header >= 20 && payload <= head.len().min(self.end)).then_some(payload)
    }

    /// Where the packet ends. The frame may be longer: it is padded.
    #[must_use]
    pub fn end(&self) -> usize {
        self.end
    }

    /// The checksum in the head that this was made from.
    #[must_use]
    pub fn checksum_in(&self, head: &[u8]) -> u16 {
        word(head, self.checksum_field().start).unwrap_or(0)
    }

    /// The sum of the pseudo header [RFC 768, RFC 9293 3.1, RFC 8200 8.1], from the head that this was made from.
    #[must_use]
    pub fn pseudo_header(&self, head: &[u8]) -> u16 {
        let length = internet_checksum::length_word(self.end - self.start());
        internet_checksum::add(self.pseudo_header_to_cut(head), length)
    }

    /// The same without the length: that of each segment is added when it is cut.
    #[must_use]
    pub fn pseudo_header_to_cut(&self, head: &[u8]) -> u16 {
        let addresses = if self.is_ipv4 { 12..20 } else { 8..40 };
        let at = self.link_header();
        let addresses = head.get(at + addresses.start..at + addresses.end).unwrap_or_default();
        let protocol = u16::from(if self.is_udp { UDP } else { TCP });
        internet_checksum::add(internet_checksum::sum(addresses), protocol)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    /// A packet of the version with so many bytes of options, this protocol and so many bytes of payload, behind these tags.
    fn frame(version: u8, options: usize, protocol: u8, payload: usize, tags: &[u16]) -> Vec<u8> {
        let transport = if protocol == TCP { 20 } else { 8 } + payload;
        let mut frame = Vec::from([2; ETHERTYPE]);
        for tag in tags {
            frame.extend(tag.to_be_bytes());
            frame.extend([0, 7]);
        }
        if version == 4 {
            let total = 20 + options + transport;
            frame.extend(IPV4.to_be_bytes());
            frame.extend([0x45 + (options / 4) as u8, 0, (total >> 8) as u8, total as u8]);
            frame.extend([0, 1, 0x40, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
            frame.extend(core::iter::repeat_n(1, options));
        } else {
            frame.extend(IPV6.to_be_bytes());
            frame.extend([0x60, 0, 0, 0, (transport >> 8) as u8, transport as u8, protocol, 64]);
            frame.extend([1; 32]);
        }
        frame.extend([0, 1, 0, 2, (transport >> 8) as u8, transport as u8, 0, 0]);
        frame.resize(frame.len() + transport - 8, 0);
        frame
    }

    fn layout_of(frame: &[u8]) -> Option<(usize, usize, Range<usize>, usize)> {
        let layout = TransportLayout::of(frame, frame.len())?;
        Some((layout.link_header(), layout.ip_header(), layout.checksum_field(), layout.end()))
    }

    #[test]
    fn headers_are_found_behind_tags_and_options() {
        assert_eq!(layout_of(&frame(4, 0, TCP, 3, &[])), Some((14, 20, 50..52, 57)));
        assert_eq!(layout_of(&frame(4, 0, UDP, 3, &[])), Some((14, 20, 40..42, 45)));
        assert_eq!(layout_of(&frame(4, 40, TCP, 0, &[0x8100])), Some((18, 60, 94..96, 98)));
        assert_eq!(layout_of(&frame(6, 0, UDP, 1, &[0x88a8, 0x8100])), Some((22, 40, 68..70, 71)));
        assert_eq!(layout_of(&frame(4, 0, TCP, 3, &[0x8100; 3])), None);
        let mut padded = frame(4, 0, UDP, 3, &[]);
        padded.resize(60, 0);
        assert_eq!(layout_of(&padded), Some((14, 20, 40..42, 45)));
    }

    #[test]
    fn what_is_not_tcp_or_udp_as_a_whole_has_no_layout() {
        let good = frame(4, 4, UDP, 10, &[]);
        assert!(layout_of(&good).is_some());
        // EtherType, version, header length, total length, fragment, offset, protocol, length of the datagram.
        for (at, value) in [(13, 6), (14, 0x66), (14, 0x44), (17, 43), (20, 0x20), (21, 1), (23, 1), (43, 17)]
        {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(layout_of(&bad), None, "byte {at}");
        }
        assert_eq!(TransportLayout::of(&good, good.len() - 1), None, "its end is missing");
        let long = frame(4, 40, TCP, 1000, &[]);
        assert!(TransportLayout::of(&long[..94], long.len()).is_some());
        assert_eq!(TransportLayout::of(&long[..93], long.len()), None, "its header is missing");
        assert_eq!(layout_of(&frame(6, 0, 0, 30, &[])), None, "an extension header");
    }

    #[test]
    fn the_pseudo_header_is_summed() {
        let udp = frame(4, 0, UDP, 3, &[]);
        let layout = TransportLayout::of(&udp, udp.len()).unwrap();
        assert_eq!(layout.pseudo_header(&udp), 2 * 0x0a00 + 1 + 2 + 17 + 11);
        let tcp = frame(6, 0, TCP, 3, &[]);
        let layout = TransportLayout::of(&tcp, tcp.len()).unwrap();
        assert_eq!(layout.pseudo_header(&tcp), 16 * 0x0101 + 6 + 23);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(
            bytes in proptest::collection::vec(any::<u8>(), 0..150),
            kind in 0usize..6,
            length in 0usize..200,
        ) {
            let mut head = bytes;
            let kinds = [[0x08, 0, 0x45], [0x08, 0, 0x4f], [0x86, 0xdd, 0x60], [0x81, 0, 0], [0x88, 0xa8, 0], [8, 6, 0]];
            if let Some(field) = head.get_mut(12..15) {
                field.copy_from_slice(&kinds[kind]);
            }
            if let Some(layout) = TransportLayout::of(&head, length) {
                prop_assert!(layout.end() <= length && layout.checksum_field().end <= head.len());
                prop_assert!(layout.checksum_field().end <= layout.end());
                let _ = layout.pseudo_header(&head);
            }
        }
    }
}
