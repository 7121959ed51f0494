//! A batch of frames, the unit in which ports hand frames over.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

/// Maximum number of frames in a batch.
pub const MAX_FRAMES: usize = 64;

/// At most [`MAX_FRAMES`] frames in order of arrival, stored back to back in memory that is allocated once.
///
/// A frame is an Ethernet frame from its destination address to the end of its payload, without the frame
/// check sequence.
///
/// ```
/// use base::Batch;
///
/// let mut batch = Batch::with_capacity(128);
/// assert!(batch.push(&[0xff; 60]));
/// // A device model writes the frame in place.
/// assert!(batch.push_with(64, |bytes| {
///     bytes.fill(0);
///     true
/// }));
/// assert!(!batch.push(&[0xff; 60]), "124 of 128 bytes are used");
///
/// let lengths: Vec<usize> = batch.iter().map(|frame| frame.len()).collect();
/// assert_eq!(lengths, [60, 64]);
/// ```
pub struct Batch {
    bytes: Box<[u8]>,
    /// Where each frame ends in `bytes`; the next one begins there.
    ends: heapless::Vec<usize, MAX_FRAMES>,
}

impl Batch {
    /// An empty batch with room for `capacity` bytes of frames.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: vec![0; capacity].into_boxed_slice(), ends: heapless::Vec::new() }
    }

    /// Number of frames.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when the batch has no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// True when another frame of `length` bytes fits.
    #[must_use]
    pub fn fits(&self, length: usize) -> bool {
        !self.ends.is_full() && length <= self.bytes.len() - self.used()
    }

    /// Appends a frame of `length` bytes, which `fill` writes in place. Returns false, and appends nothing,
    /// when the frame does not fit (`fill` is not called then) or when `fill` returns false.
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

    /// Keeps the frames whose index `keep` accepts, in their order, and removes the others.
    ///
    /// ```
    /// let mut batch = base::Batch::with_capacity(8);
    /// assert!(batch.push(b"abc") && batch.push(b"de") && batch.push(b"fgh"));
    /// batch.retain(|index| index != 1);
    /// assert_eq!(batch.iter().collect::<Vec<_>>(), [b"abc", b"fgh"]);
    /// assert!(batch.fits(2));
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        let (mut start, mut used, mut kept) = (0, 0, 0);
        for index in 0..self.ends.len() {
            let end = self.ends[index];
            if keep(index) {
                self.bytes.copy_within(start..end, used);
                used += end - start;
                self.ends[kept] = used;
                kept += 1;
            }
            start = end;
        }
        self.ends.truncate(kept);
    }

    /// Removes all frames.
    pub fn clear(&mut self) {
        self.ends.clear();
    }

    /// Bytes occupied by frames.
    fn used(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Where the frame at `index` is in `bytes`.
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
    fn frames_are_returned_in_order_and_unchanged() {
        let mut batch = Batch::with_capacity(16);
        assert!(batch.push(b"abc") && batch.push(b"") && batch.push(b"defg"));
        assert_eq!(batch.iter().collect::<Vec<_>>(), [&b"abc"[..], b"", b"defg"]);
    }

    #[test]
    fn a_refused_frame_leaves_the_batch_unchanged() {
        let mut batch = Batch::with_capacity(4);
        assert!(batch.push(b"abc"));
        assert!(!batch.push(b"de"));
        assert!(!batch.push_with(1, |_| false));
        assert_eq!(batch.len(), 1);
        assert!(batch.push(b"d"));
    }

    #[test]
    fn a_batch_accepts_at_most_max_frames() {
        let mut batch = Batch::with_capacity(1024);
        assert_eq!((0..100).filter(|_| batch.push(b"x")).count(), MAX_FRAMES);
    }
}
