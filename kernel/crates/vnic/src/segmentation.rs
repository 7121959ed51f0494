//! TCP segmentation: how a packet is cut, and what changes in the headers of each frame [8254x 3.5].

use crate::ethernet::{put_word, word};
use base::bits::{low_u16, low_u32};
use base::internet_checksum;
use intel_regs::desc::{TxContext, TxContextCommand};

/// How a packet is cut into frames [8254x 3.5].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segmentation {
    /// Bytes of header at the start of each frame.
    pub(crate) header: usize,
    /// Bytes of payload in each frame but the last.
    pub(crate) mss: usize,
    /// Bytes of payload in all frames together.
    pub(crate) payload: usize,
    ip_start: usize,
    transport_start: usize,
    transport_checksum: usize,
    ipv4: bool,
    tcp: bool,
}

/// The position of one frame in a packet that is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SegmentPosition {
    /// Number of the frame, from 0.
    pub(crate) number: usize,
    /// Offset of its payload in the packet's payload.
    pub(crate) offset: usize,
    /// It is the last frame.
    pub(crate) last: bool,
}

/// `FIN` and `PSH`, which only the last segment keeps.
const FIN_PSH: u8 = 0x09;
/// Bytes of an IPv6 header.
const IPV6_HEADER: usize = 40;

impl Segmentation {
    /// The segmentation of a packet of `length` bytes in this context. `PAYLEN` and the buffers may disagree: the
    /// smaller length counts.
    pub(crate) fn new(context: &TxContext, length: usize) -> Self {
        let header = usize::from(context.header_length);
        let payload = (context.payload_length() as usize).min(length.saturating_sub(header));
        Self {
            header,
            mss: context.maximum_segment_size.get().into(),
            payload,
            ip_start: context.ip_checksum_start.into(),
            transport_start: context.tu_checksum_start.into(),
            transport_checksum: context.tu_checksum_offset.into(),
            ipv4: context.command().contains(TxContextCommand::IP),
            tcp: context.command().contains(TxContextCommand::TCP),
        }
    }

    /// How many of a frame's first bytes [`update`](Self::update) may change.
    pub(crate) fn reach(&self) -> usize {
        let transport = (self.transport_start + 14).max(self.transport_checksum + 2);
        transport.max(self.ip_start + 6)
    }

    /// Updates the headers of a frame of this length, of which these are the first bytes: a copy of the packet's own [8254x
    /// 3.5.9]. With `transport_checksum`, the checksum field holds the sum of the pseudo header without its length, which is
    /// added here.
    pub(crate) fn update(
        &self,
        frame: &mut [u8],
        length: usize,
        segment: SegmentPosition,
        transport_checksum: bool,
    ) {
        let after = |start: usize| low_u16(length.saturating_sub(start) as u64);
        if self.ipv4 {
            put_word(frame, self.ip_start + 2, after(self.ip_start));
            let identification = get(frame, self.ip_start + 4).wrapping_add(low_u16(segment.number as u64));
            put_word(frame, self.ip_start + 4, identification);
        } else {
            // The manual says MSS + HDRLEN - IPCSS; the field does not count the IPv6 header [RFC 8200 3].
            put_word(frame, self.ip_start + 4, after(self.ip_start + IPV6_HEADER));
        }
        if self.tcp {
            let at = self.transport_start + 4;
            if let Some(field) = frame.get_mut(at..at + 4) {
                let first = u32::from_be_bytes([field[0], field[1], field[2], field[3]]);
                field.copy_from_slice(&first.wrapping_add(low_u32(segment.offset as u64)).to_be_bytes());
            }
            if let Some(flags) = frame.get_mut(self.transport_start + 13).filter(|_| !segment.last) {
                *flags &= !FIN_PSH;
            }
        } else {
            put_word(frame, self.transport_start + 4, after(self.transport_start));
        }
        if transport_checksum {
            let sum = get(frame, self.transport_checksum);
            let pseudo = internet_checksum::add(sum, after(self.transport_start));
            put_word(frame, self.transport_checksum, pseudo);
        }
    }
}

/// The big-endian word at `offset`; 0 beyond the frame.
fn get(frame: &[u8], offset: usize) -> u16 {
    word(frame, offset).unwrap_or(0)
}
