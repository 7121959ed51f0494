//! What NICs can do about a frame while they send it.
//!
//! What they are told is rebuilt from the frame's head, which nobody can change any more: no descriptor of a guest's reaches
//! them.

use crate::transport::TAGS;
use crate::{Checksums, LentFrame, TransportLayout, internet_checksum};

/// A frame that is cut has no more pieces than two and one for each so many bytes.
const BYTES_PER_PIECE: usize = 2048;

/// Longest frame into which one is cut, without frame check sequence: 9000 bytes of payload, an Ethernet header and a VLAN tag.
pub const LONGEST_SEGMENT: usize = 9018;

const ETHERNET: usize = 14;
const TAGGED: usize = ETHERNET + 4;
const PSH_ACK: u8 = 0x18;

impl LentFrame<'_> {
    /// The headers of the frame, if a NIC can compute the checksum that is unfinished: that of a TCP segment or UDP datagram which
    /// ends with the frame, behind one tag at most. All families can do these.
    #[must_use]
    pub fn offloadable(&self) -> Option<TransportLayout> {
        let Checksums::Unfinished(checksum) = self.checksums else { return None };
        let layout = checksum.layout(self)?;
        let plain = match layout.link_header() {
            ETHERNET => true,
            TAGGED => self.head.get(ETHERNET - 2..ETHERNET) == Some(&TAGS[0].to_be_bytes()[..]),
            _ => false,
        };
        (plain && layout.end() == self.length).then_some(layout)
    }

    /// The headers of the frame, and how long they are together, if a NIC can and should cut it as it asks for: a TCP segment with
    /// a right IPv4 header checksum and no flags but `PSH` and `ACK`, since NICs treat others in different ways: QEMU's igb loses
    /// `FIN`, and `PSH`, without which receivers do; in few pieces for its length, since each costs the NIC, and those whose
    /// frames come after; into frames that drivers carry.
    #[must_use]
    pub fn segmentable(&self) -> Option<(TransportLayout, usize)> {
        let mss = usize::from(self.mss?.get());
        let layout = self.offloadable()?;
        let payload = layout.tcp_payload(self.head)?;
        let ip = self.head.get(layout.link_header()..layout.start())?;
        let right = !layout.is_ipv4() || internet_checksum::sum(ip) == 0xffff;
        let flags = self.head.get(layout.start() + 13)?;
        let few = self.pieces.len() <= 2 + self.length / BYTES_PER_PIECE;
        let fits = payload + mss <= LONGEST_SEGMENT;
        let all = right && flags & !PSH_ACK == 0 && few && fits && payload < self.length;
        all.then_some((layout, payload))
    }

    /// Its bytes on the wire, where a NIC that cuts it repeats the headers.
    #[must_use]
    #[inline]
    pub fn wire_length(&self) -> usize {
        let Some(mss) = self.mss else { return self.length };
        let repeated = self.segmentable().map_or(0, |(_, headers)| {
            (self.length - headers).div_ceil(mss.get().into()).saturating_sub(1) * headers
        });
        self.length + repeated
    }
}
