//! By source address, or by IP addresses: all buckets are spread over the members in proportion to their speeds.

use super::{CarrierPolicy, TeamView};
use crate::MemberId;
use crate::bucket::BUCKETS;

/// The policies `mac` and `ip-hash`, which differ in what of a frame decides about its bucket.
pub(super) struct SpreadPolicy;

impl CarrierPolicy for SpreadPolicy {
    fn home(&self, bucket: usize, view: &TeamView<'_>) -> Option<MemberId> {
        let mut left = bucket as u64 * view.speed / BUCKETS as u64;
        view.actives.iter().find(|member| {
            let speed = view.speed(*member);
            let here = left < speed;
            left = left.saturating_sub(speed);
            here
        })
    }
}
