//! What is normal for a member, by measurement, and when it is not any more.

use base::Duration;
use serde::{Deserialize, Serialize};

/// A member is degraded when at least so many thousandths of the frames that it receives are damaged, ten times as many as is normal,
/// at least so many in a second, for so many seconds in a row.
const LEAST_RATE: u32 = 10;
const TIMES_NORMAL: u32 = 10;
const LEAST_ERRORS: u64 = 10;
const BAD_SECONDS: u8 = 3;

/// It is well again after so many seconds in a row without that.
const GOOD_SECONDS: u8 = 30;

/// A member that makes no progress is given so many times what is normal: so long at least, and at most as long as its driver
/// gives it until that resets it.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
const MOST_PATIENCE: Duration = Duration::from_secs(1);
const TIMES_WAIT: u32 = 8;

/// An average over about 16 values, kept in sixteenths.
fn average(of: &mut u32, value: u32) {
    *of = of.saturating_sub(*of / 16).saturating_add(value);
}

/// How many of the frames that a member receives are damaged.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ErrorWatch {
    /// Thousandths that are normal, in sixteenths.
    normal: u32,
    /// Seconds in a row that were bad, or good.
    run: u8,
    damaged: bool,
}

impl ErrorWatch {
    /// Takes note of a second. True while it receives too many damaged frames.
    pub(crate) fn note(&mut self, errors: u64, frames: u64) -> bool {
        if errors == 0 && frames == 0 {
            // Nothing has shown how it is.
            return self.damaged;
        }
        let all = errors.saturating_add(frames).max(1);
        let rate = u32::try_from(errors.saturating_mul(1000) / all).unwrap_or(1000);
        let bad = errors >= LEAST_ERRORS && rate >= LEAST_RATE && rate >= self.normal / 16 * TIMES_NORMAL;
        if bad == self.damaged {
            self.run = 0;
        } else {
            self.run = self.run.saturating_add(1);
        }
        let enough = if self.damaged { GOOD_SECONDS } else { BAD_SECONDS };
        if self.run >= enough {
            (self.damaged, self.run) = (!self.damaged, 0);
        }
        if !bad {
            average(&mut self.normal, rate);
        }
        self.damaged
    }
}

/// For how long a member makes no progress with frames that it has.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct WaitWatch {
    /// Microseconds that are normal, in sixteenths.
    normal: u32,
}

impl WaitWatch {
    /// Takes note of the longest wait of a second, in microseconds.
    pub(crate) fn note(&mut self, longest: u32) {
        average(&mut self.normal, longest.min(1_000_000));
    }

    /// How long is longer than normal.
    pub(crate) fn patience(&self) -> Duration {
        Duration::from_micros(u64::from(self.normal / 16 * TIMES_WAIT)).clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bad_seconds_degrade_a_member_and_thirty_good_ones_heal_it() {
        let mut watch = ErrorWatch::default();
        assert!((0..100).all(|_| !watch.note(0, 1000)));
        assert_eq!([1, 2, 3].map(|_| watch.note(20, 980)), [false, false, true]);
        assert!((1..30).all(|_| watch.note(0, 1000)));
        assert!(!watch.note(0, 1000));
    }

    #[test]
    fn what_is_normal_for_a_member_does_not_degrade_it() {
        let mut watch = ErrorWatch::default();
        // 0.9 % is below the least rate, and becomes normal.
        assert!((0..200).all(|_| !watch.note(9, 991)));
        assert!((0..20).all(|_| !watch.note(50, 950)), "5 % is less than ten times of it");
        assert_eq!([1, 2, 3].map(|_| watch.note(900, 1000)), [false, false, true]);
        let mut quiet = ErrorWatch::default();
        assert!(
            (0..9).all(|_| !quiet.note(9, 0)),
            "a few damaged frames are no reason, even if there are no others"
        );
    }

    #[test]
    fn patience_grows_with_what_is_normal_and_never_without_bound() {
        let mut watch = WaitWatch::default();
        assert_eq!(watch.patience(), LEAST_PATIENCE);
        (0..100).for_each(|_| watch.note(30_000));
        assert!(watch.patience() > Duration::from_millis(200), "{:?}", watch.patience());
        (0..1000).for_each(|_| watch.note(u32::MAX));
        assert_eq!(watch.patience(), MOST_PATIENCE);
    }
}
