//! A received frame on its way into the guest's buffers, with the contents of its last descriptor.

use crate::internet_checksum;
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

/// A frame in up to three pieces, as it will appear in the guest's buffers.
pub(crate) struct Arrival<'a> {
    /// The pieces, in order; any may be empty.
    pub(crate) parts: [&'a [u8]; 3],
    /// The contents of the last descriptor; `length` is that of the whole frame.
    pub(crate) write_back: WriteBack,
}

impl<'a> Arrival<'a> {
    /// A frame in pieces, with only its length in the write-back.
    pub(crate) fn new(parts: [&'a [u8]; 3]) -> Self {
        let length = parts.iter().map(|part| part.len()).sum::<usize>();
        let length = u16::try_from(length).unwrap_or(u16::MAX);
        Self { parts, write_back: WriteBack { length, ..WriteBack::default() } }
    }

    /// Length in bytes.
    pub(crate) fn length(&self) -> usize {
        usize::from(self.write_back.length)
    }

    /// Passes `length` bytes, starting at `offset`, to `take` piece by piece, each with its distance from
    /// `offset`. Stops and returns false when `take` returns false.
    pub(crate) fn range(
        &self,
        offset: usize,
        length: usize,
        mut take: impl FnMut(usize, &[u8]) -> bool,
    ) -> bool {
        let (mut skip, mut left, mut done) = (offset, length, 0);
        for part in self.parts {
            let skipped = skip.min(part.len());
            let piece = &part[skipped..part.len().min(skipped.saturating_add(left))];
            if !piece.is_empty() && !take(done, piece) {
                return false;
            }
            skip -= skipped;
            left -= piece.len();
            done += piece.len();
        }
        true
    }

    /// The packet checksum: the one's complement sum of all bytes starting at `start` [8254x 3.2.9].
    pub(crate) fn packet_checksum(&self, start: usize) -> u16 {
        let mut total = 0;
        self.range(start, self.length(), |place, piece| {
            let sum = internet_checksum::sum(piece);
            // In a piece that begins at an odd offset, the two bytes of each word are swapped.
            total = internet_checksum::add(total, if place % 2 == 0 { sum } else { sum.swap_bytes() });
            true
        });
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_and_checksum_do_not_depend_on_how_the_frame_is_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            cuts in any::<(usize, usize)>(),
            offset in 0usize..220,
            length in 0usize..220,
        ) {
            let first = cuts.0 % (bytes.len() + 1);
            let second = first + cuts.1 % (bytes.len() - first + 1);
            let arrival = Arrival::new([&bytes[..first], &bytes[first..second], &bytes[second..]]);
            let mut out = Vec::new();
            arrival.range(offset, length, |place, piece| {
                assert_eq!(place, out.len());
                out.extend_from_slice(piece);
                true
            });
            let expected: Vec<u8> = bytes.iter().copied().skip(offset).take(length).collect();
            prop_assert_eq!(out, expected);
            let start = offset.min(bytes.len());
            let sum = internet_checksum::sum(&bytes[start..]);
            prop_assert_eq!(arrival.packet_checksum(offset) % 0xffff, sum % 0xffff);
        }
    }

    #[test]
    fn write_back_survives_the_round_trip() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(WriteBack::from_bytes(bytes).to_bytes(), bytes);
    }
}
