//! A port with several NICs behind it, each of them a [`QueuePort`].

use crate::QueuePort;
use alloc::vec::Vec;
use base::{Capabilities, Instant, LentFrame, Outbox, Port, Put, Ticket};

/// Several ports as one, which sends each frame by one of them: a table says by which, and `key` where to look there.
///
/// ```
/// use base::{Instant, Port};
/// use testkit::{LanePort, put};
///
/// // By the last bit of a frame's last byte of the head.
/// let mut team = LanePort::new(2, |frame, _| usize::from(frame.head[frame.head.len() - 1]));
/// team.lanes[0].space = 0;
/// assert!(put(&mut team, &[1; 60], Instant::ZERO));
/// assert!(!put(&mut team, &[2; 60], Instant::ZERO));
/// // One more is for frames that are held.
/// assert_eq!((team.lanes(), team.lanes[1].sent.len()), (3, 1));
/// team.table[0] = 1;
/// assert!(put(&mut team, &[2; 60], Instant::ZERO));
/// ```
pub struct LanePort {
    /// The ports.
    pub lanes: Vec<QueuePort>,
    /// By which of them the frames with each key are sent; a key beyond counts from the start again.
    pub table: Vec<usize>,
    /// The key of a frame, which came from a port with this number.
    pub key: fn(&LentFrame<'_>, usize) -> usize,
}

impl LanePort {
    /// So many ports with room and link, one for each key.
    #[must_use]
    pub fn new(lanes: usize, key: fn(&LentFrame<'_>, usize) -> usize) -> Self {
        Self { lanes: (0..lanes).map(|_| QueuePort::new()).collect(), table: (0..lanes).collect(), key }
    }

    /// One of the ports loses its link and gives back all that it has kept; this one carries its frames.
    pub fn fail(&mut self, lane: usize, survivor: usize) {
        self.lanes[lane].give_up();
        self.lanes[lane].capabilities.link_up = false;
        self.table.iter_mut().filter(|to| **to == lane).for_each(|to| *to = survivor);
    }
}

impl Port for LanePort {
    fn capabilities(&mut self) -> Capabilities {
        let link_up = self.lanes.iter().any(|lane| lane.capabilities.link_up);
        Capabilities { link_up, ..self.lanes[0].capabilities }
    }

    fn lanes(&mut self) -> usize {
        // The last one is for frames that are held, and nothing is here.
        self.lanes.len() + 1
    }

    fn lane(&mut self, frame: &LentFrame<'_>, source: usize) -> usize {
        self.table[(self.key)(frame, source) % self.table.len()]
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        let mut fetched = 0;
        for (lender, lane) in (0..).zip(&mut self.lanes) {
            into.set_lender(lender);
            fetched += lane.fetch(into, budget - fetched, now);
        }
        fetched
    }

    fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        for (lender, lane) in (0..).zip(&mut self.lanes) {
            outbox.set_lender(lender);
            lane.settle(outbox, now);
        }
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        if self.lanes.iter().any(|lane| lane.unsent() > 0) {
            return Put::Refused(ticket);
        }
        let lane = self.lane(&frame, ticket.source());
        self.lanes[lane].put(frame, ticket, now)
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        self.lanes.iter_mut().map(|lane| lane.reap(done, now)).sum()
    }

    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        self.lanes.iter_mut().map(|lane| lane.take_back(unsent)).sum()
    }

    fn flush(&mut self, now: Instant) {
        self.lanes.iter_mut().for_each(|lane| lane.flush(now));
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        self.lanes[0].missed(frames, now);
    }
}
