//! Whether a NIC interrupts at all.

use base::{Duration, Instant};

/// Notices that a NIC does not interrupt although it should.
#[derive(Clone, Copy, Debug, Default)]
pub struct InterruptWatch {
    has_interrupted: bool,
    /// When it was first seen to have received frames.
    traffic_since: Option<Instant>,
}

/// How long a NIC that receives frames may take to its first interrupt.
const FIRST_INTERRUPT: Duration = Duration::from_secs(1);

impl InterruptWatch {
    /// It has interrupted.
    pub fn note(&mut self) {
        self.has_interrupted = true;
    }

    /// True when it has received frames for a while without ever interrupting.
    pub fn is_silent(&mut self, now: Instant, received: u64) -> bool {
        if self.has_interrupted || received == 0 {
            return false;
        }
        now >= *self.traffic_since.get_or_insert(now) + FIRST_INTERRUPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant(7_000_000_000);

    #[test]
    fn a_nic_that_receives_for_a_second_without_interrupting_is_silent() {
        let mut watch = InterruptWatch::default();
        assert!(!watch.is_silent(START, 0));
        assert!(
            !watch.is_silent(START + Duration::from_secs(60), 0),
            "nothing has come that it could tell of"
        );
        let first = START + Duration::from_secs(61);
        assert!(!watch.is_silent(first, 1));
        assert!(!watch.is_silent(first + Duration::from_millis(999), 50));
        assert!(watch.is_silent(first + Duration::from_secs(1), 100));
    }

    #[test]
    fn one_interrupt_is_enough() {
        let mut watch = InterruptWatch::default();
        assert!(!watch.is_silent(START, 1));
        watch.note();
        assert!(!watch.is_silent(START + Duration::from_secs(100), 1000));
    }
}
