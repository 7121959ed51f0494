//! What a team has to tell the operator.

use crate::{MemberFault, TeamNote};
use base::{Instant, RetiredFrames};

/// What the operator is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TeamReport {
    /// When it was found out.
    pub at: Instant,
    /// What it is.
    pub note: TeamNote,
    /// Frames of the member that was left, if one was.
    pub retired: RetiredFrames,
    /// When its frames had found their way by others, and how many were dropped meanwhile, once that is known.
    pub done: Option<(Instant, u64)>,
}

impl TeamReport {
    /// True if the operator should look at it, who has not caused it.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        match self.note {
            TeamNote::Failover { cause: fault, .. } | TeamNote::Member { fault: Some(fault), .. } => {
                !matches!(fault, MemberFault::Admin | MemberFault::Settling | MemberFault::Manual)
            }
            TeamNote::BeaconLost { .. } | TeamNote::Undecided => true,
            _ => false,
        }
    }
}
