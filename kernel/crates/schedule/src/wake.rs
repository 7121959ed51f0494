//! When one core interrupts another.

use base::{Duration, Instant};
use core::sync::atomic::{AtomicU64, Ordering, fence};

/// For how long a core that runs guests is not interrupted again for frames after it has looked for some.
pub const PAUSE: Duration = Duration::from_micros(50);

/// A time by which a core must look, which others set. They interrupt it only if it would not come by then anyway: one
/// that sets the time and takes it back, on and on, causes one interrupt.
///
/// ```
/// use base::Instant;
/// use schedule::Alarm;
///
/// let alarm = Alarm::new(u64::MAX);
/// assert!(alarm.set(20), "the core sleeps for ever");
/// assert_eq!(alarm.arm(Instant(0)), 20);
/// assert!(!alarm.set(u64::MAX));
/// assert_eq!(alarm.arm(Instant(5)), 20);
/// assert!(!alarm.set(30), "the core comes at 20");
/// assert!(alarm.set(10));
/// assert_eq!(alarm.arm(Instant(20)), 10);
/// ```
#[derive(Debug)]
pub struct Alarm {
    /// The time, in nanoseconds.
    wanted: AtomicU64,
    /// By when the core comes, and looks at `wanted` again.
    armed: AtomicU64,
}

impl Alarm {
    /// One that is set to this time, which the core knows.
    #[must_use]
    pub const fn new(at: u64) -> Self {
        Self { wanted: AtomicU64::new(at), armed: AtomicU64::new(at) }
    }

    /// Sets the time; true if the core must be interrupted.
    #[must_use]
    #[inline]
    pub fn set(&self, at: u64) -> bool {
        self.wanted.store(at, Ordering::Release);
        // Either this sees what the core has armed last, or the core sees the new time.
        fence(Ordering::SeqCst);
        at < self.armed.load(Ordering::Relaxed)
    }

    /// The time as it is now. The core may come later, and then looks at it first.
    #[must_use]
    #[inline]
    pub fn at(&self) -> u64 {
        self.wanted.load(Ordering::Acquire)
    }

    /// For the core: the time by which it comes from now on. It keeps one that it has promised, since whoever takes a time
    /// back may set it again.
    #[must_use]
    #[inline]
    pub fn arm(&self, now: Instant) -> u64 {
        let promised = Some(self.armed.load(Ordering::Relaxed)).filter(|at| *at > now.as_nanos());
        loop {
            let at = promised.unwrap_or(u64::MAX).min(self.at());
            self.armed.store(at, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if self.at() >= at {
                return at;
            }
        }
    }
}

/// Whether a core is interrupted for frames that other cores have moved. Each of them would cost the guests that it runs a
/// trip through Weir, at nobody's expense. So it looks by itself a while after it has looked, and is left alone until then.
///
/// A sender first leaves its note, then asks [`interrupts`](Self::interrupts). The core first calls [`look`](Self::look),
/// then looks for notes, and comes again by [`rests_until`](Self::rests_until).
///
/// ```
/// use base::Instant;
/// use schedule::{PAUSE, Quiet};
///
/// let quiet = Quiet::new();
/// let now = Instant(1000);
/// assert!(quiet.interrupts(now));
/// quiet.rest(now);
/// assert!(!quiet.interrupts(now + PAUSE / 2), "the core looks by itself");
/// quiet.look(now + PAUSE / 2);
/// assert_eq!(quiet.rests_until(), Some(now + PAUSE));
/// quiet.look(now + PAUSE);
/// assert_eq!(quiet.rests_until(), None);
/// assert!(quiet.interrupts(now), "whatever the sender's clock says");
/// ```
#[derive(Debug, Default)]
pub struct Quiet {
    /// Until then the core is not interrupted, in nanoseconds; zero if it may be at any time.
    until: AtomicU64,
}

impl Quiet {
    /// A core that may be interrupted.
    #[must_use]
    pub const fn new() -> Self {
        Self { until: AtomicU64::new(0) }
    }

    /// For the sender of a note: true if the core must be interrupted for it.
    #[must_use]
    #[inline]
    pub fn interrupts(&self, now: Instant) -> bool {
        // Either this sees that the core does not rest any more, or the core sees the note.
        fence(Ordering::SeqCst);
        now.as_nanos() >= self.until.load(Ordering::Relaxed)
    }

    /// For the core: it is about to look for notes. Ends its rest if it is time.
    #[inline]
    pub fn look(&self, now: Instant) {
        if self.rests_until().is_some_and(|until| until <= now) {
            self.stay_awake();
        }
    }

    /// For the core, which has found notes: it rests now.
    #[inline]
    pub fn rest(&self, now: Instant) {
        self.until.store((now + PAUSE).as_nanos(), Ordering::Relaxed);
    }

    /// For the core: it has no guest to run, which interrupts would disturb. It must then look for notes.
    #[inline]
    pub fn stay_awake(&self) {
        if self.rests_until().is_some() {
            self.until.store(0, Ordering::Relaxed);
            fence(Ordering::SeqCst);
        }
    }

    /// For the core: when it must look again, if it rests.
    #[must_use]
    #[inline]
    pub fn rests_until(&self) -> Option<Instant> {
        Some(self.until.load(Ordering::Relaxed)).filter(|until| *until != 0).map(Instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_is_set_and_taken_back_interrupts_once_until_it_comes() {
        let alarm = Alarm::new(u64::MAX);
        let mut interrupts = 0;
        for now in (0..20_000).step_by(10) {
            for at in [now + 1000, u64::MAX] {
                if alarm.set(at) {
                    interrupts += 1;
                }
                // It looks much more often than it must.
                assert!(alarm.arm(Instant(now)) > now);
            }
        }
        assert!((1..=20).contains(&interrupts), "{interrupts} interrupts in 20 periods");
    }

    #[test]
    fn no_time_is_lost_whatever_the_order_of_the_accesses() {
        // The sender's accesses are two: it stores, and compares. Those of the core that matter are three: it loads, stores
        // what it has promised, and looks again.
        for stored in 0..3 {
            for compared in stored..=3 {
                let (mut wanted, mut armed, mut found) = (u64::MAX, u64::MAX, 0);
                let mut interrupted = false;
                for step in 0..=3 {
                    if step == stored {
                        wanted = 20;
                    }
                    if step == compared {
                        interrupted = wanted < armed;
                    }
                    match step {
                        0 => found = wanted,
                        1 => armed = found,
                        2 if wanted < found => armed = wanted,
                        _ => {}
                    }
                }
                assert!(interrupted || armed == 20, "stored before {stored}, compared before {compared}");
            }
        }
    }
}
