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
use crate::manager::Manager;
use crate::member_state::MemberState;
use crate::vnic::VnicState;
use crate::{MAX_MEMBERS, MAX_VNICS, MemberId, MemberRole, MemberSet, TeamPolicy};

/// What a policy decides on.
pub(crate) struct TeamView<'a> {
    /// The members, in the order of preference.
    members: &'a [MemberState],
    /// Those that can carry frames now.
    pub(crate) usable: MemberSet,
    /// The members that carry frames when all work, and their speeds together.
    pub(crate) actives: MemberSet,
    pub(crate) speed: u64,
    /// Those that are to carry frames now: the active ones that can, and for each that cannot the next standby that can.
    pub(crate) in_use: MemberSet,
    /// The vNICs.
    pub(crate) vnics: &'a [VnicState],
    /// Who carries what at present, and how many buckets each carries that stand for something. They change as buckets move.
    pub(crate) table: CarrierTable,
    counts: [u64; MAX_MEMBERS],
    /// Homes that measured load has changed.
    pub(crate) moved: &'a [Option<MemberId>; MAX_VNICS + 1],
}

/// A policy.
pub(crate) trait CarrierPolicy {
    /// The member that carries a bucket when all of them work.
    fn home(&self, bucket: usize, view: &TeamView<'_>) -> Option<MemberId>;

    /// The usable one that carries it when its home does not: the one that has the fewest buckets for its speed.
    fn refuge(&self, _bucket: usize, view: &TeamView<'_>) -> Option<MemberId> {
        view.emptiest(view.in_use, &view.counts)
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

impl<'a> TeamView<'a> {
    /// What this manager knows.
    pub(crate) fn new(manager: &'a Manager) -> Self {
        let Manager { members, usable, vnics, table, moved, .. } = manager;
        let with_role = |role: MemberRole| -> MemberSet {
            let ids = (0..).map_while(MemberId::new).zip(members);
            ids.filter(|(_, member)| member.role == role).map(|(id, _)| id).collect()
        };
        let actives = with_role(MemberRole::Active);
        let able = actives.intersection(*usable);
        let standby = with_role(MemberRole::Standby).intersection(*usable);
        // One at least, where no member is active.
        let missing = (actives.len() - able.len()).max(usize::from(able.is_empty()));
        let in_use = able.union(standby.iter().take(missing).collect());
        let (table, counts) = (table.clone(), manager.counts());
        let view = Self { members, usable: *usable, actives, speed: 0, in_use, vnics, table, counts, moved };
        Self { speed: actives.iter().map(|member| view.speed(member)).sum(), ..view }
    }

    /// Lets a member carry this bucket, which stands for something.
    pub(crate) fn set(&mut self, bucket: usize, from: Option<MemberId>, to: Option<MemberId>) {
        from.into_iter().for_each(|member| self.counts[member.index()] -= 1);
        to.into_iter().for_each(|member| self.counts[member.index()] += 1);
        self.table.set(bucket, to);
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
