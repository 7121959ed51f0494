//! Who carries which bucket: the policy's answer, and what failback allows of it.

use crate::action::{MoveReason, TeamAction, TeamNote};
use crate::bucket::{BUCKETS, FrameKey};
use crate::load_meter::LONG;
use crate::manager::{Act, Manager, RuleChange};
use crate::policy::{self, CarrierPolicy, TeamView};
use crate::{
    FailbackMode, MAX_MEMBERS, MAX_VNICS, MemberFault, MemberId, MemberRole, MemberSet, TeamPolicy, VnicId,
};
use base::Instant;

/// A bucket's way from one member to another.
#[derive(Clone, Copy)]
pub(crate) struct BucketMove {
    bucket: usize,
    from: Option<MemberId>,
    to: Option<MemberId>,
    reason: MoveReason,
}

/// What has moved in one go.
#[derive(Default)]
struct MoveTally {
    /// Buckets that a member has lost, the first of those that got them, and why.
    left: [Option<(u16, Option<MemberId>, MemberFault)>; MAX_MEMBERS],
    /// Buckets that a member has back.
    home: [u16; MAX_MEMBERS],
    all: u16,
}

impl Manager {
    /// Buckets that stand for something: those of the vNICs' ports, in the order of their importance, or all.
    pub(crate) fn carried(&self) -> impl Iterator<Item = usize> + use<> {
        let by_port = self.key() == FrameKey::Port;
        let mut ports: heapless::Vec<(u8, u8), MAX_VNICS> = heapless::Vec::new();
        if by_port {
            ports.extend(self.vnics.iter().map(|vnic| (u8::MAX - vnic.info.priority, vnic.info.port)));
            ports.sort_unstable();
        }
        let rest = if by_port { 0..0 } else { 0..BUCKETS };
        ports.into_iter().map(|(_, port)| usize::from(port)).chain(rest)
    }

    /// Gives each bucket to the member that is to carry it, after such a change. What members have not sent that cannot
    /// any more, `died`, is taken back. `fresh` ones carry frames for the first time. Returns the members of which it has told.
    pub(crate) fn place(
        &mut self,
        change: RuleChange,
        (died, fresh): (MemberSet, MemberSet),
        now: Instant,
        act: Act<'_>,
    ) -> MemberSet {
        let policy = policy::policy(self.settings.policy);
        let mut moves = MoveTally::default();
        let mut changes: heapless::Vec<BucketMove, MAX_VNICS> = heapless::Vec::new();
        let (mut view, mut moved) = (TeamView::new(self), [false; BUCKETS]);
        for bucket in self.carried() {
            let from = view.table.get(bucket);
            let (to, reason) = self.carrier(policy, bucket, from, &view);
            if from == to {
                continue;
            }
            let first = reason == MoveReason::Home && to.is_some_and(|to| fresh.contains(to));
            let reason = match () {
                () if change == RuleChange::Policy => MoveReason::Rules,
                () if change == RuleChange::Speeds && reason == MoveReason::Home => MoveReason::Rules,
                () if first => MoveReason::First,
                () => reason,
            };
            view.set(bucket, from, to);
            let one = BucketMove { bucket, from, to, reason };
            moves.note(&one);
            if self.key() == FrameKey::Port {
                let _ = changes.push(one);
            }
            moved[bucket] = true;
        }
        self.table = view.table;
        if self.key() == FrameKey::SourceMac {
            self.notice_buckets(&moved, now);
        }
        if self.place_rest() || moves.all > 0 {
            act(TeamAction::Switch);
        }
        died.iter().for_each(|member| act(TeamAction::Retire(member)));
        self.listen(act);
        let told = moves.tell(self.settings.policy, change, act);
        changes.iter().for_each(|change| self.note_vnic_moved(change, now, act));
        told
    }

    /// The member for a bucket that `from` carries now, and why it is another one.
    fn carrier(
        &self,
        policy: &dyn CarrierPolicy,
        bucket: usize,
        from: Option<MemberId>,
        view: &TeamView<'_>,
    ) -> (Option<MemberId>, MoveReason) {
        let home = policy.home(bucket, view);
        let able = home.filter(|home| self.usable.contains(*home));
        let current = from.filter(|from| self.usable.contains(*from));
        let returns = able.filter(|home| self.returns(*home, from));
        let fault = from.and_then(|from| self.fault(from));
        let lost = fault.map_or(MoveReason::Home, MoveReason::Left);
        let why = if from.is_none() { MoveReason::First } else { lost };
        match (returns, current, able) {
            (Some(home), current, _) => (Some(home), if current.is_some() { MoveReason::Home } else { why }),
            (None, Some(current), _) => (Some(current), why),
            (None, None, Some(home)) => (Some(home), why),
            (None, None, None) => (policy.refuge(bucket, view), why),
        }
    }

    /// True if what is at home at this member, which can carry it, goes back to it from the one that carries it.
    fn returns(&self, home: MemberId, from: Option<MemberId>) -> bool {
        let state = |member: MemberId| self.members.get(member.index());
        let better = || match from.and_then(state).zip(state(home)) {
            Some((from, home)) => from.role != MemberRole::Active || home.speed > from.speed,
            None => true,
        };
        // By order, what comes first is the best.
        let better = || self.settings.policy == TeamPolicy::Order || better();
        self.returned.contains(home) || self.settings.failback == FailbackMode::Better && better()
    }

    /// Buckets that stand for nothing, such as ports without a vNIC, are carried by whoever can. True if that has changed.
    fn place_rest(&mut self) -> bool {
        if self.key() != FrameKey::Port {
            return false;
        }
        let first = self.usable.iter().next();
        let used = self.vnics.iter().fold(0_u32, |used, vnic| used | 1 << (vnic.info.port % 32));
        let mut changed = false;
        for bucket in (0..BUCKETS).filter(|bucket| *bucket >= 32 || used >> bucket & 1 == 0) {
            changed |= self.table.get(bucket) != first;
            self.table.set(bucket, first);
        }
        changed
    }

    /// Group frames are received by the first of the members that carry frames; by whichever they come in at where switches take
    /// the members for one line, and send each frame to one of them.
    fn listen(&mut self, act: Act<'_>) {
        let (counts, in_use) = (self.counts(), TeamView::new(self).in_use);
        let carries = self.usable.iter().find(|member| counts[member.index()] > 0);
        let first = carries.or(in_use.iter().next()).or(self.listener);
        let listener = first.filter(|_| self.key() != FrameKey::IpHash);
        if core::mem::replace(&mut self.listener, listener) != listener {
            act(TeamAction::Listen(listener));
        }
    }

    fn note_vnic_moved(&mut self, change: &BucketMove, now: Instant, act: Act<'_>) {
        let found = self.vnics.iter().position(|vnic| usize::from(vnic.info.port) == change.bucket);
        let Some(vnic) = found.and_then(|index| u8::try_from(index).ok()).map(VnicId) else { return };
        let BucketMove { from, to, reason, .. } = *change;
        if from.is_some() && reason != MoveReason::First {
            act(TeamAction::Say(TeamNote::Moved { vnic, from, to, reason }));
        }
        self.schedule_notices(vnic, now);
    }

    /// Moves a vNIC away from a member that has been loaded for long, if that helps.
    pub(crate) fn relieve(&mut self, now: Instant, act: Act<'_>) {
        for (index, state) in self.members.iter().enumerate() {
            let hot = policy::is_hot(self.load.rates[index], state.speed);
            self.load.hot[index] = if hot { self.load.hot[index].saturating_add(1) } else { 0 };
        }
        let ids = (0..self.members.len()).filter_map(MemberId::new);
        let longest = ids.into_iter().find(|id| self.load.hot[id.index()] >= LONG);
        let Some(hot) = longest.filter(|_| self.settings.policy == TeamPolicy::Load) else { return };
        // Whatever comes of it, the next look is as far away.
        self.load.hot[hot.index()] = 0;
        let Some((port, to)) = policy::rebalance(hot, &TeamView::new(self)) else { return };
        self.moved.get_mut(port).into_iter().for_each(|home| *home = Some(to));
        self.returned = self.returned.with(to);
        self.table.set(port, Some(to));
        act(TeamAction::Switch);
        let change = BucketMove { bucket: port, from: Some(hot), to: Some(to), reason: MoveReason::Load };
        self.listen(act);
        self.note_vnic_moved(&change, now, act);
    }
}

impl MoveTally {
    fn note(&mut self, change: &BucketMove) {
        self.all += 1;
        match (change.reason, change.from, change.to) {
            (MoveReason::Left(fault), Some(from), to) => {
                let left = self.left[from.index()].get_or_insert((0, to, fault));
                left.0 += 1;
            }
            (MoveReason::Home, _, Some(to)) => self.home[to.index()] += 1,
            _ => {}
        }
    }

    /// Tells what has moved. Returns the members of which it has told.
    fn tell(&self, policy: TeamPolicy, change: RuleChange, act: Act<'_>) -> MemberSet {
        let mut told = MemberSet::EMPTY;
        if change == RuleChange::Policy {
            act(TeamAction::Say(TeamNote::Policy { policy, moved: self.all }));
        }
        for from in (0..MAX_MEMBERS).filter_map(MemberId::new) {
            if let Some((moved, to, cause)) = self.left[from.index()] {
                act(TeamAction::Say(TeamNote::Failover { from, to, cause, moved }));
                told = told.with(from);
            }
        }
        for member in (0..MAX_MEMBERS).filter_map(MemberId::new) {
            let moved = self.home[member.index()];
            if moved > 0 {
                act(TeamAction::Say(TeamNote::Failback { member, moved }));
                told = told.with(member);
            }
        }
        told
    }
}
