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
    /// The oldest frames in the ring that are held back, and the bytes in them.
    held: QueueDepth,
    /// The first descriptor after them.
    held_end: u8,
}

impl QueuedFrames {
    pub(crate) fn new() -> Self {
        let frames = [const { None }; DESCRIPTORS];
        let (depth, held) = (QueueDepth::default(), QueueDepth::default());
        Self { frames, head: 0, depth, cut_bytes: 0, sent_bytes: 0, sent_segments: 0, held, held_end: 0 }
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
    pub(crate) fn take_sent(&mut self, has_sent: impl Fn(u8) -> bool, done: impl FnMut(Ticket)) -> usize {
        self.take_while(|last, _| has_sent(last), done)
    }

    /// The same as long as `goes` says so of their last descriptor and of them.
    #[inline]
    fn take_while(
        &mut self,
        mut goes: impl FnMut(u8, &QueuedFrame) -> bool,
        mut done: impl FnMut(Ticket),
    ) -> usize {
        let (mut head, mut frames) = (self.head, 0);
        while let Some(frame) = self.frames[usize::from(head)]
            .take_if(|frame| goes(head.wrapping_add(frame.descriptors.get() - 1), frame))
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

    /// How many frames are held back.
    pub(crate) fn held(&self) -> usize {
        self.held.frames
    }

    /// True if these are all frames in the ring.
    pub(crate) fn are_held(&self) -> bool {
        self.held.frames == self.depth.frames
    }

    /// Their descriptors.
    pub(crate) fn held_descriptors(&self) -> usize {
        if self.held.frames == 0 { 0 } else { self.held_end.wrapping_sub(self.head).into() }
    }

    /// Holds the oldest frames back as long as the NIC `has_sent` their last descriptor. Returns how many were added.
    pub(crate) fn hold(&mut self, has_sent: impl Fn(u8) -> bool) -> usize {
        let before = self.held.frames;
        let mut end = if before == 0 { self.head } else { self.held_end };
        while let Some(frame) = &self.frames[usize::from(end)]
            && has_sent(end.wrapping_add(frame.descriptors.get() - 1))
        {
            end = end.wrapping_add(frame.descriptors.get());
            self.held.frames += 1;
            self.held.bytes += frame.length as usize;
        }
        self.held_end = end;
        self.held.frames - before
    }

    /// Holds no frame back any more: the next look at the ring finds them as sent.
    pub(crate) fn hold_none(&mut self) {
        self.held = QueueDepth::default();
    }

    /// Passes the tickets of frames that are held back to `done` if frames with so many `bytes` are held back behind them.
    /// Returns their number.
    pub(crate) fn release_behind(&mut self, bytes: usize, done: impl FnMut(Ticket)) -> usize {
        let mut behind = self.held.bytes;
        self.release(
            |frame| {
                let rest = behind.saturating_sub(frame.length as usize);
                let goes = rest >= bytes;
                behind = if goes { rest } else { behind };
                goes
            },
            done,
        )
    }

    /// Passes the tickets of the oldest frames to `done`, `most` of them, as long as the `segments` that have left the NIC
    /// include all of theirs. Returns their number.
    pub(crate) fn release_left(
        &mut self,
        mut segments: u64,
        mut most: usize,
        done: impl FnMut(Ticket),
    ) -> usize {
        self.release(
            |frame| {
                let goes = most > 0 && segments >= u64::from(frame.segments);
                if goes {
                    (segments, most) = (segments - u64::from(frame.segments), most - 1);
                }
                goes
            },
            done,
        )
    }

    /// Passes the tickets of the oldest frames to `done`, held back or not, as long as `goes` says so.
    fn release(&mut self, mut goes: impl FnMut(&QueuedFrame) -> bool, done: impl FnMut(Ticket)) -> usize {
        let bytes = self.depth.bytes;
        let frames = self.take_while(|_, frame| goes(frame), done);
        self.held.frames = self.held.frames.saturating_sub(frames);
        self.held.bytes = match self.held.frames {
            0 => 0,
            _ => self.held.bytes.saturating_sub(bytes - self.depth.bytes),
        };
        frames
    }

    /// Passes the tickets of all frames to `unsent`, in order. The next frame's first descriptor is 0.
    pub(crate) fn clear(&mut self, mut unsent: impl FnMut(Ticket)) {
        while let Some(frame) = self.frames[usize::from(self.head)].take() {
            self.head = self.head.wrapping_add(frame.descriptors.get());
            unsent(frame.ticket);
        }
        (self.head, self.depth, self.cut_bytes) = (0, QueueDepth::default(), 0);
        self.hold_none();
    }
}
