//! Whether and when a guest that has ended is started again.

use base::Duration;

/// Wait before the first restart after a crash; it doubles with each that follows.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait before a restart.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A guest that ran so long is sound again: the next wait is the first.
pub const SOUND_AFTER: Duration = Duration::from_secs(60);
/// A guest that resets itself earlier than this is counted as one that crashes: it may do so for ever.
pub const SHORTEST_RUN: Duration = Duration::from_secs(1);

/// What the configuration says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// A guest that crashed stays as it is.
    Never,
    /// A guest that crashed is started again, after a wait.
    OnCrash,
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It powered itself off.
    PowerOff,
    /// It asked for a reset.
    Reset,
    /// It could not go on.
    Crash,
    /// Somebody cut its power.
    Operator,
}

/// Counts crashes of one guest that follow each other closely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    crashes: u32,
}

impl BackOff {
    /// How long to wait before the guest is started again; `None` when it stays stopped. `ran` is how long it
    /// had run since its last start.
    pub fn after(&mut self, ending: Ending, policy: Policy, ran: Duration) -> Option<Duration> {
        if ran >= SOUND_AFTER {
            self.crashes = 0;
        }
        match ending {
            Ending::PowerOff | Ending::Operator => {
                self.crashes = 0;
                None
            }
            Ending::Reset if ran >= SHORTEST_RUN => Some(Duration::ZERO),
            Ending::Crash if policy == Policy::Never => None,
            Ending::Reset | Ending::Crash => {
                let wait = FIRST_WAIT.saturating_mul(1 << self.crashes.min(16)).min(LONGEST_WAIT);
                self.crashes = self.crashes.saturating_add(1);
                Some(wait)
            }
        }
    }

    /// Crashes in a row.
    #[must_use]
    pub fn crashes(&self) -> u32 {
        self.crashes
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const SHORT: Duration = Duration::from_millis(10);

    #[test]
    fn waits_double_up_to_the_longest_and_start_anew_after_a_sound_run() {
        let mut back_off = BackOff::default();
        let mut wait = |ran| back_off.after(Ending::Crash, Policy::OnCrash, ran).unwrap().as_secs();
        let waits: Vec<u64> = (0..8).map(|_| wait(SHORT)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait(SOUND_AFTER), 1);
        assert_eq!(wait(SHORT), 2);
    }

    #[test]
    fn waits_stay_bounded_for_ever() {
        let mut back_off = BackOff { crashes: u32::MAX };
        assert_eq!(back_off.after(Ending::Crash, Policy::OnCrash, SHORT), Some(LONGEST_WAIT));
        assert_eq!(back_off.crashes(), u32::MAX);
    }

    #[test]
    fn a_reset_is_done_at_once_unless_it_comes_too_soon() {
        let mut back_off = BackOff::default();
        assert_eq!(back_off.after(Ending::Reset, Policy::Never, SHORTEST_RUN), Some(Duration::ZERO));
        assert_eq!(back_off.after(Ending::Reset, Policy::Never, SHORT), Some(FIRST_WAIT));
        assert_eq!(back_off.after(Ending::Reset, Policy::Never, SHORT), Some(FIRST_WAIT * 2));
    }

    #[test]
    fn who_is_stopped_stays_stopped() {
        for (ending, policy) in [
            (Ending::PowerOff, Policy::OnCrash),
            (Ending::Operator, Policy::OnCrash),
            (Ending::Crash, Policy::Never),
        ] {
            assert_eq!(BackOff::default().after(ending, policy, SHORT), None, "{ending:?}");
        }
    }
}
