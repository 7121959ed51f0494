//! The time of day, read once at boot from the CMOS clock [MC146818A; ACPI 6.5 4.8.2.4].

use spin::Once;
use x86_64::instructions::port::Port;

const UPDATE_IN_PROGRESS: u8 = 1 << 7;
const BINARY: u8 = 1 << 2;
const HOURS_24: u8 = 1 << 1;
const PM: u8 = 1 << 7;

fn read(register: u8) -> u8 {
    let (mut index, mut data) = (Port::<u8>::new(0x70), Port::<u8>::new(0x71));
    // SAFETY: reading registers of the clock changes only the index, whose clear bit 7 keeps NMIs enabled.
    unsafe {
        index.write(register);
        data.read()
    }
}

/// Seconds since 1970 at the time of the first call; the clock is taken to run in UTC.
pub fn unix_seconds() -> u64 {
    static NOW: Once<u64> = Once::new();
    *NOW.call_once(|| {
        // An update takes at most 2 ms; a clock that never ends one is read anyway.
        for _ in 0..1_000_000 {
            if read(0x0a) & UPDATE_IN_PROGRESS == 0 {
                break;
            }
        }
        let fields = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09].map(read);
        to_unix(fields, read(0x0b))
    })
}

/// Converts seconds, minutes, hours, day, month and year, as registers in the mode of register B hold them.
fn to_unix(fields: [u8; 6], mode: u8) -> u64 {
    let plain =
        |value: u8| u64::from(if mode & BINARY != 0 { value } else { (value >> 4) * 10 + (value & 0xf) });
    let [second, minute, hour, day, month, year] = fields;
    let hour = match (mode & HOURS_24 != 0, hour & PM != 0) {
        (true, _) => plain(hour),
        (false, afternoon) => plain(hour & !PM) % 12 + if afternoon { 12 } else { 0 },
    };
    // Two digits: the century register has no fixed index, and no such machine is older than 1970.
    let year = plain(year) + if plain(year) < 70 { 2000 } else { 1900 };
    let month = plain(month).clamp(1, 12);
    // Days since 1970; years start in March here, so that leap days come last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + plain(day).clamp(1, 31) - 1 - 719_468;
    ((days * 24 + hour) * 60 + plain(minute)) * 60 + plain(second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mode_of_the_clock_is_understood() {
        // 2026-11-23 21:04:05 UTC
        let expected = 1_795_467_845;
        assert_eq!(to_unix([0x05, 0x04, 0x21, 0x23, 0x11, 0x26], HOURS_24), expected);
        assert_eq!(to_unix([5, 4, 21, 23, 11, 26], HOURS_24 | BINARY), expected);
        assert_eq!(to_unix([0x05, 0x04, 0x89, 0x23, 0x11, 0x26], 0), expected);
    }

    #[test]
    fn years_from_70_on_are_in_the_last_century() {
        assert_eq!(to_unix([0, 0, 0x23, 0x31, 0x12, 0x99], HOURS_24), 946_681_200);
    }

    #[test]
    fn midnight_and_noon_of_the_12_hour_clock() {
        let at = |hour| to_unix([0, 0, hour, 1, 1, 0], 0);
        assert_eq!(at(0x12), 946_684_800);
        assert_eq!(at(0x92), 946_684_800 + 12 * 3600);
    }
}
