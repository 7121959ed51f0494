//! Memory of Weir's own for frames that the model builds itself: cut, tagged, or with checksums.

use base::outbox::NewFrame;
use base::{Memory, Span};

/// A frame takes as many of these as it needs.
const CHUNK: usize = 2048;

/// Chunks of memory, which come back in any order.
pub(crate) struct BounceBuffer {
    memory: Span,
    /// The free ones, one bit each.
    free: u128,
}

impl BounceBuffer {
    /// All of this memory is free; what is beyond 128 chunks is not used.
    pub(crate) fn new(memory: Span) -> Self {
        let chunks = (memory.len() / CHUNK).min(u128::BITS as usize);
        let free = if chunks == 0 { 0 } else { u128::MAX >> (u128::BITS as usize - chunks) };
        Self { memory, free }
    }

    /// True when this many bytes fit, now or when all memory is free.
    pub(crate) fn fits(&self, bytes: usize, when_free: bool) -> bool {
        let free = if when_free { Self::new(self.memory).free } else { self.free };
        bytes.div_ceil(CHUNK) <= free.count_ones() as usize
    }

    /// Stores these bytes, for which there is room, and appends them to the frame; false when it is in too many pieces.
    pub(crate) fn store<M: Memory>(&mut self, bytes: &[u8], frame: &mut NewFrame<'_>) -> bool {
        bytes.chunks(CHUNK).all(|bytes| {
            let number = self.free.trailing_zeros() as usize;
            self.free &= self.free.wrapping_sub(1);
            let place = self.memory.part(number * CHUNK, bytes.len());
            M::store(place, bytes);
            frame.push(place)
        })
    }

    /// Takes a piece of a frame back if it is of this memory.
    pub(crate) fn give_back(&mut self, piece: Span) {
        if let Some(offset) = piece.offset_in(self.memory) {
            self.free |= 1 << (offset / CHUNK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;
    use base::{GuestPhysical, GuestSpans, Outbox};
    use testkit::{FakeMemory, TestMemory, bytes_of};

    #[test]
    fn what_is_stored_stays_until_it_is_given_back_in_any_order() {
        let memory = FakeMemory::new(20 * CHUNK + 5);
        let mut bounce = BounceBuffer::new(memory.span(GuestPhysical(0), memory.length()).unwrap());
        let mut outbox = Outbox::new(0);
        assert!(bounce.fits(20 * CHUNK, false) && !bounce.fits(20 * CHUNK + 1, true));
        let frame = |number: u8| vec![number; 1000 * usize::from(number)];
        let slots: Vec<_> = (1..=7)
            .map(|number| {
                assert!(outbox.add(number.into(), |new| bounce.store::<TestMemory>(&frame(number), new)));
                outbox.fetched().unwrap()
            })
            .collect();
        // 1, 1, 2, 2, 3, 3 and 4 chunks.
        assert!(bounce.fits(4 * CHUNK, false) && !bounce.fits(4 * CHUNK + 1, false));
        for index in [4, 1] {
            outbox.share(slots[index], 0);
            outbox.finished(|_, pieces| pieces.iter().for_each(|piece| bounce.give_back(*piece)));
        }
        assert!(bounce.fits(8 * CHUNK, false) && !bounce.fits(8 * CHUNK + 1, false));
        assert!(outbox.add(8, |new| bounce.store::<TestMemory>(&frame(8), new)));
        for (index, number) in [(0, 1), (2, 3), (3, 4), (5, 6), (6, 7)] {
            assert_eq!(bytes_of(outbox.frame(slots[index])), frame(number));
        }
        bounce.give_back(Span::EMPTY);
    }
}
