//! A bounded run of frames that travel together.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

/// Most frames a batch holds.
pub const MAX_FRAMES: usize = 64;

/// Frames in order of arrival, stored back to back in memory that is allocated once.
///
/// A frame is an Ethernet frame from destination address to the end of its payload, without frame check
/// sequence.
pub struct Batch {
    bytes: Box<[u8]>,
    ends: heapless::Vec<usize, MAX_FRAMES>,
}

impl Batch {
    /// An empty batch with room for `capacity` bytes of frames.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity].into_boxed_slice(), ends: heapless::Vec::new() }
    }

    /// Number of frames held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when no frame is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// True when another frame of `length` bytes fits.
    #[must_use]
    pub fn fits(&self, length: usize) -> bool {
        !self.ends.is_full() && length <= self.bytes.len() - self.used()
    }

    /// Appends a frame of `length` bytes that `fill` writes in place; returns false, without calling
    /// `fill`, when it does not fit, and false when `fill` gives the frame up.
    pub fn push_with(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> bool) -> bool {
        if !self.fits(length) {
            return false;
        }
        let start = self.used();
        fill(&mut self.bytes[start..start + length]) && self.ends.push(start + length).is_ok()
    }

    /// Appends a copy of `frame`; returns false when it does not fit.
    pub fn push(&mut self, frame: &[u8]) -> bool {
        self.push_with(frame.len(), |bytes| {
            bytes.copy_from_slice(frame);
            true
        })
    }

    /// The frame at `index`, counted from the oldest.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        self.range(index).map(|range| &self.bytes[range])
    }

    /// The frames, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    /// Forgets all frames.
    pub fn clear(&mut self) {
        self.ends.clear();
    }

    fn used(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn range(&self, index: usize) -> Option<Range<usize>> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn frames_come_back_in_order_and_whole() {
        let mut batch = Batch::with_capacity(16);
        assert!(batch.push(b"abc") && batch.push(b"") && batch.push(b"defg"));
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"abc"[..], b"", b"defg"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut batch = Batch::with_capacity(4);
        assert!(batch.push(b"abc"));
        assert!(!batch.push(b"de"));
        assert!(!batch.push_with(1, |_| false));
        assert_eq!(batch.len(), 1);
        assert!(batch.push(b"d"));
    }

    #[test]
    fn at_most_max_frames_are_held() {
        let mut batch = Batch::with_capacity(1024);
        assert_eq!((0..100).filter(|_| batch.push(b"x")).count(), MAX_FRAMES);
    }
}
