//! What passed a team in the last second, from samples that may be shorter.

use crate::{MAX_MEMBERS, MAX_VNICS, MemberSample, TeamSample};
use base::Instant;
use base::time::Duration;
use serde::{Deserialize, Serialize};

const SECOND: Duration = Duration::from_secs(1);

/// Most bytes a second that anything can be said to send: whoever counts more has counted wrong.
pub(crate) const MOST: u64 = 1 << 40;

/// How long a member must be loaded until something is done about it, in seconds in a row.
pub(crate) const LONG: u8 = 30;

/// Adds samples up to seconds.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct LoadMeter {
    since: Instant,
    members: [MemberSample; MAX_MEMBERS],
    vnics: [u64; MAX_VNICS],
    /// Bytes that each member has sent in the last second.
    pub(crate) rates: [u64; MAX_MEMBERS],
    /// Seconds in a row for which each member has been hot.
    pub(crate) hot: [u8; MAX_MEMBERS],
}

/// A second, or a little more: what is said of it is per second.
pub(crate) struct SampledSecond {
    pub(crate) members: [MemberSample; MAX_MEMBERS],
    pub(crate) vnics: [u64; MAX_VNICS],
}

impl LoadMeter {
    /// Takes note of a sample. Returns the second that it ends, if it ends one.
    pub(crate) fn note(&mut self, sample: &TeamSample, now: Instant) -> Option<SampledSecond> {
        for (sum, seen) in self.members.iter_mut().zip(&sample.members) {
            sum.sent = sum.sent.saturating_add(seen.sent);
            sum.received = sum.received.saturating_add(seen.received);
            sum.frames = sum.frames.saturating_add(seen.frames);
            sum.errors = sum.errors.saturating_add(seen.errors);
            sum.longest_wait = sum.longest_wait.max(seen.longest_wait);
        }
        for (sum, bytes) in self.vnics.iter_mut().zip(&sample.vnics) {
            *sum = sum.saturating_add(*bytes);
        }
        let time = now.saturating_since(self.since);
        if time < SECOND {
            return None;
        }
        let per_second = |bytes: u64| {
            let rate = u128::from(bytes) * SECOND.as_nanos() / time.as_nanos();
            u64::try_from(rate).map_or(MOST, |rate| rate.min(MOST))
        };
        let mut second = SampledSecond { members: self.members, vnics: self.vnics.map(per_second) };
        for (member, rate) in second.members.iter_mut().zip(&mut self.rates) {
            (member.sent, member.received) = (per_second(member.sent), per_second(member.received));
            *rate = member.sent;
        }
        (self.since, self.members, self.vnics) = (now, Default::default(), [0; MAX_VNICS]);
        Some(second)
    }
}
