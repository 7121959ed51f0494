//! Seconds to calendar and back: the proleptic Gregorian calendar, UTC, without leap seconds.

/// Seconds in a day.
pub const DAY: i64 = 86_400;
/// Days in 400 years of the Gregorian calendar.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 1 March of year 0 to 1 January 1970.
const DAYS_TO_1970: i64 = 719_468;

/// A moment, in the fields of a clock chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// Year of the common era.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, 1 to 31.
    pub day: u8,
    /// Day of the week, 1 is Sunday.
    pub weekday: u8,
    /// Hour, 0 to 23.
    pub hour: u8,
    /// Minute, 0 to 59.
    pub minute: u8,
    /// Second, 0 to 59.
    pub second: u8,
}

impl Calendar {
    /// The calendar of `seconds` since 1 January 1970, clamped to the years 0 to 9999.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the year is at most 9999, and every other field is the remainder of a small number"
    )]
    pub fn from_unix(seconds: i64) -> Self {
        let first = -DAYS_TO_1970 * DAY + 60 * DAY;
        let last = 253_402_300_799;
        let seconds = seconds.clamp(first, last);
        let (days, in_day) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        // Count years from March, so that the leap day is the last of its year, and in whole eras, which
        // all have the same number of days.
        let from_march = days + DAYS_TO_1970;
        let (era, day) = (from_march.div_euclid(DAYS_PER_ERA), from_march.rem_euclid(DAYS_PER_ERA));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let (march_month, day) = (month, day - (153 * month + 2) / 5 + 1);
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year + i64::from(month <= 2);
        Self {
            year: year as u16,
            month: month as u8,
            day: day as u8,
            // 1 January 1970 was a Thursday.
            weekday: ((days + 4).rem_euclid(7) + 1) as u8,
            hour: (in_day / 3600) as u8,
            minute: (in_day / 60 % 60) as u8,
            second: (in_day % 60) as u8,
        }
    }

    /// Seconds since 1 January 1970. A field out of range carries over into the next larger one; the weekday
    /// is ignored.
    #[must_use]
    pub fn to_unix(&self) -> i64 {
        let (year, month) = (i64::from(self.year), i64::from(self.month));
        let (year, march_month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
        let (era, in_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day = (153 * march_month + 2) / 5 + i64::from(self.day) - 1;
        let days = era * DAYS_PER_ERA + in_era * 365 + in_era / 4 - in_era / 100 + day - DAYS_TO_1970;
        let time = i64::from(self.hour) * 3600 + i64::from(self.minute) * 60 + i64::from(self.second);
        days * DAY + time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_have_their_calendar() {
        let start = Calendar { year: 1970, month: 1, day: 1, weekday: 5, hour: 0, minute: 0, second: 0 };
        assert_eq!(Calendar::from_unix(0), start);
        let leap = Calendar { year: 2000, month: 2, day: 29, weekday: 3, hour: 23, minute: 59, second: 59 };
        assert_eq!(Calendar::from_unix(951_868_799), leap);
        let now = Calendar { year: 2026, month: 11, day: 23, weekday: 2, hour: 21, minute: 18, second: 4 };
        assert_eq!(Calendar::from_unix(1_795_468_684), now);
    }

    proptest! {
        #[test]
        fn calendar_and_seconds_are_inverse(seconds in -60_000_000_000i64..253_402_300_799) {
            prop_assert_eq!(Calendar::from_unix(seconds).to_unix(), seconds);
        }

        #[test]
        fn consecutive_days_differ_by_one_weekday(day in 0i64..2_000_000) {
            let (a, b) = (Calendar::from_unix(day * DAY), Calendar::from_unix((day + 1) * DAY));
            prop_assert_eq!(a.weekday % 7 + 1, b.weekday);
        }
    }
}
