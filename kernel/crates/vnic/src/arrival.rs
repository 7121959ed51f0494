//! A received frame on its way into the guest's buffers, with the contents of its last descriptor.

use base::{Memory, Span, internet_checksum};
use intel_regs::desc::{self, RxDescriptor, RxErrors, RxStatus};

/// The fields of a receive descriptor that hardware writes: all but the address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WriteBack {
    /// Bytes in the buffer; until the frame is delivered, bytes in the frame.
    pub(crate) length: u16,
    /// TransmitPacket checksum.
    pub(crate) checksum: u16,
    /// Status.
    pub(crate) status: RxStatus,
    /// Errors.
    pub(crate) errors: RxErrors,
    /// Tag control information of a stripped tag.
    pub(crate) special: u16,
}

/// Bytes of a [`WriteBack`] in a descriptor.
pub(crate) const WRITE_BACK_SIZE: usize = desc::SIZE - core::mem::offset_of!(RxDescriptor, length);

impl WriteBack {
    /// The second half of the descriptor.
    pub(crate) fn to_bytes(self) -> [u8; WRITE_BACK_SIZE] {
        let descriptor = RxDescriptor {
            address: 0.into(),
            length: self.length.into(),
            checksum: self.checksum.into(),
            status: self.status.bits(),
            errors: self.errors.bits(),
            special: self.special.into(),
        };
        let [_, _, _, _, _, _, _, _, rest @ ..] = descriptor.to_bytes();
        rest
    }

    /// The inverse of [`WriteBack::to_bytes`].
    pub(crate) fn from_bytes(bytes: [u8; WRITE_BACK_SIZE]) -> Self {
        let [length_low, length_high, checksum_low, checksum_high, status, errors, special_low, special_high] =
            bytes;
        Self {
            length: u16::from_le_bytes([length_low, length_high]),
            checksum: u16::from_le_bytes([checksum_low, checksum_high]),
            status: RxStatus::from_bits_retain(status),
            errors: RxErrors::from_bits_retain(errors),
            special: u16::from_le_bytes([special_low, special_high]),
        }
    }
}

/// A part of a frame.
pub(crate) enum Part<'a> {
    /// In Weir's memory.
    Own(&'a [u8]),
    /// In memory of whom the frame is from.
    Lent(Span),
}

/// A frame in parts, as it will appear in the guest's buffers.
pub(crate) struct Arrival<'a> {
    /// Its first bytes, in two parts of which either may be empty.
    pub(crate) head: [&'a [u8]; 2],
    /// What follows.
    pub(crate) lent: &'a [Span],
    /// Its last bytes.
    pub(crate) trailer: &'a [u8],
    /// The contents of the last descriptor; `length` is that of the whole frame.
    pub(crate) write_back: WriteBack,
}

impl<'a> Arrival<'a> {
    /// A frame in these parts, whose length goes into the write-back.
    #[inline]
    pub(crate) fn new(
        head: [&'a [u8]; 2],
        lent: &'a [Span],
        trailer: &'a [u8],
        write_back: WriteBack,
    ) -> Self {
        let lent_bytes: usize = lent.iter().map(|span| span.len()).sum();
        let length = head[0].len() + head[1].len() + lent_bytes + trailer.len();
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        Self { head, lent, trailer, write_back: WriteBack { length, ..write_back } }
    }

    /// Length in bytes.
    pub(crate) fn length(&self) -> usize {
        usize::from(self.write_back.length)
    }

    /// Copies the frame into a buffer of its length.
    pub(crate) fn copy_whole<M: Memory>(&self, buffer: Span) {
        let mut rest = buffer;
        let mut next = |length: usize| {
            let (first, after) = rest.split(length);
            rest = after;
            first
        };
        M::store(next(self.head[0].len()), self.head[0]);
        if !self.head[1].is_empty() {
            M::store(next(self.head[1].len()), self.head[1]);
        }
        for span in self.lent {
            M::copy(*span, next(span.len()));
        }
        if !self.trailer.is_empty() {
            M::store(next(self.trailer.len()), self.trailer);
        }
    }

    /// Passes `length` bytes, starting at `offset`, to `take` part by part, each with its distance from
    /// `offset`. Stops and returns false when `take` returns false.
    pub(crate) fn range(
        &self,
        offset: usize,
        length: usize,
        mut take: impl FnMut(usize, Part<'_>) -> bool,
    ) -> bool {
        let (mut skip, mut left, mut done) = (offset, length, 0);
        let mut cut = |length: usize| {
            let skipped = skip.min(length);
            let taken = left.min(length - skipped);
            let place = done;
            (skip, left, done) = (skip - skipped, left - taken, done + taken);
            (skipped, taken, place)
        };
        let mut own = |bytes: &[u8], take: &mut dyn FnMut(usize, Part<'_>) -> bool| {
            let (skipped, taken, place) = cut(bytes.len());
            taken == 0 || take(place, Part::Own(&bytes[skipped..skipped + taken]))
        };
        if !own(self.head[0], &mut take) || !own(self.head[1], &mut take) {
            return false;
        }
        for span in self.lent {
            let (skipped, taken, place) = cut(span.len());
            if taken > 0 && !take(place, Part::Lent(span.part(skipped, taken))) {
                return false;
            }
        }
        let (skipped, taken, place) = cut(self.trailer.len());
        taken == 0 || take(place, Part::Own(&self.trailer[skipped..skipped + taken]))
    }

    /// The packet checksum: the one's complement sum of all bytes starting at `start` [8254x 3.2.9].
    pub(crate) fn packet_checksum<M: Memory>(&self, start: usize) -> u16 {
        let mut total = 0;
        let mut add = |place: usize, bytes: &[u8]| {
            let sum = internet_checksum::sum(bytes);
            // In a part that begins at an odd offset, the two bytes of each word are swapped.
            total =
                internet_checksum::add(total, if place.is_multiple_of(2) { sum } else { sum.swap_bytes() });
        };
        self.range(start, self.length(), |place, part| {
            match part {
                Part::Own(bytes) => add(place, bytes),
                Part::Lent(mut rest) => {
                    let (mut place, mut bytes) = (place, [0; 256]);
                    while !rest.is_empty() {
                        let (first, after) = rest.split(bytes.len());
                        let bytes = &mut bytes[..first.len()];
                        M::load(first, bytes);
                        add(place, bytes);
                        (place, rest) = (place + first.len(), after);
                    }
                }
            }
            true
        });
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use base::{GuestPhysical, GuestSpans, Memory};
    use proptest::prelude::*;
    use testkit::{FakeMemory, TestMemory};

    proptest! {
        #[test]
        fn ranges_and_checksum_do_not_depend_on_how_the_frame_is_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..700),
            cuts in any::<(usize, usize)>(),
            offset in 0usize..720,
            length in 0usize..720,
        ) {
            let first = cuts.0 % (bytes.len() + 1);
            let second = first + cuts.1 % (bytes.len() - first + 1);
            let [a, b, c] = [&bytes[..first], &bytes[first..second], &bytes[second..]];
            let memory = FakeMemory::new(b.len());
            memory.put(0, b);
            let lent: Vec<Span> = memory.span(GuestPhysical(0), b.len()).into_iter().collect();
            let expected: Vec<u8> = bytes.iter().copied().skip(offset).take(length).collect();
            let mut out = Vec::new();
            let arrival = Arrival::new([a, &[]], &lent, c, WriteBack::default());
            arrival.range(offset, length, |place, part| {
                assert_eq!(place, out.len());
                match part {
                    Part::Own(bytes) => out.extend_from_slice(bytes),
                    Part::Lent(span) => {
                        let mut bytes = vec![0; span.len()];
                        TestMemory::load(span, &mut bytes);
                        out.append(&mut bytes);
                    }
                }
                true
            });
            prop_assert_eq!(&out, &expected);
            let into = FakeMemory::new(bytes.len());
            arrival.copy_whole::<TestMemory>(into.span(GuestPhysical(0), bytes.len()).unwrap_or(Span::EMPTY));
            prop_assert_eq!(into.bytes(0, bytes.len()), bytes.clone());
            let start = offset.min(bytes.len());
            let sum = internet_checksum::sum(&bytes[start..]);
            prop_assert_eq!(arrival.packet_checksum::<TestMemory>(offset) % 0xffff, sum % 0xffff);
        }
    }

    #[test]
    fn write_back_survives_the_round_trip() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(WriteBack::from_bytes(bytes).to_bytes(), bytes);
    }
}
