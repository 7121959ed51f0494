//! A clock that only the test advances.

use alloc::rc::Rc;
use base::{Instant, time::Duration};
use core::cell::Cell;

/// A clock whose time all its clones share.
///
/// ```
/// use base::{Instant, time::Duration};
/// use testkit::VirtualClock;
///
/// let clock = VirtualClock::new();
/// let driver_clock = clock.clone();
/// clock.advance(Duration::from_micros(50));
/// assert_eq!(driver_clock.now(), Instant(50_000));
/// ```
#[derive(Clone, Debug, Default)]
pub struct VirtualClock {
    nanos: Rc<Cell<u64>>,
}

impl VirtualClock {
    /// A clock at [`Instant::ZERO`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(self.nanos.get())
    }

    /// Advances the clock and returns the new time.
    pub fn advance(&self, by: Duration) -> Instant {
        let now = self.now() + by;
        self.nanos.set(now.as_nanos());
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_one_time() {
        let clock = VirtualClock::new();
        let other = clock.clone();
        clock.advance(Duration::from_millis(3));
        assert_eq!(other.now(), Instant(3_000_000));
    }
}
