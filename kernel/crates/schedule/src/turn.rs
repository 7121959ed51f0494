//! How long a guest keeps its core when others wake.
//!
//! A guest that wakes is far behind the one that runs, and would take the core from it at once. What the change costs is
//! charged to the guest that comes: half of it to the one that was interrupted, when it comes back. So a guest that halts
//! again at once, and wakes every few microseconds, would make the others pay for little else than changes.
//! Therefore wakes do not end two turns in succession before they have lasted for [`UNDISTURBED`].

use crate::SLICE;
use base::{Duration, Instant};

/// How long a turn lasts at least that follows a shorter one, unless the guest itself ends it. No wake waits longer for it.
pub const UNDISTURBED: Duration = Duration::from_micros(250);

/// One stay of a guest on its core.
///
/// ```
/// use base::{Duration, Instant};
/// use schedule::{GuestTurn, UNDISTURBED};
///
/// let micros = |micros| Instant::ZERO + Duration::from_micros(micros);
/// // A guest has run for long, and one that is far behind wakes: it comes at once, and halts.
/// let long = GuestTurn::default().next(micros(0)).ended(micros(900));
/// assert_eq!(long.next(micros(900)).limit(micros(920), Duration::ZERO), micros(920));
/// let short = long.next(micros(900)).ended(micros(910));
/// // When it wakes again, it waits.
/// let kept = short.next(micros(910));
/// assert_eq!(kept.limit(micros(920), Duration::ZERO), micros(910) + UNDISTURBED);
/// assert_eq!(kept.wake(micros(930)), micros(910) + UNDISTURBED);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct GuestTurn {
    began: Instant,
    /// Before this instant, no guest that wakes ends it.
    kept_until: Instant,
    /// It lasted less than [`UNDISTURBED`].
    short: bool,
}

impl GuestTurn {
    /// The turn after this one.
    #[must_use]
    pub fn next(self, now: Instant) -> Self {
        Self { began: now, kept_until: if self.short { now + UNDISTURBED } else { now }, short: false }
    }

    /// This turn, which is over.
    #[must_use]
    pub fn ended(self, now: Instant) -> Self {
        Self { short: now < self.began + UNDISTURBED, ..self }
    }

    /// When the guest must leave the core to another: at the end of its slice, or when it is too far ahead. `lead` is what
    /// [`RunQueue::lead`](crate::RunQueue::lead) says now.
    #[must_use]
    pub fn limit(&self, now: Instant, lead: Duration) -> Instant {
        (self.began + SLICE).min((now + lead).max(self.kept_until))
    }

    /// When the guest must exit at the latest while another waits for the core: that one may have woken.
    #[must_use]
    pub fn exit_by(&self, now: Instant) -> Instant {
        if now < self.kept_until { self.kept_until } else { self.began + SLICE }
    }

    /// When to look at another guest, which sleeps until `due`: it would not run before.
    #[must_use]
    pub fn wake(&self, due: Instant) -> Instant {
        due.max(self.kept_until)
    }
}
