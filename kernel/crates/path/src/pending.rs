//! A batch of frames from one port, and the destinations that each frame still waits for.

use crate::{PortId, PortSet};
use base::batch::MAX_FRAMES;
use base::{Batch, Instant};

/// Capacity of a batch: [`MAX_FRAMES`] frames of 1518 bytes, or a dozen jumbo frames.
const BYTES: usize = 128 * 1024;

/// A batch from one port, with the destinations that have not accepted their copies yet.
pub(crate) struct PendingBatch {
    batch: Batch,
    /// For each frame, the ports that still have to accept it.
    waiting: [PortSet; MAX_FRAMES],
    /// When the batch was polled.
    since: Instant,
}

impl PendingBatch {
    /// An empty batch.
    pub(crate) fn new() -> Self {
        Self {
            batch: Batch::with_capacity(BYTES),
            waiting: [PortSet::EMPTY; MAX_FRAMES],
            since: Instant::ZERO,
        }
    }

    /// True when every copy has been accepted or dropped.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// When the batch was polled.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// Empties the batch and returns it, to poll into at `now`.
    pub(crate) fn begin(&mut self, now: Instant) -> &mut Batch {
        self.batch.clear();
        self.waiting = [PortSet::EMPTY; MAX_FRAMES];
        self.since = now;
        &mut self.batch
    }

    /// The frame at `index`, whether or not copies of it are still pending.
    pub(crate) fn frame(&self, index: usize) -> Option<&[u8]> {
        self.batch.get(index)
    }

    /// Sets the ports that frame `index` is to be sent to.
    pub(crate) fn route(&mut self, index: usize, targets: PortSet) {
        if let Some(waiting) = self.waiting.get_mut(index) {
            *waiting = targets;
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

    /// Marks the first `count` copies for `port` as accepted or dropped.
    pub(crate) fn done(&mut self, port: PortId, count: usize) {
        let waiting = self.waiting.iter_mut().filter(|waiting| waiting.contains(port));
        for waiting in waiting.take(count) {
            *waiting = waiting.without(port);
        }
    }

    /// Number of pending copies.
    pub(crate) fn copies(&self) -> usize {
        self.waiting().iter().map(|waiting| waiting.len()).sum()
    }

    /// Empties the batch once no copy is pending.
    pub(crate) fn clear_if_done(&mut self) {
        if self.targets().is_empty() {
            self.batch.clear();
        }
    }
}
