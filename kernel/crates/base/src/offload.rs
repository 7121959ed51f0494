//! What NICs can do about a frame while they send it.
//!
//! What they are told is rebuilt from the frame's head, which nobody can change any more: no descriptor of a guest's reaches
//! them.

use crate::transport::TAGS;
use crate::{Checksums, LentFrame, TransportLayout, internet_checksum};

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

    /// The headers of the frame, and how long they are together, if a NIC can cut it: a TCP segment with a right IPv4 header
    /// checksum and no flags but `PSH` and `ACK`. NICs treat others in different ways: QEMU's igb loses `FIN`.
    #[must_use]
    pub fn segmentable(&self) -> Option<(TransportLayout, usize)> {
        let layout = self.offloadable()?;
        let payload = layout.tcp_payload(self.head)?;
        let ip = self.head.get(layout.link_header()..layout.start())?;
        let right = !layout.is_ipv4() || internet_checksum::sum(ip) == 0xffff;
        let flags = self.head.get(layout.start() + 13)?;
        (right && flags & !PSH_ACK == 0).then_some((layout, payload))
    }
}
