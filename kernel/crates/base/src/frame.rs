//! A frame as it goes through the switch: by reference.

use crate::internet_checksum;
use crate::transport::TAGS;
use crate::{Memory, Span, TransportLayout};
use core::num::NonZeroU16;
use core::ops::Range;

/// Most bytes of a frame that are copied when it is fetched. All headers up to the options of TCP are among them:
/// Ethernet 14, a tag 4, IPv6 40, TCP 60. So decisions are made on bytes that nobody can change after them.
pub const HEAD: usize = 128;

/// What is known of the checksums in a frame, or is still to be done about them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// Nobody has verified them.
    #[default]
    Unknown,
    /// The NIC that has received the frame says what it found.
    Verified {
        /// Of the IPv4 header's checksum.
        ip: Verdict,
        /// Of that of TCP or UDP.
        transport: Verdict,
    },
    /// The one of TCP or UDP is still to be computed: by the NIC that sends the frame, or else by Weir.
    Unfinished(UnfinishedChecksum),
}

/// What was found of one checksum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// It was not verified, or there is none.
    #[default]
    Unknown,
    /// It is right.
    Good,
    /// It is wrong.
    Bad,
}

/// A checksum of TCP or UDP that is still to be computed. Its field, which is in the frame's head, has the sum of the
/// pseudo header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfinishedChecksum {
    start: u8,
    field: u8,
    udp: bool,
}

impl UnfinishedChecksum {
    /// The checksum of the bytes from `start` to the end of a frame, which is to be stored at `field`. `None` unless both are
    /// among the first [`HEAD`] bytes, and the field is behind the start.
    #[must_use]
    pub fn new(start: usize, field: usize, udp: bool) -> Option<Self> {
        let inside = start <= field && field + 2 <= HEAD;
        let (start, field) = (u8::try_from(start).ok()?, u8::try_from(field).ok()?);
        inside.then_some(Self { start, field, udp })
    }

    /// Where the bytes begin of which it is.
    #[must_use]
    pub fn start(&self) -> usize {
        self.start.into()
    }

    /// Where it is to be stored.
    #[must_use]
    pub fn field(&self) -> Range<usize> {
        usize::from(self.field)..usize::from(self.field) + 2
    }

    /// True for that of UDP, where 0 means that there is none [RFC 768].
    #[must_use]
    pub fn is_udp(&self) -> bool {
        self.udp
    }

    /// The same in a frame that is longer by `by` bytes before it. `None` when the field is not among the first
    /// [`HEAD`] bytes then.
    #[must_use]
    pub fn after(&self, by: usize) -> Option<Self> {
        Self::new(self.start() + by, usize::from(self.field) + by, self.udp)
    }

    /// Its value.
    #[must_use]
    pub fn checksum<M: Memory>(&self, frame: &LentFrame<'_>) -> u16 {
        let mut sum = 0;
        frame.parts::<M>(self.start(), |part| {
            sum = internet_checksum::add(sum, internet_checksum::sum(part));
        });
        if self.udp && sum == 0xffff { 0xffff } else { !sum }
    }

    /// The headers of the frame, if this is the checksum of the TCP segment or UDP datagram in it, and not something else that
    /// its sender wants to have summed.
    #[must_use]
    pub fn layout(&self, frame: &LentFrame<'_>) -> Option<TransportLayout> {
        let layout = TransportLayout::of(frame.head, frame.length)?;
        let same = self.start() == layout.start() && self.field() == layout.checksum_field();
        (same && self.udp == layout.is_udp()).then_some(layout)
    }

    /// True if the frame's checksum is right once this has been computed: nothing but zeros follows the packet, and the field
    /// has the sum of the pseudo header.
    fn makes_right(&self, frame: &LentFrame<'_>) -> bool {
        let rest = |end| match frame.head.get(end..) {
            Some(padding) if frame.pieces.is_empty() => padding.iter().all(|byte| *byte == 0),
            _ => end == frame.length,
        };
        self.layout(frame).is_some_and(|layout| {
            // 0 and FFFFh are the same number.
            let [expected, found] = [layout.pseudo_header(frame.head), layout.checksum_in(frame.head)];
            rest(layout.end()) && expected % 0xffff == found % 0xffff
        })
    }
}

/// A frame, by reference: an Ethernet frame from its destination address to the end of its payload, without the frame
/// check sequence.
#[derive(Clone, Copy, Debug)]
pub struct LentFrame<'a> {
    /// Its first bytes: [`HEAD`], or all if it has fewer.
    pub head: &'a [u8],
    /// Where the other bytes are, in order. Their owner may change them.
    pub pieces: &'a [Span],
    /// Its length in bytes.
    pub length: usize,
    /// What is known of its checksums, or is still to be done about them.
    pub checksums: Checksums,
    /// It is a TCP segment, with an unfinished checksum, that may be longer than a frame: the NIC that sends it cuts it into
    /// segments with so many bytes of payload each. Its head shows it as if it were one frame.
    pub mss: Option<NonZeroU16>,
}

impl<'a> LentFrame<'a> {
    /// A frame that is all head.
    #[must_use]
    pub fn whole(bytes: &'a [u8]) -> Self {
        Self { head: bytes, pieces: &[], length: bytes.len(), checksums: Checksums::Unknown, mss: None }
    }

    /// The VLAN of the tag that follows the addresses; 0 if that gives a priority only [802.1Q 9.6]. `None` without a tag.
    #[must_use]
    pub fn vlan(&self) -> Option<u16> {
        let at =
            |offset: usize| Some(u16::from_be_bytes([*self.head.get(offset)?, *self.head.get(offset + 1)?]));
        at(12).filter(|ether_type| TAGS.contains(ether_type)).and(at(14)).map(|tag| tag & 0xfff)
    }

    /// Fills `into` with the bytes from `offset` on. The frame must have so many.
    pub fn load<M: Memory>(&self, offset: usize, into: &mut [u8]) {
        let own = self.head.get(offset..).unwrap_or_default();
        let own = &own[..own.len().min(into.len())];
        let (first, mut rest) = into.split_at_mut(own.len());
        first.copy_from_slice(own);
        self.pieces_from(offset + own.len(), rest.len(), |piece| {
            let (bytes, after) = core::mem::take(&mut rest).split_at_mut(piece.len());
            M::load(piece, bytes);
            rest = after;
        });
    }

    /// Copies the bytes from `offset` on into shared memory, as many as there are and fit.
    pub fn copy<M: Memory>(&self, offset: usize, into: Span) {
        let own = self.head.get(offset..).unwrap_or_default();
        let own = &own[..own.len().min(into.len())];
        let (first, mut rest) = into.split(own.len());
        if !own.is_empty() {
            M::store(first, own);
        }
        self.pieces_from(offset + own.len(), rest.len(), |piece| {
            let (bytes, after) = rest.split(piece.len());
            M::copy(piece, bytes);
            rest = after;
        });
    }

    /// Passes the bytes from `offset` on to `take` in parts, of which only the last may have an odd length.
    pub fn parts<M: Memory>(&self, offset: usize, mut take: impl FnMut(&[u8])) {
        const PART: usize = 256;
        let (mut at, mut part) = (offset, [0; PART]);
        while at < self.length {
            let part = &mut part[..PART.min(self.length - at)];
            self.load::<M>(at, part);
            take(part);
            at += part.len();
        }
    }

    /// The frame with all its checksums in place: for a sink that cannot have them computed. `head` is where the changed
    /// head is. What its sender has asked for may be something else than the checksum of TCP or UDP: then nothing is known of
    /// that.
    #[must_use]
    pub fn finished<'b, M: Memory>(&self, head: &'b mut [u8; HEAD]) -> LentFrame<'b>
    where
        'a: 'b,
    {
        let Checksums::Unfinished(unfinished) = self.checksums else { return *self };
        let checksum = unfinished.checksum::<M>(self);
        let right = unfinished.makes_right(self);
        let Some(head) = head.get_mut(..self.head.len()) else {
            return LentFrame { checksums: Checksums::Unknown, ..*self };
        };
        head.copy_from_slice(self.head);
        if let Some(field) = head.get_mut(unfinished.field()) {
            field.copy_from_slice(&checksum.to_be_bytes());
        }
        let good = Checksums::Verified { ip: Verdict::Unknown, transport: Verdict::Good };
        LentFrame { head, checksums: if right { good } else { Checksums::Unknown }, ..*self }
    }

    /// Passes the memory of at most `length` bytes from `offset` on, which is not in the head, to `take`.
    fn pieces_from(&self, offset: usize, mut length: usize, mut take: impl FnMut(Span)) {
        if length == 0 {
            return;
        }
        let mut skip = offset - self.head.len();
        for piece in self.pieces {
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let part = piece.part(skip, length);
            take(part);
            (skip, length) = (0, length - part.len());
            if length == 0 {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vlan_of_a_frame_is_in_its_first_tag() {
        let frame = |bytes: &[u8]| LentFrame::whole(&[&[0; 12][..], bytes].concat()).vlan();
        assert_eq!(frame(&[0x08, 0x00, 0x45, 0x00]), None);
        assert_eq!(frame(&[0x81, 0x00, 0xe0, 0x2a, 0x08, 0x00]), Some(42));
        assert_eq!(frame(&[0x88, 0xa8, 0x0f, 0xfe, 0x81, 0x00, 0x00, 0x01]), Some(4094));
        assert_eq!(frame(&[0x81, 0x00, 0xe0, 0x00]), Some(0));
        assert_eq!((frame(&[0x81, 0x00, 0x00]), frame(&[0x81])), (None, None));
    }

    #[test]
    fn a_checksum_is_where_nobody_can_change_it() {
        assert!(UnfinishedChecksum::new(34, HEAD - 2, false).is_some());
        assert_eq!(UnfinishedChecksum::new(34, HEAD - 1, false), None);
        assert_eq!(UnfinishedChecksum::new(34, 33, false), None);
        assert_eq!(UnfinishedChecksum::new(usize::MAX, 300, false), None);
        let tagged = UnfinishedChecksum::new(34, 50, true).and_then(|checksum| checksum.after(4));
        assert_eq!(tagged, UnfinishedChecksum::new(38, 54, true));
        assert_eq!(tagged.and_then(|checksum| checksum.after(HEAD)), None);
    }
}
