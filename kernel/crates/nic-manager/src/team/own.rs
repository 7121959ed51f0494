//! Frames that a team sends of its own.

use base::{Instant, Outbox, Port, Put, Ticket};

/// The number of their source, which no port of a switch has.
const SOURCE: u8 = u8::MAX;

/// Frames of the team itself, until their NICs have sent them.
pub(super) struct OwnFrames {
    outbox: Outbox,
    /// Frames that were sent, and those for which there was no room.
    pub(super) sent: u64,
    pub(super) dropped: u64,
}

impl OwnFrames {
    /// None.
    pub(super) fn new() -> Self {
        Self { outbox: Outbox::new(SOURCE), sent: 0, dropped: 0 }
    }

    /// Sends a frame, which is all head, by this NIC.
    pub(super) fn send(&mut self, nic: &mut impl Port, frame: &[u8], now: Instant) {
        let added = self.outbox.add(0, |new| {
            let head = new.head(frame.len());
            head.len() == frame.len() && {
                head.copy_from_slice(frame);
                true
            }
        });
        let Some(slot) = self.outbox.fetched().filter(|_| added) else {
            self.dropped += 1;
            return;
        };
        self.outbox.share(slot, 1);
        match nic.put(self.outbox.frame(slot), self.outbox.lend(slot), now) {
            Put::Kept => self.sent += 1,
            Put::Done(ticket) => {
                self.sent += 1;
                self.outbox.give_back(ticket);
            }
            Put::Refused(ticket) => {
                self.dropped += 1;
                self.outbox.give_back(ticket);
            }
        }
        nic.flush(now);
        self.settle();
    }

    /// Takes a frame back, if it is one of these.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Ticket> {
        if ticket.source() != usize::from(SOURCE) {
            return Some(ticket);
        }
        self.outbox.give_back(ticket);
        self.settle();
        None
    }

    fn settle(&mut self) {
        while self.outbox.finished(|_, _| ()).is_some() {}
    }
}
