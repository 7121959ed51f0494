//! What a NIC's report on the checksums of a received frame is worth.

use base::{Checksums, TransportLayout, Verdict};

const ETHERTYPE: core::ops::Range<usize> = 12..14;
const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];

/// What a NIC reports of a frame's checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedChecksums {
    /// Of that of the IPv4 header.
    pub ip: Verdict,
    /// Of that of TCP or UDP.
    pub transport: Verdict,
}

impl ReportedChecksums {
    /// From the bits for "calculated" and "wrong" of both.
    pub(crate) fn new(ip: (bool, bool), transport: (bool, bool)) -> Self {
        let verdict = |bits| match bits {
            (false, _) => Verdict::Unknown,
            (true, false) => Verdict::Good,
            (true, true) => Verdict::Bad,
        };
        Self { ip: verdict(ip), transport: verdict(transport) }
    }

    /// What is known of a frame of `length` bytes which begins with `head`.
    ///
    /// The families differ in what they look into: tags, IPv6 with its extension headers, tunnels, and UDP without a checksum
    /// [8254x 3.2.9, 82574 7.1, I210 7.1]. So a report counts for whole TCP segments and UDP datagrams in IPv4 without a tag, and
    /// that on the header for all of IPv4 without a tag. All of them verify these.
    pub(crate) fn of(self, head: &[u8], length: usize) -> Checksums {
        let is_ipv4 = head.get(ETHERTYPE) == Some(&ETHERTYPE_IPV4[..]);
        if !is_ipv4 || self == Self::default() {
            return Checksums::Unknown;
        }
        let verified = |layout: &TransportLayout| !(layout.is_udp() && layout.checksum_in(head) == 0);
        let layout = TransportLayout::of(head, length).filter(verified);
        let transport = if layout.is_some() { self.transport } else { Verdict::Unknown };
        if self.ip == Verdict::Unknown && transport == Verdict::Unknown {
            return Checksums::Unknown;
        }
        Checksums::Verified { ip: self.ip, transport }
    }
}
