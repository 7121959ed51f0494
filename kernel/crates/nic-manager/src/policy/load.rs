//! By load: each vNIC has one member, as by port, until that is loaded for long and another one would have more room.

use super::port::PortPolicy;
use super::{CarrierPolicy, TeamView};
use crate::MemberId;

/// The policy `load`.
pub(super) struct LoadPolicy;

/// A member is hot when it sends at so many hundredths of its speed.
const HOT: u64 = 75;

/// A move must leave the busier of the two members with at most so many hundredths of what the hot one had before.
const BETTER: u64 = 90;

impl CarrierPolicy for LoadPolicy {
    fn home(&self, bucket: usize, view: &TeamView<'_>) -> Option<MemberId> {
        // A standby gives back what it was given in the place of others.
        let moved = view.moved.get(bucket).copied().flatten();
        let lasting = |to: &MemberId| view.actives.contains(*to) || view.in_use.contains(*to);
        moved.filter(lasting).or_else(|| PortPolicy.home(bucket, view))
    }

    /// The one that has the least to send for its speed; of equal ones that which has the fewest vNICs.
    fn refuge(&self, _bucket: usize, view: &TeamView<'_>) -> Option<MemberId> {
        let load = |member: &MemberId| (view.load(*member), view.counts[member.index()], member.index());
        view.in_use.iter().min_by_key(load)
    }
}

impl TeamView<'_> {
    /// How much of its speed a member sends, in thousandths, by the rates of the vNICs that it carries.
    fn load(&self, member: MemberId) -> u64 {
        self.with(member, self.rate(member))
    }

    /// Bytes a second of the vNICs that a member carries.
    fn rate(&self, member: MemberId) -> u64 {
        let carries = |port: u8| self.table.get(port.into()) == Some(member);
        self.vnics.iter().filter(|vnic| carries(vnic.info.port)).map(|vnic| vnic.rate).sum()
    }

    /// How much of a member's speed so many bytes a second are, in thousandths: 1 Mb/s is 125,000 bytes a second.
    fn with(&self, member: MemberId, rate: u64) -> u64 {
        rate / (125 * self.speed(member))
    }
}

/// True if a member sends at so much of its speed that it is hot.
pub(crate) fn is_hot(rate: u64, speed: u32) -> bool {
    rate >= u64::from(speed) * 1250 * HOT
}

/// The vNIC's port that is best moved away from a hot member, and where to; `None` if no move makes things better by enough. VMs
/// that matter less move first: those that matter more keep the member that they have.
pub(crate) fn rebalance(hot: MemberId, view: &TeamView<'_>) -> Option<(usize, MemberId)> {
    let before = view.load(hot);
    let carried = |port: &usize| view.table.get(*port) == Some(hot);
    let others = view.in_use.without(hot);
    let rate_of = |port: usize| {
        let found = view.vnics.iter().find(|vnic| usize::from(vnic.info.port) == port);
        found.map_or((0, 0), |vnic| (vnic.info.priority, vnic.rate))
    };
    let moves = view.by_importance().into_iter().filter(carried).flat_map(|port| {
        let (priority, rate) = rate_of(port);
        let left = view.with(hot, view.rate(hot) - rate);
        others.iter().map(move |other| {
            let after = left.max(view.with(other, view.rate(other) + rate));
            (priority, after, port, other)
        })
    });
    let good = moves.filter(|(_, after, ..)| *after * 100 <= before * BETTER);
    good.min_by_key(|(priority, after, port, other)| (*priority, *after, *port, other.index()))
        .map(|(_, _, port, other)| (port, other))
}
