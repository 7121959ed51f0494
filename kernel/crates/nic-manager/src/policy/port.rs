//! By port: each vNIC has one member, of which a faster one has more. Those of important VMs choose first, and so get the
//! faster ones.

use super::{CarrierPolicy, TeamView};
use crate::{MAX_MEMBERS, MemberId};

/// The policy `port`.
pub(super) struct PortPolicy;

impl CarrierPolicy for PortPolicy {
    /// The vNICs choose in turn, and each takes the member that has the fewest so far for its speed (the method of D'Hondt). So a
    /// vNIC's home does not depend on who works, nor on what was before.
    fn home(&self, bucket: usize, view: &TeamView<'_>) -> Option<MemberId> {
        let (actives, mut counts) = (view.actives, [0; MAX_MEMBERS]);
        for port in view.by_importance() {
            let member = view.emptiest(actives, &counts)?;
            if port == bucket {
                return Some(member);
            }
            counts[member.index()] += 1;
        }
        actives.iter().next()
    }
}
