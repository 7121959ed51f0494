//! Leaves 0x15 and 0x16: the frequencies with which a guest calibrates its clocks [SDM2A table 3-8].

use super::{CpuidPolicy, CpuidResult};

/// Leaf 0x15: the crystal, and the ratio of the TSC to it.
///
/// The crystal is the clock of the local APIC's timer. Guests multiply the crystal in kHz by the numerator
/// in 32 bits, so the numerator is kept small enough; the ratio is the best one within that limit.
pub(super) fn time_stamp_counter(policy: &CpuidPolicy) -> CpuidResult {
    let limit = u32::MAX / (policy.crystal_hz / 1000).max(1);
    let (numerator, denominator) = best_ratio(policy.tsc_hz, policy.crystal_hz.into(), limit.into());
    CpuidResult { eax: denominator, ebx: numerator, ecx: policy.crystal_hz, edx: 0 }
}

/// Leaf 0x16: base and maximum frequency, and that of the bus, in MHz.
pub(super) fn processor(policy: &CpuidPolicy) -> CpuidResult {
    const BUS_MHZ: u32 = 100;
    let mhz = u32::try_from((policy.tsc_hz + 500_000) / 1_000_000).unwrap_or(u32::MAX) & 0xffff;
    CpuidResult { eax: mhz, ebx: mhz, ecx: BUS_MHZ, edx: 0 }
}

/// Frequencies in kHz: of the time-stamp counter, and of the local APIC's bus.
pub(super) fn timing(policy: &CpuidPolicy) -> CpuidResult {
    let khz = u32::try_from(policy.tsc_hz / 1000).unwrap_or(u32::MAX);
    CpuidResult { eax: khz, ebx: policy.crystal_hz / 1000, ..CpuidResult::default() }
}

/// A fraction close to `a / b` whose terms are at most `limit`, from its continued fraction: the last
/// convergent that fits, or the fraction between it and the next one if that is closer. At least 1 / 1; the
/// terms fit 32 bits because `limit` does.
#[expect(clippy::cast_possible_truncation, reason = "the limit has 32 bits, and so have the terms")]
fn best_ratio(a: u64, b: u64, limit: u64) -> (u32, u32) {
    let (mut a, mut b) = (a, b);
    let (mut before, mut last) = ((0u64, 1u64), (1u64, 0u64));
    // Euclid's algorithm: at most 93 steps for 64-bit numbers.
    while b != 0 {
        let quotient = a / b;
        let fits =
            |before: u64, last: u64| limit.saturating_sub(before).checked_div(last).unwrap_or(u64::MAX);
        let steps = quotient.min(fits(before.0, last.0)).min(fits(before.1, last.1));
        let next = (before.0 + steps * last.0, before.1 + steps * last.1);
        if steps < quotient {
            // Beyond half of the way, the fraction between is closer.
            last = if steps > quotient / 2 { next } else { last };
            break;
        }
        (before, last) = (last, next);
        (a, b) = (b, a % b);
    }
    match last {
        (n, d) if n > 0 && d > 0 => (n as u32, d as u32),
        _ => (1, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_guests_arithmetic_gives_the_frequency(
            tsc_hz in 500_000_000u64..6_000_000_000, crystal_khz in 10_000u32..=200_000
        ) {
            let policy = CpuidPolicy { tsc_hz, crystal_hz: crystal_khz * 1000, ..CpuidPolicy::default() };
            let leaf = time_stamp_counter(&policy);
            // The guest's computation: 32 bits, in kHz.
            let khz = crystal_khz.checked_mul(leaf.ebx).expect("no overflow") / leaf.eax;
            let error = (u64::from(khz) * 1000).abs_diff(tsc_hz);
            // Half of the last digit that a numerator of 32 bits less those of the crystal can hold, and the
            // guest's rounding to kHz: 3 in a million for 25 MHz.
            let digit = ((u128::from(tsc_hz) * u128::from(crystal_khz)) >> 33) as u64;
            prop_assert!(error <= digit + digit / 8 + 1000, "{khz} kHz for {tsc_hz} Hz: {leaf:?}");
        }
    }

    #[test]
    fn an_exact_ratio_stays_exact() {
        assert_eq!(best_ratio(3_000_000_000, 25_000_000, 171_798), (120, 1));
        assert_eq!(best_ratio(0, 0, 10), (1, 1));
    }
}
