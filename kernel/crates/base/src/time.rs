//! Time. Models receive the current time as a parameter and never read a clock.

use core::fmt;
use core::ops::{Add, Sub};
use serde::{Deserialize, Serialize};

/// A span of time, with a resolution of one nanosecond.
pub use core::time::Duration;

/// A point in time, in nanoseconds since Weir calibrated its clock. Only `kernel/src` reads a real clock; tests
/// choose the time themselves.
///
/// ```
/// use base::{Duration, Instant};
///
/// let sent = Instant(1_500_000_000);
/// let deadline = sent + Duration::from_millis(20);
/// assert!(deadline > sent);
/// assert_eq!(deadline - sent, Duration::from_millis(20));
/// assert_eq!(sent - deadline, Duration::ZERO, "differences saturate");
/// assert_eq!(deadline.to_string(), "1.520000");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Instant(pub u64);

impl Instant {
    /// The moment at which the clock started.
    pub const ZERO: Self = Self(0);

    /// Nanoseconds since the clock started.
    #[must_use]
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// The earliest of these, if there is any. Timers are asked so often that an iterator's price would show.
    ///
    /// ```
    /// use base::Instant;
    ///
    /// assert_eq!(Instant::earliest([None, Some(Instant(7)), Some(Instant(5))]), Some(Instant(5)));
    /// assert_eq!(Instant::earliest([None, None]), None);
    /// ```
    #[must_use]
    #[inline]
    pub fn earliest<const N: usize>(of: [Option<Self>; N]) -> Option<Self> {
        let mut earliest: Option<Self> = None;
        for at in &of {
            if let Some(at) = *at
                && earliest.is_none_or(|earliest| at < earliest)
            {
                earliest = Some(at);
            }
        }
        earliest
    }

    /// The time since `earlier`; zero when `earlier` is in fact later.
    #[must_use]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates after 584 years, at the largest value.
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    /// As [`Instant::saturating_since`].
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_since(earlier)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Instant {
    /// Seconds with six decimals, as in the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1000)
    }
}
