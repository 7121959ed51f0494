//! The frames in a transmit ring, and what is counted of them.

use crate::transmit::DESCRIPTORS;
use base::{QueueDepth, Ticket};
use core::num::NonZeroU8;

/// A frame in the ring.
pub(crate) struct QueuedFrame {
    /// Its bytes on the wire.
    pub(crate) length: u32,
    /// The same if the NIC cuts it, or else 0.
    pub(crate) cut: u32,
    /// Frames that leave the NIC for it, which cuts it or not.
    pub(crate) segments: u16,
    /// Its descriptors.
    pub(crate) descriptors: NonZeroU8,
    pub(crate) ticket: Ticket,
}

/// The frames in the ring, each at its first descriptor.
pub(crate) struct QueuedFrames {
    frames: [Option<QueuedFrame>; DESCRIPTORS],
    /// The oldest descriptor that is filled and not yet reclaimed, if there is one; or else the next one to fill.
    head: u8,
    /// How many frames, and the bytes in them.
    depth: QueueDepth,
    /// Of these, those in frames that the NIC cuts.
    pub(crate) cut_bytes: usize,
    /// Bytes in the frames that the NIC has sent.
    pub(crate) sent_bytes: u64,
    /// Frames that have left the NIC for those that it has sent, or will: more, if it cuts them.
    pub(crate) sent_segments: u64,
}

impl QueuedFrames {
    pub(crate) fn new() -> Self {
        let frames = [const { None }; DESCRIPTORS];
        Self { frames, head: 0, depth: QueueDepth::default(), cut_bytes: 0, sent_bytes: 0, sent_segments: 0 }
    }

    /// Frames in the ring, and the bytes in them.
    pub(crate) fn depth(&self) -> QueueDepth {
        self.depth
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.depth.frames == 0
    }

    /// Descriptors of these frames, in a ring whose next descriptor is `tail`.
    pub(crate) fn used(&self, tail: u8) -> usize {
        tail.wrapping_sub(self.head).into()
    }

    /// Adds a frame, of which this is the first descriptor.
    pub(crate) fn add(&mut self, first: u8, frame: QueuedFrame) {
        self.depth.frames += 1;
        self.depth.bytes += frame.length as usize;
        self.cut_bytes += frame.cut as usize;
        self.frames[usize::from(first)] = Some(frame);
    }

    /// Passes the tickets of the oldest frames to `done` as long as the NIC `has_sent` their last descriptor. Returns their
    /// number.
    pub(crate) fn take_sent(&mut self, has_sent: impl Fn(u8) -> bool, mut done: impl FnMut(Ticket)) -> usize {
        let (mut head, mut frames) = (self.head, 0);
        while let Some(frame) = self.frames[usize::from(head)]
            .take_if(|frame| has_sent(head.wrapping_add(frame.descriptors.get() - 1)))
        {
            head = head.wrapping_add(frame.descriptors.get());
            frames += 1;
            self.depth.bytes -= frame.length as usize;
            self.cut_bytes -= frame.cut as usize;
            self.sent_bytes += u64::from(frame.length);
            self.sent_segments += u64::from(frame.segments);
            done(frame.ticket);
        }
        self.head = head;
        self.depth.frames -= frames;
        frames
    }

    /// Passes the tickets of all frames to `unsent`, in order. The next frame's first descriptor is 0.
    pub(crate) fn clear(&mut self, mut unsent: impl FnMut(Ticket)) {
        while let Some(frame) = self.frames[usize::from(self.head)].take() {
            self.head = self.head.wrapping_add(frame.descriptors.get());
            unsent(frame.ticket);
        }
        (self.head, self.depth, self.cut_bytes) = (0, QueueDepth::default(), 0);
    }
}
