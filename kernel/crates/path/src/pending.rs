//! The frames from one port that have not left yet, and the destinations that each of them still waits for.

use crate::config::HELD_BYTES;
use crate::{MAX_PORTS, PortId, PortSet};
use base::batch::MAX_FRAMES;
use base::time::Duration;
use base::{Batch, Instant};

/// Capacity of a batch: [`MAX_FRAMES`] frames of 1518 bytes, or 18 jumbo frames, of which one may wait for each
/// destination.
const BYTES: usize = 160 * 1024;

/// Frames from one port, with the destinations that have not accepted their copies yet.
pub(crate) struct PendingBatch {
    batch: Batch,
    /// For each frame in the batch, the ports that still have to accept it.
    waiting: [PortSet; MAX_FRAMES],
    /// For each frame in the batch, when it was polled. It never decreases.
    since: [Instant; MAX_FRAMES],
    /// The frames with a group address as destination, one bit each.
    group: u64,
}

const _: () = assert!(MAX_FRAMES <= u64::BITS as usize);
/// With all that may wait in passing, there is room for two jumbo frames.
const _: () = assert!((MAX_PORTS - 1) * HELD_BYTES + 2 * 9018 <= BYTES);

impl PendingBatch {
    /// An empty batch.
    pub(crate) fn new() -> Self {
        Self {
            batch: Batch::with_capacity(BYTES),
            waiting: [PortSet::EMPTY; MAX_FRAMES],
            since: [Instant::ZERO; MAX_FRAMES],
            group: 0,
        }
    }

    /// True when every copy has been accepted or dropped.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// When the oldest frame that waits for `port` was polled.
    pub(crate) fn since(&self, port: PortId) -> Option<Instant> {
        let oldest = self.waiting().iter().position(|waiting| waiting.contains(port))?;
        self.since.get(oldest).copied()
    }

    /// Removes the frames that wait for nothing, and returns the batch, to append frames to it. Frames beyond those
    /// that it has must be [routed](Self::route).
    pub(crate) fn begin(&mut self) -> &mut Batch {
        if !self.batch.is_empty() {
            self.remove_finished();
        }
        &mut self.batch
    }

    fn remove_finished(&mut self) {
        let Self { batch, waiting, since, group } = self;
        let (mut kept, mut kept_group) = (0, 0);
        batch.retain(|index| {
            let waits = !waiting[index].is_empty();
            if waits {
                (waiting[kept], since[kept]) = (waiting[index], since[index]);
                kept_group |= (*group >> index & 1) << kept;
                kept += 1;
            }
            waits
        });
        *group = kept_group;
    }

    /// The frame at `index`, whether or not copies of it are still pending.
    pub(crate) fn frame(&self, index: usize) -> Option<&[u8]> {
        self.batch.get(index)
    }

    /// Sets the ports that frame `index`, polled at `now`, is to be sent to; `group` if it is for many stations.
    pub(crate) fn route(&mut self, index: usize, targets: PortSet, group: bool, now: Instant) {
        if index < MAX_FRAMES {
            (self.waiting[index], self.since[index]) = (targets, now);
            self.group = self.group & !(1 << index) | u64::from(group) << index;
        }
    }

    /// The ports that each frame of the batch still waits for. Limited to the frames in the batch because most
    /// steps find few frames or none: iterating over all [`MAX_FRAMES`] entries would cost more.
    fn waiting(&self) -> &[PortSet] {
        self.waiting.get(..self.batch.len()).unwrap_or(&self.waiting)
    }

    /// All ports that frames wait for.
    pub(crate) fn targets(&self) -> PortSet {
        self.waiting().iter().fold(PortSet::EMPTY, |all, waiting| all.union(*waiting))
    }

    /// The frames that wait for `port`, in order of arrival.
    pub(crate) fn frames_for(&self, port: PortId) -> heapless::Vec<&[u8], MAX_FRAMES> {
        let waits = |(index, waiting): (usize, &PortSet)| {
            waiting.contains(port).then(|| self.batch.get(index)).flatten()
        };
        self.waiting().iter().enumerate().filter_map(waits).collect()
    }

    /// Marks the first `count` copies for `port` as accepted.
    pub(crate) fn accepted(&mut self, port: PortId, count: usize) {
        let mut left = count;
        self.remove(port, |_, _| {
            let done = left > 0;
            left = left.saturating_sub(1);
            done
        });
    }

    /// Drops all copies for `port`, and returns how many.
    pub(crate) fn drop_all(&mut self, port: PortId) -> usize {
        self.remove(port, |_, _| true)
    }

    /// Drops the copies of group frames for `port`, and returns how many.
    pub(crate) fn drop_group(&mut self, port: PortId) -> usize {
        let group = self.group;
        if group == 0 { 0 } else { self.remove(port, |index, _| group >> index & 1 != 0) }
    }

    /// Drops the copies for `port` of frames that have waited for `hold`, and returns how many.
    pub(crate) fn drop_older(&mut self, port: PortId, hold: Duration, now: Instant) -> usize {
        let since = self.since;
        self.remove(port, |index, _| since[index] + hold <= now)
    }

    /// Drops the copies for `port` beyond the first `frames` with at most `bytes` together, and returns how many.
    pub(crate) fn drop_beyond(&mut self, port: PortId, frames: usize, bytes: usize) -> usize {
        let (mut left, mut room) = (frames, Some(bytes));
        self.remove(port, |_, length| {
            room = room.filter(|_| left > 0).and_then(|room| room.checked_sub(length));
            left = left.saturating_sub(1);
            room.is_none()
        })
    }

    /// Marks those copies for `port` as gone for which `gone` says so of the frame's index and length, in order.
    /// Returns how many.
    fn remove(&mut self, port: PortId, mut gone: impl FnMut(usize, usize) -> bool) -> usize {
        let mut count = 0;
        for index in 0..self.batch.len() {
            if self.waiting[index].contains(port) && gone(index, self.batch.get(index).map_or(0, <[u8]>::len))
            {
                self.waiting[index] = self.waiting[index].without(port);
                count += 1;
            }
        }
        count
    }

    /// True if more than `frames` copies wait for `port`, or copies with more than `bytes` together: of which
    /// [`drop_beyond`](Self::drop_beyond) would drop some.
    pub(crate) fn exceeds(&self, port: PortId, frames: usize, bytes: usize) -> bool {
        let waiting = self.waiting().iter().enumerate().filter(|(_, waiting)| waiting.contains(port));
        let lengths = waiting.filter_map(|(index, _)| self.batch.get(index)).map(<[u8]>::len);
        let (count, sum) = lengths.fold((0, 0), |(count, sum), length| (count + 1, sum + length));
        count > frames || sum > bytes
    }

    /// Number of pending copies.
    pub(crate) fn copies(&self) -> usize {
        self.waiting().iter().map(|waiting| waiting.len()).sum()
    }

    /// Empties the batch once no copy is pending.
    pub(crate) fn clear_if_done(&mut self) {
        if self.targets().is_empty() {
            self.batch.clear();
            self.group = 0;
        }
    }
}
