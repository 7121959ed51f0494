//! The receive FIFO: frames waiting for descriptors, in memory allocated once.

use crate::arrival::{Arrival, Part, WRITE_BACK_SIZE, WriteBack};
use alloc::boxed::Box;
use alloc::vec;
use base::Memory;

/// Size of the FIFO, in bytes: the share of the packet buffer that receive has after reset [8254x 13.4.16]. It is
/// independent of `PBA`: the split between receive and transmit matters to hardware only.
const SIZE: usize = 48 * 1024;

const _: () = assert!(SIZE >= 2 * (intel_regs::receive::MAX_LONG_FRAME + WRITE_BACK_SIZE));

/// Frames back to back in a circular buffer, each preceded by its write-back, which holds its length.
pub(crate) struct ReceiveFifo {
    bytes: Box<[u8]>,
    start: usize,
    used: usize,
    frames: usize,
    delivered: usize,
}

impl ReceiveFifo {
    /// An empty FIFO.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SIZE].into_boxed_slice(), start: 0, used: 0, frames: 0, delivered: 0 }
    }

    /// True when the FIFO holds no frame.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Frames in the FIFO.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// True when there is room for a frame of `length` bytes.
    pub(crate) fn fits(&self, length: usize) -> bool {
        length + WRITE_BACK_SIZE <= SIZE - self.used
    }

    /// Appends a frame; returns false when there is no room for it.
    pub(crate) fn push<M: Memory>(&mut self, arrival: &Arrival) -> bool {
        if !self.fits(arrival.length()) {
            return false;
        }
        self.append(&arrival.write_back.to_bytes());
        arrival.range(0, arrival.length(), |_, part| {
            match part {
                Part::Own(bytes) => self.append(bytes),
                Part::Lent(span) => {
                    let (before_end, after) = span.split(SIZE - self.end());
                    M::load(before_end, self.room(before_end.len()));
                    M::load(after, self.room(after.len()));
                }
            }
            true
        });
        self.frames += 1;
        true
    }

    /// The oldest frame and the number of its bytes already delivered.
    pub(crate) fn front(&self) -> Option<(Arrival<'_>, usize)> {
        if self.is_empty() {
            return None;
        }
        let mut header = [0; WRITE_BACK_SIZE];
        for (offset, byte) in header.iter_mut().enumerate() {
            *byte = self.bytes[(self.start + offset) % SIZE];
        }
        let write_back = WriteBack::from_bytes(header);
        let first = (self.start + WRITE_BACK_SIZE) % SIZE;
        let end = first + usize::from(write_back.length);
        let head = [&self.bytes[first..end.min(SIZE)], &self.bytes[..end.saturating_sub(SIZE)]];
        Some((Arrival { head, lent: &[], trailer: &[], write_back }, self.delivered))
    }

    /// Records how many bytes of the oldest frame are delivered, and removes it when that is all of them.
    pub(crate) fn set_delivered(&mut self, delivered: usize) {
        let Some(length) = self.front().map(|(arrival, _)| arrival.length()) else { return };
        if delivered < length {
            self.delivered = delivered;
        } else {
            self.start = (self.start + WRITE_BACK_SIZE + length) % SIZE;
            self.used -= WRITE_BACK_SIZE + length;
            self.frames -= 1;
            self.delivered = 0;
        }
    }

    /// Removes all frames.
    pub(crate) fn clear(&mut self) {
        (self.start, self.used, self.frames, self.delivered) = (0, 0, 0, 0);
    }

    /// Appends bytes; there must be room.
    fn append(&mut self, bytes: &[u8]) {
        let (before_end, after) = bytes.split_at(bytes.len().min(SIZE - self.end()));
        self.room(before_end.len()).copy_from_slice(before_end);
        self.room(after.len()).copy_from_slice(after);
    }

    /// Where the next byte goes.
    fn end(&self) -> usize {
        (self.start + self.used) % SIZE
    }

    /// The place for the next `length` bytes, which must be before the end of the buffer.
    fn room(&mut self, length: usize) -> &mut [u8] {
        let at = self.end();
        self.used += length;
        &mut self.bytes[at..at + length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use base::{GuestPhysical, GuestSpans};
    use proptest::prelude::*;
    use testkit::{FakeMemory, TestMemory};

    fn front(fifo: &ReceiveFifo) -> Option<Vec<u8>> {
        fifo.front().map(|(arrival, _)| arrival.head.concat())
    }

    proptest! {
        #[test]
        fn frames_come_out_unchanged_and_in_order(steps in proptest::collection::vec(any::<(bool, u16)>(), 0..200)) {
            let mut fifo = ReceiveFifo::new();
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            for (number, (push, length)) in steps.into_iter().enumerate() {
                if push {
                    let frame = vec![number as u8; usize::from(length) % 16384];
                    let used: usize = model.iter().map(|frame| frame.len() + 8).sum();
                    let (first, second) = frame.split_at(frame.len() / 2);
                    let memory = FakeMemory::new(second.len());
                    memory.put(0, second);
                    let lent: Vec<_> = memory.span(GuestPhysical(0), second.len()).into_iter().collect();
                    let accepted = fifo.push::<TestMemory>(&Arrival::new([first, &[]], &lent, &[], WriteBack::default()));
                    prop_assert_eq!(accepted, used + frame.len() + 8 <= SIZE);
                    if accepted {
                        model.push_back(frame);
                    }
                } else {
                    fifo.set_delivered(usize::from(u16::MAX));
                    model.pop_front();
                }
                prop_assert_eq!(front(&fifo), model.front().cloned());
                prop_assert_eq!(fifo.frames(), model.len());
            }
        }
    }

    #[test]
    fn a_frame_is_removed_when_all_of_it_is_delivered() {
        let mut fifo = ReceiveFifo::new();
        fifo.push::<TestMemory>(&Arrival::new([b"abcdef", b""], &[], b"", WriteBack::default()));
        fifo.set_delivered(4);
        assert_eq!(fifo.front().map(|(_, delivered)| delivered), Some(4));
        fifo.set_delivered(6);
        assert!(fifo.is_empty());
    }
}
