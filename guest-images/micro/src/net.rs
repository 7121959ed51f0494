//! Parses and writes frames with ARP, IPv4, ICMP echo and UDP; keeps no state.
//!
//! [RFC 826], [RFC 791], [RFC 792], [RFC 768], [RFC 1071].

/// An IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Ipv4(pub [u8; 4]);

impl core::fmt::Display for Ipv4 {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let [a, b, c, d] = self.0;
        write!(f, "{a}.{b}.{c}.{d}")
    }
}

/// A MAC address.
pub type Mac = [u8; 6];
/// The broadcast address.
pub const BROADCAST: Mac = [0xff; 6];

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const ICMP: u8 = 1;
const UDP: u8 = 17;
const ETHERNET_HEADER: usize = 14;
const IPV4_HEADER: usize = 20;
/// Number of bytes before a UDP payload.
pub const UDP_OVERHEAD: usize = ETHERNET_HEADER + IPV4_HEADER + 8;
/// Minimum length of a frame, without frame check sequence.
pub const MIN_FRAME: usize = 60;

/// Both ends of a packet, from the sender's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// The sender.
    pub from: (Mac, Ipv4),
    /// The recipient.
    pub to: (Mac, Ipv4),
}

impl Ends {
    /// The ends of an answer.
    #[must_use]
    pub fn swapped(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// The content of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A request for the MAC address of `to`, whose MAC address here has no meaning.
    ArpRequest(Ends),
    /// The answer with the MAC address of `from`.
    ArpReply(Ends),
    /// ICMP echo request or reply; the bytes are identifier, sequence number and data.
    Echo {
        /// Both ends.
        ends: Ends,
        /// True for the reply.
        reply: bool,
        /// Everything after the ICMP checksum.
        rest: &'a [u8],
    },
    /// A UDP datagram.
    Udp {
        /// Both ends.
        ends: Ends,
        /// Source port, destination port.
        ports: (u16, u16),
        /// The payload.
        payload: &'a [u8],
    },
    /// Any other frame.
    Other,
    /// A checksum or a length is wrong.
    Broken,
}

/// Parses a frame.
#[must_use]
pub fn parse(frame: &[u8]) -> Packet<'_> {
    let Some((header, body)) = frame.split_at_checked(ETHERNET_HEADER) else { return Packet::Broken };
    match word(header, 12) {
        Some(ARP) => parse_arp(body),
        Some(IPV4) => parse_ipv4(mac(header, 0), mac(header, 6), body),
        _ => Packet::Other,
    }
}

fn parse_arp(body: &[u8]) -> Packet<'_> {
    // Hardware type Ethernet, protocol type IPv4, address lengths 6 and 4.
    if body.get(..6) != Some(&[0, 1, 8, 0, 6, 4]) || body.len() < 28 {
        return Packet::Other;
    }
    let ends = Ends { from: (mac(body, 8), ipv4(body, 14)), to: (mac(body, 18), ipv4(body, 24)) };
    match word(body, 6) {
        Some(1) => Packet::ArpRequest(ends),
        Some(2) => Packet::ArpReply(ends),
        _ => Packet::Other,
    }
}

fn parse_ipv4(to: Mac, from: Mac, body: &[u8]) -> Packet<'_> {
    let header = usize::from(body.first().copied().unwrap_or(0) & 0xf) * 4;
    let total = usize::from(word(body, 2).unwrap_or(0));
    let fragmented = word(body, 6).unwrap_or(0) & 0x3fff != 0;
    if body.first().is_none_or(|first| first >> 4 != 4) || fragmented {
        return Packet::Other;
    }
    if header < IPV4_HEADER || total < header || total > body.len() || sum(&[&body[..header]]) != 0 {
        return Packet::Broken;
    }
    let payload = &body[header..total];
    let ends = Ends { from: (from, ipv4(body, 12)), to: (to, ipv4(body, 16)) };
    match body[9] {
        ICMP => parse_icmp(ends, payload),
        UDP => parse_udp(ends, payload),
        _ => Packet::Other,
    }
}

fn parse_icmp(ends: Ends, message: &[u8]) -> Packet<'_> {
    let Some((head, rest)) = message.split_at_checked(4) else { return Packet::Broken };
    if sum(&[message]) != 0 {
        return Packet::Broken;
    }
    match head[..2] {
        [8, 0] => Packet::Echo { ends, reply: false, rest },
        [0, 0] => Packet::Echo { ends, reply: true, rest },
        _ => Packet::Other,
    }
}

fn parse_udp(ends: Ends, datagram: &[u8]) -> Packet<'_> {
    let length = usize::from(word(datagram, 4).unwrap_or(0));
    let Some(datagram) = datagram.get(..length).filter(|bytes| bytes.len() >= 8) else {
        return Packet::Broken;
    };
    if word(datagram, 6) != Some(0) && sum(&[&pseudo_header(ends, UDP, length), datagram]) != 0 {
        return Packet::Broken;
    }
    let ports = (word(datagram, 0).unwrap_or(0), word(datagram, 2).unwrap_or(0));
    Packet::Udp { ends, ports, payload: &datagram[8..] }
}

/// Writes an ARP request or reply and returns the frame's length. A request is a broadcast.
pub fn write_arp(into: &mut [u8; 1514], ends: Ends, reply: bool) -> usize {
    let target = if reply { ends.to.0 } else { BROADCAST };
    ethernet(into, target, ends.from.0, ARP);
    into[14..22].copy_from_slice(&[0, 1, 8, 0, 6, 4, 0, if reply { 2 } else { 1 }]);
    into[22..28].copy_from_slice(&ends.from.0);
    into[28..32].copy_from_slice(&ends.from.1.0);
    into[32..38].copy_from_slice(&if reply { ends.to.0 } else { [0; 6] });
    into[38..42].copy_from_slice(&ends.to.1.0);
    pad(into, 42)
}

/// Writes an ICMP echo request or reply and returns the frame's length; `rest` as in [`Packet::Echo`].
pub fn write_echo(into: &mut [u8; 1514], ends: Ends, reply: bool, rest: &[u8]) -> usize {
    let rest = &rest[..rest.len().min(1514 - 38)];
    let message = 4 + rest.len();
    write_ipv4(into, ends, ICMP, message);
    into[34..38].copy_from_slice(&[if reply { 0 } else { 8 }, 0, 0, 0]);
    into[38..34 + message].copy_from_slice(rest);
    let check = sum(&[&into[34..34 + message]]);
    into[36..38].copy_from_slice(&check.to_be_bytes());
    pad(into, 34 + message)
}

/// Writes a UDP datagram and returns the frame's length.
pub fn write_udp(into: &mut [u8; 1514], ends: Ends, ports: (u16, u16), payload: &[u8]) -> usize {
    let payload = &payload[..payload.len().min(1514 - UDP_OVERHEAD)];
    let length = 8 + payload.len();
    write_ipv4(into, ends, UDP, length);
    into[34..36].copy_from_slice(&ports.0.to_be_bytes());
    into[36..38].copy_from_slice(&ports.1.to_be_bytes());
    into[38..40].copy_from_slice(&length_field(length));
    into[40..42].copy_from_slice(&[0, 0]);
    into[42..34 + length].copy_from_slice(payload);
    // A checksum of zero is sent as all ones, since zero means that there is no checksum [RFC 768].
    let check = match sum(&[&pseudo_header(ends, UDP, length), &into[34..34 + length]]) {
        0 => 0xffff,
        check => check,
    };
    into[40..42].copy_from_slice(&check.to_be_bytes());
    pad(into, 34 + length)
}

fn write_ipv4(into: &mut [u8; 1514], ends: Ends, protocol: u8, payload: usize) {
    ethernet(into, ends.to.0, ends.from.0, IPV4);
    let [high, low] = length_field(IPV4_HEADER + payload);
    into[14..26].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0]);
    into[26..30].copy_from_slice(&ends.from.1.0);
    into[30..34].copy_from_slice(&ends.to.1.0);
    let check = sum(&[&into[14..34]]);
    into[24..26].copy_from_slice(&check.to_be_bytes());
}

fn ethernet(into: &mut [u8; 1514], to: Mac, from: Mac, kind: u16) {
    into[..6].copy_from_slice(&to);
    into[6..12].copy_from_slice(&from);
    into[12..14].copy_from_slice(&kind.to_be_bytes());
}

fn pad(into: &mut [u8; 1514], length: usize) -> usize {
    let padded = length.max(MIN_FRAME);
    into[length..padded].fill(0);
    padded
}

fn pseudo_header(ends: Ends, protocol: u8, length: usize) -> [u8; 12] {
    let mut header = [0; 12];
    header[..4].copy_from_slice(&ends.from.1.0);
    header[4..8].copy_from_slice(&ends.to.1.0);
    header[9] = protocol;
    header[10..].copy_from_slice(&length_field(length));
    header
}

/// The Internet checksum of concatenated parts, of which only the last may have an odd length. It is zero over
/// data that includes its own checksum.
#[expect(clippy::cast_possible_truncation, reason = "the sum is folded to 16 bits")]
fn sum(parts: &[&[u8]]) -> u16 {
    let total: u32 = parts
        .iter()
        .flat_map(|part| part.chunks(2))
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    let folded = (total & 0xffff) + (total >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// A length as a 16-bit field in network byte order; frames are shorter than 64 KiB.
pub(crate) fn length_field(length: usize) -> [u8; 2] {
    let [.., high, low] = length.to_be_bytes();
    [high, low]
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn mac(bytes: &[u8], at: usize) -> Mac {
    bytes.get(at..at + 6).and_then(|part| part.try_into().ok()).unwrap_or_default()
}

fn ipv4(bytes: &[u8], at: usize) -> Ipv4 {
    Ipv4(bytes.get(at..at + 4).and_then(|part| part.try_into().ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDS: Ends = Ends {
        from: ([0x52, 0x54, 0, 0, 0, 1], Ipv4([10, 0, 5, 1])),
        to: ([0x52, 0x54, 0, 0, 0, 2], Ipv4([10, 0, 5, 2])),
    };

    #[test]
    fn a_written_datagram_is_parsed_back() {
        for length in [0, 1, 2, 17, 18, 19, 1471, 1472] {
            let payload: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut frame = [0xee; 1514];
            let written = write_udp(&mut frame, ENDS, (7, 1000), &payload);
            assert_eq!(written, (UDP_OVERHEAD + length).max(MIN_FRAME));
            let expected = Packet::Udp { ends: ENDS, ports: (7, 1000), payload: &payload };
            assert_eq!(parse(&frame[..written]), expected);
        }
    }

    #[test]
    fn one_wrong_bit_in_a_datagram_is_detected() {
        let mut frame = [0; 1514];
        let written = write_udp(&mut frame, ENDS, (7, 1000), b"0123456789 0123456789");
        for bit in 14 * 8..written * 8 {
            let mut broken = frame;
            broken[bit / 8] ^= 1 << (bit % 8);
            let whole = Packet::Udp { ends: ENDS, ports: (7, 1000), payload: b"0123456789 0123456789" };
            assert_ne!(parse(&broken[..written]), whole, "bit {bit}");
        }
    }

    #[test]
    fn written_echo_and_arp_frames_are_parsed_back() {
        let mut frame = [0; 1514];
        for reply in [false, true] {
            let written = write_echo(&mut frame, ENDS, reply, b"\x12\x34\x00\x01data");
            let expected = Packet::Echo { ends: ENDS, reply, rest: b"\x12\x34\x00\x01data" };
            assert_eq!(parse(&frame[..written]), expected);
        }
        let written = write_arp(&mut frame, ENDS, true);
        assert_eq!(parse(&frame[..written]), Packet::ArpReply(ENDS));
        let written = write_arp(&mut frame, ENDS, false);
        assert_eq!(frame[..6], BROADCAST);
        let asked = Ends { to: ([0; 6], ENDS.to.1), ..ENDS };
        assert_eq!(parse(&frame[..written]), Packet::ArpRequest(asked));
    }

    #[test]
    fn a_truncated_frame_is_not_taken_for_a_whole_one() {
        let mut frame = [0; 1514];
        let written = write_udp(&mut frame, ENDS, (7, 1000), &[1; 100]);
        for length in 0..written {
            assert!(matches!(parse(&frame[..length]), Packet::Broken | Packet::Other), "{length}");
        }
    }
}
