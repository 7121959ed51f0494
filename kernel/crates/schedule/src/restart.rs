//! Whether and when a guest that has ended is started again.

use base::Duration;

/// Wait before the first restart after a crash. It doubles with each further crash.
pub const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait before a restart.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After a run of this length a guest counts as sound: its next wait is [`FIRST_WAIT`] again.
pub const SOUND_AFTER: Duration = Duration::from_secs(60);
/// A guest that resets itself earlier than this is treated like one that crashes: it might do so for ever.
pub const SHORTEST_RUN: Duration = Duration::from_secs(1);

/// What happens after a crash, from the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// A guest that crashed stays stopped.
    Never,
    /// A guest that crashed is started again after a wait.
    OnCrash,
}

/// How a guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It powered itself off.
    PowerOff,
    /// It asked for a reset.
    Reset,
    /// It could not continue.
    Crash,
    /// The operator powered it off.
    Operator,
    /// The machine gave it wrong data, which may still be in its memory: a start would use them again, and it is Weir
    /// that would.
    MachineCheck,
}

/// Delays restarts of a guest that keeps crashing.
///
/// ```
/// use base::Duration;
/// use schedule::restart::{BackOff, Ending, RestartPolicy};
///
/// let mut back_off = BackOff::default();
/// let ran = Duration::from_millis(300);
/// let mut crash = || back_off.after(Ending::Crash, RestartPolicy::OnCrash, ran);
/// assert_eq!(crash(), Some(Duration::from_secs(1)));
/// assert_eq!(crash(), Some(Duration::from_secs(2)));
/// assert_eq!(back_off.after(Ending::PowerOff, RestartPolicy::OnCrash, ran), None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    /// Crashes since the last sound run.
    crashes: u32,
}

impl BackOff {
    /// How long to wait before the guest is started again, or `None` when it stays stopped. `ran` is the time
    /// since its last start.
    pub fn after(&mut self, ending: Ending, policy: RestartPolicy, ran: Duration) -> Option<Duration> {
        if ran >= SOUND_AFTER {
            self.crashes = 0;
        }
        match ending {
            Ending::PowerOff | Ending::Operator | Ending::MachineCheck => {
                self.crashes = 0;
                None
            }
            Ending::Reset if ran >= SHORTEST_RUN => Some(Duration::ZERO),
            Ending::Crash if policy == RestartPolicy::Never => None,
            Ending::Reset | Ending::Crash => {
                let wait = FIRST_WAIT.saturating_mul(1 << self.crashes.min(16)).min(LONGEST_WAIT);
                self.crashes = self.crashes.saturating_add(1);
                Some(wait)
            }
        }
    }

    /// Number of consecutive crashes.
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
    fn waits_double_up_to_the_longest_and_begin_again_after_a_sound_run() {
        let mut back_off = BackOff::default();
        let mut wait = |ran| back_off.after(Ending::Crash, RestartPolicy::OnCrash, ran).unwrap().as_secs();
        let waits: Vec<u64> = (0..8).map(|_| wait(SHORT)).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(wait(SOUND_AFTER), 1);
        assert_eq!(wait(SHORT), 2);
    }

    #[test]
    fn waits_stay_bounded_for_ever() {
        let mut back_off = BackOff { crashes: u32::MAX };
        assert_eq!(back_off.after(Ending::Crash, RestartPolicy::OnCrash, SHORT), Some(LONGEST_WAIT));
        assert_eq!(back_off.crashes(), u32::MAX);
    }

    #[test]
    fn a_reset_is_immediate_unless_it_comes_too_soon() {
        let mut back_off = BackOff::default();
        assert_eq!(back_off.after(Ending::Reset, RestartPolicy::Never, SHORTEST_RUN), Some(Duration::ZERO));
        assert_eq!(back_off.after(Ending::Reset, RestartPolicy::Never, SHORT), Some(FIRST_WAIT));
        assert_eq!(back_off.after(Ending::Reset, RestartPolicy::Never, SHORT), Some(FIRST_WAIT * 2));
    }

    #[test]
    fn a_guest_that_was_stopped_stays_stopped() {
        for (ending, policy) in [
            (Ending::PowerOff, RestartPolicy::OnCrash),
            (Ending::Operator, RestartPolicy::OnCrash),
            (Ending::MachineCheck, RestartPolicy::OnCrash),
            (Ending::Crash, RestartPolicy::Never),
        ] {
            assert_eq!(BackOff::default().after(ending, policy, SHORT), None, "{ending:?}");
        }
    }
}
