//! Ticks of the board's clocks, which all start at instant zero. Systems read timers in tight loops to find out how
//! fast a processor is, so the conversions do without 128-bit division, which is a loop in software.

use base::Instant;

const SECOND: u64 = 1_000_000_000;

/// Whole periods of a clock of `hz` that have passed at `now`.
pub(super) fn passed(now: Instant, hz: u32) -> u64 {
    let (seconds, nanos) = (now.0 / SECOND, now.0 % SECOND);
    // Less than 2^35 seconds, and 2^30 nanoseconds, times 2^22 and 2^32: neither overflows at the board's frequencies.
    seconds.saturating_mul(hz.into()).saturating_add(nanos * u64::from(hz) / SECOND)
}

/// The first instant at which `ticks` periods of a clock of `hz` have passed.
pub(super) fn reached(ticks: u64, hz: u32) -> Instant {
    let hz = u64::from(hz.max(1));
    let (seconds, rest) = (ticks / hz, ticks % hz);
    Instant(seconds.saturating_mul(SECOND).saturating_add((rest * SECOND).div_ceil(hz)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn conversions_are_exact(nanos: u64, ticks in 0u64..1 << 56, hz in 1u32..40_000_000) {
            let exact = u128::from(nanos) * u128::from(hz) / u128::from(SECOND);
            prop_assert_eq!(u128::from(passed(Instant(nanos), hz)), exact);
            let exact = (u128::from(ticks) * u128::from(SECOND)).div_ceil(hz.into());
            prop_assert_eq!(reached(ticks, hz), Instant(u64::try_from(exact).unwrap_or(u64::MAX)));
        }
    }
}
