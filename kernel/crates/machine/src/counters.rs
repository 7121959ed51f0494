//! How far the time-stamp counters of two cores are apart.
//!
//! All time in Weir rests on the counters' agreeing. Firmware starts those of several sockets at different moments on
//! some boards, and system-management code has been seen to change them.

/// Narrows down how far another core's counter is ahead of this one's. In each round this core reads its counter, lets
/// the other read its own, and reads again: the other reading lies between these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CounterOffset {
    least: i64,
    most: i64,
}

impl Default for CounterOffset {
    fn default() -> Self {
        Self { least: i64::MIN, most: i64::MAX }
    }
}

impl CounterOffset {
    /// Takes a round into account.
    pub fn note(&mut self, before: u64, other: u64, after: u64) {
        self.least = self.least.max(other.wrapping_sub(after).cast_signed());
        self.most = self.most.min(other.wrapping_sub(before).cast_signed());
    }

    /// Ticks by which the other counter is ahead at least; negative when it is behind; zero when the rounds are
    /// explained without a difference, or there were none.
    #[must_use]
    pub fn ticks(self) -> i64 {
        if self == Self::default() {
            0
        } else {
            0.clamp(self.least.min(self.most), self.most.max(self.least))
        }
    }

    /// What to add to the other counter so that they agree as well as can be told: the middle of what is possible.
    /// `None` when they differ by no more than `tolerance` ticks.
    #[must_use]
    pub fn correction(self, tolerance: u64) -> Option<i64> {
        let middle = self.least.midpoint(self.most);
        (self.ticks().unsigned_abs() > tolerance).then_some(middle.wrapping_neg())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_counter_read_between_the_two_readings_agrees() {
        let mut offset = CounterOffset::default();
        offset.note(1000, 1040, 1100);
        offset.note(2000, 2090, 2100);
        assert_eq!((offset.ticks(), offset.correction(0)), (0, None));
    }

    #[test]
    fn a_counter_that_is_behind_by_seconds_is_corrected_by_the_middle() {
        let mut offset = CounterOffset::default();
        // Ahead by 7 in truth: 5 billion ticks behind, minus the way.
        offset.note(10_000_000_000, 5_000_000_050, 10_000_000_100);
        assert_eq!(offset.ticks(), -4_999_999_950);
        assert_eq!(offset.correction(1000), Some(5_000_000_000));
    }

    #[test]
    fn a_difference_within_the_tolerance_is_left() {
        let mut offset = CounterOffset::default();
        offset.note(1000, 1600, 1100);
        assert_eq!((offset.ticks(), offset.correction(500), offset.correction(499)), (500, None, Some(-550)));
    }

    #[test]
    fn no_round_means_no_difference() {
        assert_eq!((CounterOffset::default().ticks(), CounterOffset::default().correction(0)), (0, None));
    }

    proptest! {
        #[test]
        fn a_corrected_counter_agrees(
            ahead in -(1i64 << 60)..(1i64 << 60),
            rounds in proptest::collection::vec((any::<u32>(), 1u64..5000, 1u64..5000), 1..16),
        ) {
            let compare = |ahead: i64| {
                let (mut offset, mut now) = (CounterOffset::default(), 1u64 << 61);
                for (pause, there, back) in &rounds {
                    let before = now + u64::from(*pause);
                    let other = (before + there).wrapping_add_signed(ahead);
                    now = before + there + back;
                    offset.note(before, other, now);
                }
                offset
            };
            let corrected = compare(ahead).correction(0).map_or(ahead, |correction| ahead + correction);
            prop_assert_eq!(compare(corrected).ticks(), 0);
            prop_assert!(corrected.unsigned_abs() < 5000);
        }

        #[test]
        fn any_readings_are_survived(rounds in proptest::collection::vec(any::<(u64, u64, u64)>(), 0..8)) {
            let mut offset = CounterOffset::default();
            rounds.iter().for_each(|(before, other, after)| offset.note(*before, *other, *after));
            let _ = (offset.ticks(), offset.correction(0));
        }
    }
}
