//! A team as a port: what frames pass.

use super::{Team, TeamMember};
use base::{Capabilities, Instant, LentFrame, Outbox, Port, Put, Ticket};

impl<M: TeamMember> Port for Team<M> {
    /// They change when the manager learns of something, and not between.
    fn capabilities(&mut self) -> Capabilities {
        self.capabilities
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        if let [slot] = &mut *self.slots {
            return slot.member.nic().fetch(into, budget, now);
        }
        let (count, mut fetched) = (self.slots.len(), 0);
        // Each has its turn to be the first.
        self.turn = (self.turn + 1) % count.max(1);
        for index in (self.turn..count).chain(0..self.turn) {
            into.set_lender(lender(index));
            let nic = self.slots[index].member.nic();
            let new = nic.fetch(into, budget - fetched, now);
            fetched += new;
        }
        fetched
    }

    fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            outbox.set_lender(lender(index));
            slot.member.nic().settle(outbox, now);
        }
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        let (bucket, length) = (self.key.bucket(&frame, ticket.source()), frame.length);
        let Some(member) = self.carriers.get(bucket) else { return Put::Refused(ticket) };
        let Some(slot) = self.slots.get_mut(member.index()) else { return Put::Refused(ticket) };
        let put = slot.member.nic().put(frame, ticket, now);
        match put {
            Put::Kept => self.carriers.note_put(member, bucket, length, true),
            Put::Done(_) => self.carriers.note_put(member, bucket, length, false),
            Put::Refused(_) => {}
        }
        put
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) {
        let Self { slots, own, carriers, .. } = self;
        for (index, slot) in slots.iter_mut().enumerate() {
            let mut count = 0;
            let mut pass = |ticket: Ticket| {
                let other = match own {
                    Some(own) => own.take(ticket),
                    None => Some(ticket),
                };
                if let Some(ticket) = other {
                    count += 1;
                    done(ticket);
                }
            };
            slot.member.nic().reap(&mut pass, now);
            carriers.note_back(index, count);
        }
        if carriers.holds() {
            carriers.release(now);
        }
    }

    /// Its own frames are not sent again.
    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) {
        let Self { slots, own, carriers, .. } = self;
        for (index, slot) in slots.iter_mut().enumerate() {
            let mut count = 0;
            slot.member.nic().take_back(&mut |ticket| {
                let other = match own {
                    Some(own) => own.take(ticket),
                    None => Some(ticket),
                };
                if let Some(ticket) = other {
                    count += 1;
                    unsent(ticket);
                }
            });
            carriers.note_back(index, count);
        }
    }

    fn flush(&mut self, now: Instant) {
        for member in self.carriers.take_behind().iter() {
            self.slots.get_mut(member.index()).into_iter().for_each(|slot| slot.member.nic().flush(now));
        }
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        if let Some(slot) = self.slots.first_mut() {
            slot.member.nic().missed(frames, now);
        }
    }
}

/// The name under which the member in this place lends frames.
#[expect(clippy::cast_possible_truncation, reason = "there are at most MAX_MEMBERS")]
fn lender(index: usize) -> u8 {
    index as u8
}
