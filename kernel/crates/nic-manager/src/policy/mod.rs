//! How the frames of the vNICs are divided among the members: a module for each policy, behind one trait.
//!
//! A policy is a pure function: of what is known of the NICs and of the VMs, of the bucket that a frame is in, and of the
//! tables that the manager has made. It is asked at events; per frame only the table is read.

mod load;
mod order;
mod port;
mod spread;

pub(crate) use load::{is_hot, rebalance};

use crate::bucket::CarrierTable;
use crate::member_state::MemberState;
use crate::vnic::VnicState;
use crate::{MAX_MEMBERS, MAX_VNICS, MemberId, MemberRole, MemberSet, TeamPolicy};

/// What a policy decides on.
pub(crate) struct TeamView<'a> {
    /// The members, in the order of preference.
    pub(crate) members: &'a [MemberState],
    /// Those that can carry frames now.
    pub(crate) usable: MemberSet,
    /// The vNICs.
    pub(crate) vnics: &'a [VnicState],
    /// Who carries what at present.
    pub(crate) table: &'a CarrierTable,
    /// How many buckets each carries that stand for something.
    pub(crate) counts: [u64; MAX_MEMBERS],
    /// Homes that measured load has changed.
    pub(crate) moved: &'a [Option<MemberId>; MAX_VNICS + 1],
}

/// A policy.
pub(crate) trait CarrierPolicy {
    /// The member that carries a bucket when all of them work.
    fn home(&self, bucket: usize, view: &TeamView<'_>) -> Option<MemberId>;

    /// The usable one that carries it when its home does not: the one that has the fewest buckets for its speed.
    fn refuge(&self, _bucket: usize, view: &TeamView<'_>) -> Option<MemberId> {
        view.emptiest(view.in_use(), &view.counts)
    }
}

/// The policy of this name.
pub(crate) fn policy(of: TeamPolicy) -> &'static dyn CarrierPolicy {
    match of {
        TeamPolicy::Order => &order::OrderPolicy,
        TeamPolicy::Port => &port::PortPolicy,
        TeamPolicy::SourceMac | TeamPolicy::IpHash => &spread::SpreadPolicy,
        TeamPolicy::Load => &load::LoadPolicy,
    }
}

impl TeamView<'_> {
    /// The members that carry frames when all work.
    pub(crate) fn actives(&self) -> MemberSet {
        self.with_role(MemberRole::Active)
    }

    fn with_role(&self, role: MemberRole) -> MemberSet {
        let ids = (0..).map_while(MemberId::new);
        ids.zip(self.members).filter(|(_, member)| member.role == role).map(|(id, _)| id).collect()
    }

    /// The members that are to carry frames now: the active ones that can, and for each that cannot the next standby that can.
    pub(crate) fn in_use(&self) -> MemberSet {
        let actives = self.actives();
        let able = actives.intersection(self.usable);
        let standby = self.with_role(MemberRole::Standby).intersection(self.usable);
        // One at least, where no member is active.
        let missing = (actives.len() - able.len()).max(usize::from(able.is_empty()));
        able.union(standby.iter().take(missing).collect())
    }

    /// The speed of a member, in Mb/s, by which it is weighed.
    pub(crate) fn speed(&self, member: MemberId) -> u64 {
        self.members.get(member.index()).map_or(1, |member| u64::from(member.speed))
    }

    /// Of these members the one that has the fewest of so many for its speed; the first of equal ones.
    pub(crate) fn emptiest(&self, among: MemberSet, counts: &[u64; MAX_MEMBERS]) -> Option<MemberId> {
        let share = |member: MemberId| (counts[member.index()] + 1) * 1_000_000 / self.speed(member);
        among.iter().min_by_key(|member| (share(*member), member.index()))
    }

    /// The ports of the vNICs, those of the most important VMs first.
    pub(crate) fn by_importance(&self) -> heapless::Vec<usize, MAX_VNICS> {
        let mut order: heapless::Vec<(u8, u8), MAX_VNICS> =
            self.vnics.iter().map(|vnic| (u8::MAX - vnic.info.priority, vnic.info.port)).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, port)| usize::from(port)).collect()
    }
}
