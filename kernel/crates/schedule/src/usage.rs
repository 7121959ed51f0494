//! Where the time of all cores goes from the first turn of a guest on: in guests, idle, and in Weir.

/// Ticks of the time-stamp counter, noted while Weir runs. `first_turn` is `None` until a guest has had a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The counter at Weir's first instruction.
    pub began: u64,
    /// The counter at the first turn of the first guest.
    pub first_turn: Option<u64>,
    /// Ticks in guests, on all cores.
    pub guests: u64,
    /// Ticks of idle time since the first turn, on all cores: the sum of [`idle_since`].
    pub idle: u64,
}

impl Usage {
    /// Ticks from Weir's first instruction to the first turn, or to `now`.
    #[must_use]
    pub fn before_guests(&self, now: u64) -> u64 {
        self.first_turn.unwrap_or(now).saturating_sub(self.began)
    }

    /// Ticks since the first turn that were neither in guests nor idle, on all cores together. Counters of several cores
    /// may differ by a few ticks, so a difference ends at zero.
    #[must_use]
    pub fn in_weir(&self, now: u64, cores: u64) -> u64 {
        let since = now.saturating_sub(self.first_turn.unwrap_or(now)).saturating_mul(cores);
        since.saturating_sub(self.guests).saturating_sub(self.idle)
    }
}

/// The ticks of a wait that are idle time since the first turn: a guest may be started hours after Weir, and what a core
/// idled before is not part of the time that is divided.
#[must_use]
pub fn idle_since(first_turn: Option<u64>, from: u64, to: u64) -> u64 {
    first_turn.map_or(0, |first| to.saturating_sub(from.max(first)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cores_idled_before_the_first_guest_is_not_part_of_the_time_after_it() {
        // Two cores idle from 1,000; a guest starts at 50,000 on one of them, by `vm start`, runs until 60,000 and
        // powers off; the other sleeps until then.
        let first_turn = Some(50_000);
        let idle = idle_since(None, 1_000, 49_000) + idle_since(first_turn, 1_000, 60_000);
        assert_eq!(idle, 10_000);
        let usage = Usage { began: 500, first_turn, guests: 8_000, idle };
        assert_eq!(usage.before_guests(60_000), 49_500);
        assert_eq!(usage.in_weir(60_000, 2), 2_000);
    }

    #[test]
    fn without_a_guest_all_time_is_before_the_first_one() {
        let usage = Usage { began: 500, first_turn: None, guests: 0, idle: idle_since(None, 600, 9_000) };
        assert_eq!((usage.before_guests(10_000), usage.in_weir(10_000, 4)), (9_500, 0));
    }

    #[test]
    fn counters_of_cores_that_differ_make_no_difference_negative() {
        let usage = Usage { began: 500, first_turn: Some(1_000), guests: 1_005, idle: 0 };
        assert_eq!((usage.in_weir(2_000, 1), usage.before_guests(990)), (0, 500));
        assert_eq!((usage.in_weir(990, 1), idle_since(Some(1_000), 980, 990)), (0, 0));
    }
}
