//! A team as a port: what frames pass.

use super::routes::PORTS;
use super::sources::FrameSource;
use super::wire::{TeamWire, WireFrame};
use super::{Team, TeamMember};
use crate::{FrameKey, MAX_MEMBERS, MemberId, TeamEvent};
use alloc::vec::Vec;
use base::outbox::WINDOW;
use base::{Capabilities, Instant, LentFrame, MacAddress, Outbox, Port, Put, Ticket};

impl<M: TeamMember> Port for Team<M> {
    /// They change when the manager learns of something, and not between.
    fn capabilities(&mut self) -> Capabilities {
        self.capabilities
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        if let Some(nic) = self.only_nic() {
            return nic.fetch(into, budget, now);
        }
        let (count, mut fetched) = (self.slots.len(), 0);
        // Each has its turn to be the first.
        self.turn = (self.turn + 1) % count.max(1);
        for index in (self.turn..count).chain(0..self.turn) {
            into.set_lender(lender(index));
            let new = self.slots[index].member.nic().fetch(into, budget - fetched, now);
            self.review(index, into, new, now);
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
        if let Some(nic) = self.only_nic() {
            return nic.put(frame, ticket, now);
        }
        let carrier = self.routes.find(self.key, frame.head, ticket.source(), &self.carriers);
        let Some(slot) = self.slots.get_mut(usize::from(carrier)) else {
            return self.put_otherwise(frame, ticket, now);
        };
        slot.behind = true;
        slot.member.nic().put(frame, ticket, now)
    }

    /// One for each member, and one for frames that are held; one alone where nothing ever is.
    fn lanes(&mut self) -> usize {
        match self.slots.len() {
            0 | 1 => 1,
            members => members + 1,
        }
    }

    fn lane(&mut self, frame: &LentFrame<'_>, source: usize) -> usize {
        self.carriers.lane(self.key.bucket(frame, source), self.slots.len())
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        if let Some(nic) = self.only_nic() {
            return nic.reap(done, now);
        }
        let mut count = 0;
        if self.has_own() {
            count = self.reap_beside_own(done, now);
        } else {
            for (index, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.member.kept() > 0)
            {
                let back = slot.member.nic().reap(done, now);
                self.carriers.note_back(index, back);
                count += back;
            }
        }
        self.release(Some(now));
        count
    }

    /// Its own frames are not sent again.
    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        let mut count = 0;
        if self.has_own() {
            count = self.take_back_beside_own(unsent);
        } else {
            for (index, slot) in self.slots.iter_mut().enumerate().filter(|(_, slot)| slot.member.kept() > 0)
            {
                let back = slot.member.nic().take_back(unsent);
                self.carriers.note_back(index, back);
                count += back;
            }
        }
        self.release(None);
        count
    }

    fn note_accepted(&mut self, source: usize, bytes: usize) {
        self.bytes[source % PORTS] += bytes as u64;
    }

    fn flush(&mut self, now: Instant) {
        if let Some(nic) = self.only_nic() {
            return nic.flush(now);
        }
        for slot in &mut self.slots {
            if core::mem::take(&mut slot.behind) {
                slot.member.nic().flush(now);
            }
        }
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        if let Some(slot) = self.slots.first_mut() {
            slot.member.nic().missed(frames, now);
        }
    }
}

/// Frames of the switch that members have given back while the team asked for its own.
#[derive(Default)]
pub(super) struct CollectedTickets {
    sent: Vec<Ticket>,
    unsent: Vec<Ticket>,
}

impl CollectedTickets {
    /// With room for all frames that a switch can have lent out.
    pub(super) fn new() -> Self {
        let room = || Vec::with_capacity(PORTS * WINDOW);
        Self { sent: room(), unsent: room() }
    }
}

impl<M: TeamMember> Team<M> {
    /// The NIC of a team that is nothing but this NIC: there is nothing to choose, to tell or to look for.
    #[inline]
    pub(super) fn only_nic(&mut self) -> Option<&mut M::Nic> {
        match &mut *self.slots {
            [slot] if self.wire.is_none() && self.deaf.is_empty() => Some(slot.member.nic()),
            _ => None,
        }
    }

    /// Sends a frame whose route is not known, or that other members may hear as an echo. The frame itself stays where it is, to be passed
    /// on from there.
    #[inline(never)]
    fn put_otherwise(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        let port = ticket.source();
        let known = self.routes.recall(self.key, frame.head, port, &self.carriers);
        let (carrier, foreign) = known.unwrap_or_else(|| self.find_route(&frame, port, now));
        if foreign && let Some(wire) = &mut self.wire {
            wire.echoes.note(frame.head, frame.length, now);
        }
        let Some(slot) = self.slots.get_mut(usize::from(carrier)) else { return Put::Refused(ticket) };
        slot.behind = true;
        slot.member.nic().put(frame, ticket, now)
    }

    /// Finds out which member carries a frame, and whether its source is another address than that of its vNIC.
    fn find_route(&mut self, frame: &LentFrame<'_>, port: usize, now: Instant) -> (u8, bool) {
        let source = self.sources.as_mut().map(|sources| sources.note(frame, port, now));
        if let Some(FrameSource::New(vnic, (mac, vlan))) = source {
            self.tell(TeamEvent::Address { vnic, mac, vlan }, now);
        }
        if self.key == FrameKey::IpHash {
            self.sources.iter_mut().for_each(|sources| sources.note_ip(frame, port));
        }
        let carrier = self.carriers.get(self.key.bucket(frame, port));
        let own = self.vnics.iter().find(|vnic| usize::from(vnic.port) == port).map(|vnic| vnic.mac);
        let foreign = own != MacAddress::source_of(frame.head);
        // Else nobody would look at the source of the next one like it.
        if !matches!(source, Some(FrameSource::Crowded)) {
            self.routes.note(self.key, frame.head, port, (carrier, foreign));
        }
        (carrier, foreign)
    }

    /// Lets the members carry what the manager's table says.
    pub(super) fn take_over(&mut self, now: Instant) {
        let before = core::mem::replace(&mut self.key, self.recorder.manager().key());
        let mut kept = [0; MAX_MEMBERS];
        for (place, slot) in self.slots.iter().enumerate() {
            // No frame waits for the team's own ones.
            let own = self.wire.as_ref().map_or(0, |wire| wire.own.lent(place));
            kept[place] = slot.member.kept().saturating_sub(own);
        }
        self.carriers.follow(self.recorder.manager().table(), self.key != before, kept, now);
        self.routes.forget();
    }

    /// Lets held buckets go on whose time has come.
    pub(super) fn release(&mut self, now: Option<Instant>) {
        if self.carriers.release(now) {
            self.routes.forget();
        }
    }

    /// Takes back its own frames, which the switch does not know of: it may have no reason to ask for frames.
    pub(super) fn collect_own(&mut self, now: Instant) {
        if self.wire.as_ref().is_some_and(|wire| !wire.own.is_quiet()) {
            (0..self.slots.len()).for_each(|index| self.collect(index, now));
        }
    }

    /// True if members may give back frames of the team's own, or are to be given some, or if there are frames that they gave back then.
    fn has_own(&self) -> bool {
        let CollectedTickets { sent, unsent } = &self.collected;
        self.wire.as_ref().is_some_and(|wire| !wire.own.is_quiet()) || !sent.is_empty() || !unsent.is_empty()
    }

    #[inline(never)]
    fn reap_beside_own(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        let count = self.collected.sent.drain(..).map(&mut *done).count();
        count + (0..self.slots.len()).map(|index| self.reap_member(index, done, now)).sum::<usize>()
    }

    #[inline(never)]
    fn take_back_beside_own(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        let count = self.collected.unsent.drain(..).map(&mut *unsent).count();
        count + (0..self.slots.len()).map(|index| self.take_back_from(index, unsent)).sum::<usize>()
    }

    /// Takes back what a member has given back. It has more room then.
    pub(super) fn collect(&mut self, index: usize, now: Instant) {
        let mut collected = core::mem::take(&mut self.collected);
        _ = self.reap_member(index, &mut |ticket| collected.sent.push(ticket), now);
        _ = self.take_back_from(index, &mut |ticket| collected.unsent.push(ticket));
        self.collected = collected;
    }

    /// Takes back what a member has sent, but for the team's own, and lets it send what waits of that.
    fn reap_member(&mut self, index: usize, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        let Some(wire) = &mut self.wire else { return 0 };
        let (nic, mut count) = (self.slots[index].member.nic(), 0);
        _ = nic.reap(&mut |ticket| pass_on(ticket, (wire, index), done, &mut count), now);
        wire.own.send_waiting(nic, index, &mut wire.echoes, now);
        self.carriers.note_back(index, count);
        count
    }

    /// Takes back what it will not send, but for the team's own.
    fn take_back_from(&mut self, index: usize, unsent: &mut dyn FnMut(Ticket)) -> usize {
        let Some(wire) = &mut self.wire else { return 0 };
        let (nic, mut count) = (self.slots[index].member.nic(), 0);
        _ = nic.take_back(&mut |ticket| pass_on(ticket, (wire, index), unsent, &mut count));
        self.carriers.note_back(index, count);
        count
    }

    /// Looks at the last frames that a member has received: those for the team itself, and copies, go no further.
    #[inline(never)]
    fn review(&mut self, index: usize, outbox: &mut Outbox, count: usize, now: Instant) {
        let Some(member) = MemberId::new(index).filter(|_| count > 0) else { return };
        if self.deaf.contains(member) {
            self.unwanted += count as u64;
            outbox.review(count, |_| false);
            return;
        }
        let Some(wire) = &mut self.wire else { return };
        let slot = &mut self.slots[index];
        let (own, seen, eaten, heard) = (slot.member.mac(), &mut slot.seen, &mut slot.eaten, &mut slot.heard);
        outbox.review(count, |frame| {
            let what = wire.judge(&frame, member, own, now);
            match what {
                // What switches say to their neighbours does not show that there is anything behind them.
                WireFrame::Passed | WireFrame::Dropped => *eaten += u64::from(is_of_neighbour(frame.head)),
                WireFrame::Refused => *eaten += 1,
                WireFrame::Beacon(of, vlan) => {
                    heard[of.index()] |= 1 << (vlan % 8);
                    *eaten += 1;
                }
                WireFrame::Answer => (seen.answered, *eaten) = (true, *eaten + 1),
            }
            what == WireFrame::Passed
        });
    }
}

/// True for frames that a switch sends to its neighbours only: spanning tree, LLDP, and what Cisco's switches say
/// [IEEE 802.1Q table 8-1].
fn is_of_neighbour(head: &[u8]) -> bool {
    matches!(head, [0x01, 0x80, 0xc2, 0x00, 0x00, ..] | [0x01, 0x00, 0x0c, 0xcc, 0xcc, ..])
}

/// Passes a ticket on and counts it, unless it is of a frame of the team's own.
#[inline]
fn pass_on(
    ticket: Ticket,
    (wire, place): (&mut TeamWire, usize),
    to: &mut dyn FnMut(Ticket),
    count: &mut usize,
) {
    if let Some(ticket) = wire.own.take(ticket, place) {
        *count += 1;
        to(ticket);
    }
}

/// The name under which the member in this place lends frames.
#[expect(clippy::cast_possible_truncation, reason = "there are at most MAX_MEMBERS")]
fn lender(index: usize) -> u8 {
    index as u8
}
