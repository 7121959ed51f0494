//! Whether a NIC interrupts at all.

use base::{Duration, Instant};

/// Notices that a NIC does not interrupt although it should.
#[derive(Clone, Copy, Debug, Default)]
pub struct InterruptWatch {
    has_interrupted: bool,
    /// When it was first seen to have received frames, and how many there were.
    traffic_since: Option<(Instant, u64)>,
}

/// How long a NIC that receives frames may take to its first interrupt.
const FIRST_INTERRUPT: Duration = Duration::from_secs(1);
/// So many frames must have come after the first ones, which may have been there before interrupts were on.
const LATER_FRAMES: u64 = 8;

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
        let (since, first) = *self.traffic_since.get_or_insert((now, received));
        now >= since + FIRST_INTERRUPT && received >= first + LATER_FRAMES
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
        assert!(!watch.is_silent(first + Duration::from_secs(60), 1), "one early frame is no traffic");
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
