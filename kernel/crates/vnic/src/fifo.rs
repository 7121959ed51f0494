//! The receive FIFO: frames that wait for descriptors, in memory allocated once.

use crate::arrival::{Arrival, WRITE_BACK_SIZE, WriteBack};
use alloc::boxed::Box;
use alloc::vec;

/// Size of the FIFO, in bytes: what the card's packet buffer gives to receive after reset [8254x 13.4.16].
/// It stays so whatever the guest writes to `PBA`: the split with transmit is the card's problem only.
const SIZE: usize = 48 * 1024;

const _: () = assert!(SIZE >= 2 * (intel_regs::receive::MAX_LONG_FRAME + WRITE_BACK_SIZE));

/// Frames back to back around the end of one buffer, each behind its write-back, whose length is that of
/// the frame.
pub(crate) struct Fifo {
    bytes: Box<[u8]>,
    start: usize,
    used: usize,
    frames: usize,
    delivered: usize,
}

impl Fifo {
    /// An empty FIFO.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SIZE].into_boxed_slice(), start: 0, used: 0, frames: 0, delivered: 0 }
    }

    /// True when no frame waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Frames that wait.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// True when a frame of `length` bytes has room.
    pub(crate) fn fits(&self, length: usize) -> bool {
        length + WRITE_BACK_SIZE <= SIZE - self.used
    }

    /// Appends a frame; returns false when it has no room.
    pub(crate) fn push(&mut self, arrival: &Arrival) -> bool {
        if !self.fits(arrival.length()) {
            return false;
        }
        self.append(&arrival.write_back.to_bytes());
        for part in arrival.parts {
            self.append(part);
        }
        self.frames += 1;
        true
    }

    /// The oldest frame, and how many of its bytes have been delivered.
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
        let parts = [&self.bytes[first..end.min(SIZE)], &self.bytes[..end.saturating_sub(SIZE)], &[]];
        Some((Arrival { parts, write_back }, self.delivered))
    }

    /// Notes how many bytes of the oldest frame have been delivered; at its length it leaves.
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

    /// Forgets all frames.
    pub(crate) fn clear(&mut self) {
        (self.start, self.used, self.frames, self.delivered) = (0, 0, 0, 0);
    }

    /// Appends bytes that fit.
    fn append(&mut self, bytes: &[u8]) {
        let at = (self.start + self.used) % SIZE;
        let (before_end, after) = bytes.split_at(bytes.len().min(SIZE - at));
        self.bytes[at..at + before_end.len()].copy_from_slice(before_end);
        self.bytes[..after.len()].copy_from_slice(after);
        self.used += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::VecDeque;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn front(fifo: &Fifo) -> Option<Vec<u8>> {
        fifo.front().map(|(arrival, _)| arrival.parts.concat())
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in(steps in proptest::collection::vec(any::<(bool, u16)>(), 0..200)) {
            let mut fifo = Fifo::new();
            let mut model: VecDeque<Vec<u8>> = VecDeque::new();
            for (number, (push, length)) in steps.into_iter().enumerate() {
                if push {
                    let frame = vec![number as u8; usize::from(length) % 16384];
                    let used: usize = model.iter().map(|frame| frame.len() + 8).sum();
                    let accepted = fifo.push(&Arrival::new([&frame[..frame.len() / 2], &frame[frame.len() / 2..], &[]]));
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
    fn a_frame_leaves_when_all_of_it_is_delivered() {
        let mut fifo = Fifo::new();
        fifo.push(&Arrival::new([b"abcdef", b"", b""]));
        fifo.set_delivered(4);
        assert_eq!(fifo.front().map(|(_, delivered)| delivered), Some(4));
        fifo.set_delivered(6);
        assert!(fifo.is_empty());
    }
}
