//! A port backed by queues in memory, one for each direction.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use base::{Batch, Capabilities, Instant, Port};

/// A port that returns the frames that a test queued and keeps the frames sent to it.
///
/// ```
/// use base::{Batch, Instant, Port};
/// use testkit::QueuePort;
///
/// let mut port = QueuePort::with_space(1);
/// port.arrive(b"from the wire");
/// let mut batch = Batch::with_capacity(64);
/// assert_eq!(port.poll(&mut batch, 8, Instant::ZERO), 1);
/// assert_eq!(batch.get(0), Some(&b"from the wire"[..]));
/// // Only one of two frames is accepted: the port pushes back.
/// assert_eq!(port.send(&[b"first", b"second"], Instant::ZERO), 1);
/// assert_eq!(port.take_sent(), [b"first"]);
/// ```
#[derive(Clone, Debug)]
pub struct QueuePort {
    /// Frames that [`Port::poll`] will return, oldest first.
    pub incoming: VecDeque<Vec<u8>>,
    /// Frames that [`Port::send`] accepted, oldest first.
    pub sent: Vec<Vec<u8>>,
    /// How many more frames [`Port::send`] accepts before it pushes back. Accepted frames are subtracted, unless
    /// it is `usize::MAX`.
    pub space: usize,
    /// What [`Port::capabilities`] returns.
    pub capabilities: Capabilities,
    /// Number of calls of [`Port::send`].
    pub send_calls: usize,
    /// Frames of which [`Port::missed`] told.
    pub missed: usize,
}

impl Default for QueuePort {
    fn default() -> Self {
        Self::new()
    }
}

impl QueuePort {
    /// A port with link up, a maximum frame of 1514 bytes and no limit on what it accepts.
    #[must_use]
    pub fn new() -> Self {
        Self {
            incoming: VecDeque::new(),
            sent: Vec::new(),
            space: usize::MAX,
            capabilities: Capabilities { max_frame: 1514, link_up: true },
            send_calls: 0,
            missed: 0,
        }
    }

    /// A port that accepts `space` frames and then pushes back.
    #[must_use]
    pub fn with_space(space: usize) -> Self {
        Self { space, ..Self::new() }
    }

    /// Queues a frame for [`Port::poll`].
    pub fn arrive(&mut self, frame: &[u8]) {
        self.incoming.push_back(frame.to_vec());
    }

    /// Removes and returns the frames sent so far.
    pub fn take_sent(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.sent)
    }
}

impl Port for QueuePort {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn send(&mut self, frames: &[&[u8]], _now: Instant) -> usize {
        self.send_calls += 1;
        let accepted = frames.len().min(self.space);
        self.space -= if self.space == usize::MAX { 0 } else { accepted };
        self.sent.extend(frames[..accepted].iter().map(|frame| frame.to_vec()));
        accepted
    }

    fn missed(&mut self, frames: usize, _now: Instant) {
        self.missed += frames;
    }

    fn poll(&mut self, into: &mut Batch, budget: usize, _now: Instant) -> usize {
        let mut given = 0;
        while given < budget && self.incoming.front().is_some_and(|frame| into.push(frame)) {
            self.incoming.pop_front();
            given += 1;
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_port_accepts_a_prefix() {
        let mut port = QueuePort::with_space(2);
        assert_eq!(port.send(&[b"a", b"b", b"c"], Instant::ZERO), 2);
        assert_eq!(port.send(&[b"c"], Instant::ZERO), 0);
        assert_eq!(port.take_sent(), [b"a", b"b"]);
    }

    #[test]
    fn polling_stops_at_the_budget_and_at_a_full_batch() {
        let mut port = QueuePort::new();
        for frame in [&b"aaaa"[..], b"bb", b"c"] {
            port.arrive(frame);
        }
        let mut batch = Batch::with_capacity(5);
        assert_eq!(port.poll(&mut batch, 1, Instant::ZERO), 1);
        assert_eq!(port.poll(&mut batch, 9, Instant::ZERO), 0);
        batch.clear();
        assert_eq!(port.poll(&mut batch, 9, Instant::ZERO), 2);
    }
}
