//! A team as a port of a switch.

use crate::{Ingress, choose};
use base::{Capabilities, Duration, Instant, LentFrame, NicCondition, NicInfo, Outbox, Port, Put, Ticket};

/// A physical NIC that is a member of a team.
pub trait TeamMember {
    /// Its driver.
    type Nic: Port;

    /// Its driver.
    fn nic(&mut self) -> &mut Self::Nic;

    /// What is known of it now.
    fn info(&self) -> NicInfo;

    /// Looks after it: its reset, its link, what it should have sent. It never waits. Returns when that is due again.
    fn check(&mut self, now: Instant) -> Instant;

    /// True until it works or has failed for the first time.
    fn is_starting(&self) -> bool {
        self.info().condition == NicCondition::Starting
    }
}

/// Looks after NICs until none is starting any more, for a limited time. For the boot, when there is nothing else to do.
pub fn await_start<M: TeamMember>(members: &mut [M], limit: Duration, clock: impl Fn() -> Instant) {
    let end = clock() + limit;
    while members.iter().any(M::is_starting) && clock() < end {
        for member in members.iter_mut().filter(|member| member.is_starting()) {
            member.check(clock());
        }
        core::hint::spin_loop();
    }
}

/// A team with one member.
pub struct Team<M> {
    member: M,
    /// What was known of the member when somebody last asked what the team can carry.
    info: NicInfo,
    next_check: Instant,
    /// The link state that was passed on last.
    link: bool,
}

impl<M: TeamMember> Team<M> {
    /// A team with this member. Whoever depends on its link takes it as up until [`attend`](Self::attend) tells otherwise.
    #[must_use]
    pub fn new(member: M) -> Self {
        Self { member, info: NicInfo::STARTING, next_check: Instant::ZERO, link: true }
    }

    /// The member.
    #[must_use]
    pub fn member(&self) -> &M {
        &self.member
    }

    /// The member, for what concerns the NIC alone.
    pub fn member_mut(&mut self) -> &mut M {
        &mut self.member
    }

    /// Looks after the member when it is time. Returns whether the team has a link if that has changed since the last call.
    pub fn attend(&mut self, now: Instant) -> Option<bool> {
        if now >= self.next_check {
            self.next_check = self.member.check(now);
        }
        let up = self.member.info().can_send();
        (core::mem::replace(&mut self.link, up) != up).then_some(up)
    }

    /// When [`attend`](Self::attend) is due.
    #[must_use]
    pub fn next_check(&self) -> Instant {
        self.next_check
    }

    /// The member that is to carry a frame; `None` while none can.
    fn choose(&mut self, frame: &LentFrame<'_>, ticket: &Ticket) -> Option<&mut M> {
        let place = choose(core::slice::from_ref(&self.info), Ingress::of(frame, ticket))?;
        core::slice::from_mut(&mut self.member).get_mut(place)
    }
}

impl<M: TeamMember> Port for Team<M> {
    /// That is asked before each run of offers, so the choice for each of them is made on what is known then.
    fn capabilities(&mut self) -> Capabilities {
        self.info = self.member.info();
        Capabilities { link_up: self.info.can_send(), ..self.member.nic().capabilities() }
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        self.member.nic().fetch(into, budget, now)
    }

    fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        self.member.nic().settle(outbox, now);
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        match self.choose(&frame, &ticket) {
            Some(member) => member.nic().put(frame, ticket, now),
            None => Put::Refused(ticket),
        }
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) {
        self.member.nic().reap(done, now);
    }

    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) {
        self.member.nic().take_back(unsent);
    }

    fn flush(&mut self, now: Instant) {
        self.member.nic().flush(now);
    }

    fn missed(&mut self, frames: usize, now: Instant) {
        self.member.nic().missed(frames, now);
    }
}
