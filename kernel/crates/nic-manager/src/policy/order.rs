//! By order: everything goes by the first member that can, as the configuration lists them.

use super::{CarrierPolicy, TeamView};
use crate::MemberId;

/// The policy `order`.
pub(super) struct OrderPolicy;

impl CarrierPolicy for OrderPolicy {
    fn home(&self, _bucket: usize, view: &TeamView<'_>) -> Option<MemberId> {
        let actives = view.actives;
        actives.intersection(view.usable).iter().next().or_else(|| actives.iter().next())
    }

    fn refuge(&self, _bucket: usize, view: &TeamView<'_>) -> Option<MemberId> {
        let actives = view.actives.intersection(view.usable);
        actives.iter().next().or_else(|| view.usable.iter().next())
    }
}
