//! What the operator has been told of a state, so that one that changes all the time does not fill his log.

use base::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// He is told of no further change for so long.
const SPACING: Duration = Duration::from_secs(1);

/// The state that he was told of last, and when.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ToldState {
    told: bool,
    at: Option<Instant>,
}

impl ToldState {
    /// True if he is to be told now that this is the state.
    pub(crate) fn is_news(&mut self, state: bool, now: Instant) -> bool {
        let is_news = state != self.told && self.at.is_none_or(|at| now >= at + SPACING);
        if is_news {
            (self.told, self.at) = (state, Some(now));
        }
        is_news
    }
}
