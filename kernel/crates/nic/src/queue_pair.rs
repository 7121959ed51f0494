//! A receive ring and a transmit ring, apart from the card: all that one core needs to move frames.

use crate::descriptors::DescriptorFormat;
use crate::receive::{self, ReceiveRing, ReceivedChain};
use crate::transmit::TransmitRing;
use crate::{MAX_FRAME, NicError, NicHost, QueueCounters};
use base::{Instant, LentFrame, Memory, Outbox, Put, Ticket};

/// Length of an Ethernet header.
const HEADER: usize = 14;

/// Two rings and what has passed through them. It touches no register: its owner, who knows the card, is told when the NIC is
/// to be told. A card with several queues has one of these for each.
pub(crate) struct QueuePair<M, F> {
    pub(crate) receive: ReceiveRing<M, F>,
    pub(crate) transmit: TransmitRing<M, F>,
    pub(crate) counters: QueueCounters,
    /// True while the rest of an overlong received frame must still be dropped.
    skipping: bool,
}

/// What happened to received descriptors.
enum ReceiveOutcome {
    Given,
    Dropped,
    NoRoom,
}

impl<M: Memory, F: DescriptorFormat> QueuePair<M, F> {
    /// Empty rings of a NIC that reaches addresses below `limit`.
    pub(crate) fn new<H: NicHost<Memory = M>>(host: &mut H, limit: u64) -> Result<Self, NicError> {
        Ok(Self {
            receive: ReceiveRing::new(host)?,
            transmit: TransmitRing::new(host, limit)?,
            counters: QueueCounters::default(),
            skipping: false,
        })
    }

    /// Lends received frames out, at most `budget`. Returns how many, and whether descriptors have come free, with other
    /// buffers, of which the NIC is to be told.
    pub(crate) fn fetch(&mut self, into: &mut Outbox, budget: usize) -> (usize, bool) {
        let mut given = 0;
        let mut released = false;
        // At most as many chains as descriptors: a NIC that fills the ring as fast as it is emptied cannot
        // keep the caller here.
        for _ in 0..receive::DESCRIPTORS {
            if given == budget {
                break;
            }
            let Some(chain) = self.receive.next() else { break };
            match self.take(&chain, into) {
                ReceiveOutcome::Given => given += 1,
                ReceiveOutcome::Dropped => {}
                ReceiveOutcome::NoRoom => break,
            }
            self.receive.release(&chain);
            released = true;
        }
        (given, released)
    }

    /// Lends the frame in one chain out, or drops it and counts why.
    fn take(&mut self, chain: &ReceivedChain, into: &mut Outbox) -> ReceiveOutcome {
        let length = chain.length;
        let rest_of_too_long = core::mem::replace(&mut self.skipping, false);
        if rest_of_too_long || !chain.ends_frame || length > MAX_FRAME {
            self.skipping = !chain.ends_frame;
            // Counted once, at the first chain of the frame.
            self.counters.rx_too_long += u64::from(!rest_of_too_long);
        } else if chain.has_errors {
            self.counters.rx_errors += 1;
        } else if length < HEADER {
            self.counters.rx_runt += 1;
        } else if self.receive.lend(chain, into) {
            self.counters.rx_frames += 1;
            self.counters.rx_bytes += length as u64;
            return ReceiveOutcome::Given;
        } else {
            return ReceiveOutcome::NoRoom;
        }
        ReceiveOutcome::Dropped
    }

    /// Takes buffers of frames back that are finished.
    pub(crate) fn settle(&mut self, outbox: &mut Outbox) {
        while let Some(cookie) = outbox.finished(|cookie, _| cookie) {
            self.receive.take_back(cookie);
        }
    }

    /// Gives all receive descriptors to a NIC that was reset. What it had received and nobody has fetched is lost.
    pub(crate) fn restart_receive(&mut self) {
        self.counters.rx_lost += self.receive.drain() as u64;
        self.skipping = false;
        self.receive.restart();
    }

    /// Puts a frame into the transmit ring, or drops it and counts why. It is refused when there is no room.
    #[inline(always)]
    pub(crate) fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        if frame.length < HEADER {
            self.counters.tx_runt += 1;
        } else if match frame.mss {
            Some(_) => !self.transmit.can_cut(frame),
            None => frame.length > MAX_FRAME,
        } {
            self.counters.tx_too_long += 1;
        } else if let Err(ticket) = self.transmit.push(frame, ticket, now) {
            self.counters.tx_ring_full += 1;
            return Put::Refused(ticket);
        } else {
            self.counters.tx_queued += 1;
            self.counters.tx_bytes += frame.wire_length() as u64;
            return Put::Kept;
        }
        Put::Done(ticket)
    }

    /// The next value for TDT, if there are frames that the NIC has not been told of.
    pub(crate) fn tell(&mut self) -> Option<u32> {
        self.transmit.is_behind().then(|| {
            self.counters.tx_batches += 1;
            self.transmit.tell()
        })
    }

    /// Returns the tickets of frames that have been sent, and their number; of a NIC that is being reset only of those that are known: it writes
    /// nothing back that means anything.
    pub(crate) fn reap(&mut self, works: bool, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        let unclaimed = self.transmit.unclaimed().map(&mut *done).count();
        if !works {
            return unclaimed;
        }
        let sent = self.transmit.sent(done, now);
        self.counters.tx_done += sent as u64;
        unclaimed + sent
    }

    /// Takes note of frames that have been sent, and keeps their tickets.
    pub(crate) fn note_progress(&mut self, now: Instant) {
        self.counters.tx_done += self.transmit.note_progress(now) as u64;
    }

    /// Takes note of the oldest frames, `most` of them, that have left the NIC with so many `segments`, and keeps their tickets.
    pub(crate) fn note_left(&mut self, segments: u64, most: usize, now: Instant) {
        self.counters.tx_done += self.transmit.note_left(segments, most, now) as u64;
    }

    /// Empties the transmit ring of a NIC that sends nothing any more. Returns how many frames will not be sent.
    pub(crate) fn restart_transmit(&mut self) -> usize {
        let unsent = self.transmit.restart();
        self.counters.tx_returned += unsent as u64;
        unsent
    }

    /// Returns the tickets of frames that will not be sent, and their number.
    pub(crate) fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        self.transmit.unsent().map(unsent).count()
    }
}
