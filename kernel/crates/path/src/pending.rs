//! The frames of one port that wait for their destinations.

use crate::{PortId, PortSet};
use base::batch::MAX_FRAMES;
use base::{Batch, Instant};

/// Room for [`MAX_FRAMES`] frames of 1518 bytes, or for a dozen jumbo frames.
const BYTES: usize = 128 * 1024;

/// A batch that came from one port, with the destinations that have not taken their copy yet.
pub(crate) struct Pending {
    batch: Batch,
    waiting: [PortSet; MAX_FRAMES],
    since: Instant,
}

impl Pending {
    pub(crate) fn new() -> Self {
        Self {
            batch: Batch::with_capacity(BYTES),
            waiting: [PortSet::EMPTY; MAX_FRAMES],
            since: Instant::ZERO,
        }
    }

    /// True when every copy has been taken or dropped.
    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// When the batch came.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }

    /// The batch to poll into, emptied; it counts as come at `now`.
    pub(crate) fn begin(&mut self, now: Instant) -> &mut Batch {
        self.batch.clear();
        self.waiting = [PortSet::EMPTY; MAX_FRAMES];
        self.since = now;
        &mut self.batch
    }

    /// Frames in the batch, whether or not copies of them still wait.
    pub(crate) fn frame(&self, index: usize) -> Option<&[u8]> {
        self.batch.get(index)
    }

    /// Says which ports are to get a copy of frame `index`.
    pub(crate) fn route(&mut self, index: usize, targets: PortSet) {
        if let Some(waiting) = self.waiting.get_mut(index) {
            *waiting = targets;
        }
    }

    /// Where each frame of the batch still goes. This, and not all there could be, is what is gone through: a switch
    /// comes by with nothing to move far more often than with a full batch.
    fn waiting(&self) -> &[PortSet] {
        self.waiting.get(..self.batch.len()).unwrap_or(&self.waiting)
    }

    /// Every port that some frame waits for.
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

    /// Takes the first `count` copies for `port` out.
    pub(crate) fn done(&mut self, port: PortId, count: usize) {
        let waiting = self.waiting.iter_mut().filter(|waiting| waiting.contains(port));
        for waiting in waiting.take(count) {
            *waiting = waiting.without(port);
        }
    }

    /// Copies that still wait.
    pub(crate) fn copies(&self) -> usize {
        self.waiting().iter().map(|waiting| waiting.len()).sum()
    }

    /// Makes room for the next batch once no copy waits.
    pub(crate) fn clear_if_done(&mut self) {
        if self.targets().is_empty() {
            self.batch.clear();
        }
    }
}
