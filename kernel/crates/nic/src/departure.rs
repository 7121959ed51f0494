//! What has left a NIC by its own count, and frames that are held back until they have.

use crate::chip::NicChip;
use crate::transmit::{DESCRIPTORS, MIN_FRAME};
use crate::{NicDriver, NicHost, link};
use base::time::Duration;
use base::{Duplex, Instant, LinkSpeed};
use intel_regs::Status;

/// How often a NIC is asked what has left it while frames are held back, each time by three reads; and how often if those are so
/// many, or have so many descriptors, that their senders would soon stand still: short frames, as a few long ones push each
/// other through the FIFO.
const ASK_INTERVAL: Duration = Duration::from_millis(1);
const ASK_SOON: Duration = Duration::from_micros(50);
const MANY_HELD: usize = 32;
const MANY_DESCRIPTORS: usize = DESCRIPTORS / 4;

/// After this time at most a frame that a NIC with a link has fetched is not in it any more.
pub(crate) const LONGEST_STAY: Duration = Duration::from_secs(1);

/// What had passed the NIC when nothing was in it.
#[derive(Clone, Copy, Default)]
pub(crate) struct EmptyMark {
    /// Frames that it had reported as transmitted, and what they were cut into.
    frames: u64,
    segments: u64,
    /// What had left it by its own count.
    left: u64,
}

/// Three times as long as the largest FIFO takes to be sent. No flow control delays it: it is off.
fn drain_time(speed: LinkSpeed) -> Duration {
    Duration::from_millis(2) * (LinkSpeed::Mbps1000.megabits() / speed.megabits())
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Sets whether the ticket of a frame is returned only when the frame has left the NIC for sure, not already when the NIC has
    /// fetched it. When a NIC stops, all that may not have left it is given back, then: nothing is lost, but a frame that
    /// the NIC had no time to count arrives twice.
    ///
    /// A frame has left when the NIC has fetched as many bytes behind it as its FIFO holds, or by the NIC's count. That is asked
    /// for once in a millisecond, in [`reap`](base::Port::reap) and [`check`](Self::check), and more often while many frames
    /// are held back. Some counts are too low, and then no sender may wait for ever: when the NIC has all frames, reports a
    /// link, and has had the time to send several times what its FIFO holds, nothing is held back any more.
    pub fn hold_back(&mut self, on: bool) {
        self.queues.transmit.hold_behind(on.then_some(C::TRANSMIT_FIFO));
    }

    /// When frames that are held back are to be looked after.
    pub(crate) fn release_due(&self) -> Option<Instant> {
        let frames = &self.queues.transmit.frames;
        let held = frames.held();
        let many = held >= MANY_HELD || frames.held_descriptors() >= MANY_DESCRIPTORS;
        (self.is_running() && held > 0).then_some(self.asked_at + if many { ASK_SOON } else { ASK_INTERVAL })
    }

    /// Releases frames that are held back, if it is time, and they have left.
    #[inline]
    pub(crate) fn release_held(&mut self, now: Instant) {
        if self.queues.transmit.holds_back() && self.is_running() {
            self.release(now);
        }
    }

    #[inline(never)]
    fn release(&mut self, now: Instant) {
        self.queues.note_progress(now);
        if self.release_due().is_none_or(|due| now < due) {
            return;
        }
        self.asked_at = now;
        let Some(status) = self.count_departed() else { return };
        let held = self.queues.transmit.frames.held();
        self.queues.note_left(self.ahead(), held, now);
        let ring = &self.queues.transmit;
        let held = ring.frames.held();
        let late = || ring.waited(now).is_some_and(|waited| waited >= self.longest_stay(held));
        if ring.frames.are_held() && link::from_status(status).up && late() {
            self.queues.note_left(u64::MAX, held, now);
            self.count_from_here();
        } else if self.holds_nothing() {
            self.count_from_here();
        }
    }

    /// How long the NIC, which has fetched all frames, may have the last of them, of which so many are held back. Its count lacks
    /// those that it gave up after collisions, and QEMU's igb counts one for all segments of a packet. If there is no such
    /// reason, its transmitter may have stopped.
    fn longest_stay(&self, held: usize) -> Duration {
        let fetched = self.queues.counters.tx_done - self.empty.frames + held as u64;
        let counted = self.statistics.departed().saturating_sub(self.empty.left);
        let explained = counted >= fetched || self.link.duplex == Duplex::Half;
        if explained { drain_time(self.link.speed) } else { LONGEST_STAY }
    }

    /// Asks what has left the NIC. Returns its status, or nothing if it does not answer.
    fn count_departed(&mut self) -> Option<Status> {
        let mut statistics = self.statistics;
        statistics.collect_departed(&mut self.registers);
        let status = self.status()?;
        self.statistics = statistics;
        Some(status)
    }

    /// Frames that a NIC that runs, or did until it was stopped, has reported as transmitted, whose tickets are not held back,
    /// and that have not left it by its own count, as last read [8254x 13.7.35]. They are no more than its FIFO holds.
    pub(crate) fn in_nic(&self) -> u64 {
        let (taken, left) = self.since_empty();
        taken.saturating_sub(left).min((C::TRANSMIT_FIFO / MIN_FRAME) as u64)
    }

    /// Frames that have left it by that count, and are in its ring nevertheless.
    pub(crate) fn ahead(&self) -> u64 {
        let (taken, left) = self.since_empty();
        left.saturating_sub(taken)
    }

    /// Frames that were taken from the ring, and those that have left the NIC, since nothing was in it.
    fn since_empty(&self) -> (u64, u64) {
        let taken = self.queues.transmit.frames.sent_segments - self.empty.segments;
        (taken, self.statistics.departed().saturating_sub(self.empty.left))
    }

    /// True if nothing is in the NIC or its ring, by what it has last counted.
    pub(crate) fn holds_nothing(&self) -> bool {
        self.queues.transmit.frames.is_empty() && self.in_nic() == 0
    }

    /// Nothing is in the NIC: what it fetches and sends is counted from here.
    pub(crate) fn count_from_here(&mut self) {
        let segments = self.queues.transmit.frames.sent_segments;
        let (frames, left) = (self.queues.counters.tx_done, self.statistics.departed());
        self.empty = EmptyMark { frames, segments, left };
    }
}
