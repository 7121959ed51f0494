//! Members of a team, as their team sees them.

use crate::{MAX_MEMBERS, MemberId, MemberSample, MemberSet};
use base::{Duration, Instant, LinkStatus, MacAddress, NicCondition, NicInfo, Port, RetiredFrames};

/// A physical NIC that is a member of a team.
pub trait TeamMember {
    /// Its driver.
    type Nic: Port;

    /// Its driver.
    fn nic(&mut self) -> &mut Self::Nic;

    /// What is known of it now.
    fn info(&self) -> NicInfo;

    /// Its own address.
    fn mac(&self) -> MacAddress;

    /// How many frames its driver has kept and not given back yet, sent or not.
    fn kept(&self) -> usize;

    /// Looks after it: its reset, its link, what it should have sent. It never waits. Returns when that is due again.
    fn check(&mut self, now: Instant) -> Instant;

    /// Stops its transmitter, and lets it give back what it has not sent. It is reset in the background.
    fn retire(&mut self, now: Instant) -> RetiredFrames;

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

/// A member, and what the team remembers of it.
pub(super) struct TeamSlot<M> {
    pub(super) member: M,
    pub(super) next_check: Instant,
    /// It was offered frames since it was last told that this was all.
    pub(super) behind: bool,
    /// What the manager knows.
    pub(super) told: (NicCondition, LinkStatus),
    pub(super) stalled: bool,
    /// Counters at the last sample, and what was seen since.
    pub(super) before: NicInfo,
    pub(super) seen: MemberSample,
    /// The VLANs in which it has heard each member in this round, a bit for each.
    pub(super) heard: [u8; MAX_MEMBERS],
    /// Frames that it has received since, and that were for the team itself.
    pub(super) eaten: u64,
    pub(super) retired: RetiredFrames,
}

impl<M> TeamSlot<M> {
    /// A member of which nothing is known.
    pub(super) fn new(member: M) -> Self {
        Self {
            member,
            next_check: Instant::ZERO,
            behind: false,
            told: (NicCondition::Starting, LinkStatus::DOWN),
            stalled: false,
            before: NicInfo::STARTING,
            seen: MemberSample::default(),
            heard: [0; MAX_MEMBERS],
            eaten: 0,
            retired: RetiredFrames::default(),
        }
    }

    /// The members that it has heard in each of so many VLANs. Another round begins.
    pub(super) fn heard_by_all(&mut self, vlans: usize) -> MemberSet {
        let all = (0..vlans).fold(0, |all, vlan| all | 1_u8 << (vlan % 8));
        let heard = core::mem::take(&mut self.heard);
        let by_all = (0..).map_while(MemberId::new).zip(heard).filter(|(_, heard)| all != 0 && *heard == all);
        by_all.map(|(id, _)| id).collect()
    }
}
