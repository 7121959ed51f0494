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

#[cfg(test)]
mod tests {
    use super::*;
    use base::Outbox;
    use std::vec::Vec;

    /// Frames with so many bytes and segments each, in descriptors from 250 on, so that they go over the end of the ring.
    fn queued(frames: &[(u32, u16)]) -> QueuedFrames {
        let mut outbox = Outbox::new(0);
        let mut queued = QueuedFrames { head: 250, ..QueuedFrames::new() };
        for (index, (length, segments)) in (0..).zip(frames) {
            assert!(outbox.add(0, |new| new.head(60).len() == 60));
            let slot = outbox.fetched().expect("it was added");
            outbox.share(slot, 1);
            let (length, segments, ticket) = (*length, *segments, outbox.lend(slot));
            let cut = if segments > 1 { length } else { 0 };
            let descriptors = NonZeroU8::new(2).expect("not zero");
            queued.add(
                250_u8.wrapping_add(2 * index),
                QueuedFrame { length, cut, segments, descriptors, ticket },
            );
        }
        queued
    }

    /// Which slots' frames `take` passes.
    fn slots(take: impl FnOnce(&mut dyn FnMut(Ticket)) -> usize) -> Vec<usize> {
        let mut slots = Vec::new();
        let taken = take(&mut |ticket| slots.push(ticket.slot().index()));
        assert_eq!(taken, slots.len());
        slots
    }

    #[test]
    fn a_packet_has_left_with_all_of_its_segments() {
        let mut frames = queued(&[(60, 1), (4500, 3), (60, 1), (3000, 2)]);
        assert_eq!(slots(|done| frames.release_left(3, usize::MAX, done)), [0], "two of three have left");
        assert_eq!((frames.depth().frames, frames.sent_segments, frames.cut_bytes), (3, 1, 7500));
        assert_eq!(slots(|done| frames.release_left(4, 1, done)), [1], "no more are held back");
        assert_eq!(slots(|done| frames.release_left(u64::MAX, usize::MAX, done)), [2, 3]);
        assert_eq!((frames.depth(), frames.sent_segments, frames.cut_bytes), (QueueDepth::default(), 7, 0));
    }

    #[test]
    fn a_frame_is_released_by_the_bytes_that_are_held_back_behind_it() {
        let mut frames = queued(&[(700, 1), (500, 1), (500, 1), (400, 1), (9000, 1)]);
        // All but the last are done.
        let done = |last: u8| last.wrapping_add(6) < 8;
        assert_eq!((frames.hold(done), frames.hold(done)), (4, 0));
        assert_eq!((frames.held(), frames.held_descriptors(), frames.are_held()), (4, 8, false));
        assert_eq!(slots(|done| frames.release_behind(1000, done)), [0]);
        assert_eq!(slots(|done| frames.release_behind(900, done)), [1]);
        assert_eq!(slots(|done| frames.release_left(1, 2, done)), [2]);
        assert_eq!((frames.held(), frames.depth().frames), (1, 2));
        assert_eq!(frames.hold(|_| true), 1);
        assert!(frames.are_held());
        assert_eq!(slots(|done| frames.release_behind(9000, done)), [3]);
        frames.hold_none();
        assert_eq!(slots(|done| frames.take_sent(|_| true, done)), [4]);
        assert_eq!((frames.held(), frames.held_descriptors(), frames.sent_bytes), (0, 0, 11_100));
    }

    #[test]
    fn frames_that_were_held_back_are_given_back_with_the_others_in_order() {
        let mut frames = queued(&[(700, 1), (500, 1), (500, 1)]);
        frames.hold(|last| last == 251);
        let mut slots = Vec::new();
        frames.clear(|ticket| slots.push(ticket.slot().index()));
        assert_eq!((slots, frames.held(), frames.is_empty()), (std::vec![0, 1, 2], 0, true));
        assert_eq!(frames.hold(|_| true), 0, "nothing is left of them");
    }
}
