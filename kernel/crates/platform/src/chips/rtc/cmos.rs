//! The 128 bytes of the clock chip: time and alarm registers in the format that the guest chooses, followed
//! by the data of PC firmware.

use super::{Calendar, RegisterB};
use base::bits::low_u8;

/// Registers that hold the running time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeRegister {
    Second = 0,
    Minute = 2,
    Hour = 4,
    Weekday = 6,
    Day = 7,
    Month = 8,
    Year = 9,
    /// Not part of the chip: PC firmware keeps the century here, as the FADT says.
    Century = 0x32,
}

impl TimeRegister {
    pub(super) fn from_index(index: u8) -> Option<Self> {
        use TimeRegister::{Century, Day, Hour, Minute, Month, Second, Weekday, Year};
        [Second, Minute, Hour, Weekday, Day, Month, Year, Century]
            .into_iter()
            .find(|register| *register as u8 == index)
    }
}

const SECOND_ALARM: u8 = 1;
const MINUTE_ALARM: u8 = 3;
const HOUR_ALARM: u8 = 5;
/// From this value up, an alarm register means "any" [MC146818A: alarm].
const ANY: u8 = 0xc0;
/// Bit 7 of the hour in 12-hour mode.
const PM: u8 = 0x80;

/// Sizes in KiB and 64 KiB that PC firmware leaves in CMOS memory.
const BASE_MEMORY: u8 = 0x15;
const EXTENDED_MEMORY: [u8; 2] = [0x17, 0x30];
const MEMORY_ABOVE_16_MIB: u8 = 0x34;
const CHECKSUM: u8 = 0x2e;

#[derive(Debug)]
pub(super) struct Cmos {
    bytes: [u8; 128],
}

impl Cmos {
    pub(super) fn new(memory_bytes: u64) -> Self {
        let mut cmos = Self { bytes: [0; 128] };
        let kib = |bytes: u64| u16::try_from(bytes >> 10).unwrap_or(u16::MAX);
        cmos.set_word(BASE_MEMORY, 640);
        for index in EXTENDED_MEMORY {
            cmos.set_word(index, kib(memory_bytes.saturating_sub(1 << 20)));
        }
        let above = memory_bytes.min(crate::layout::LOW_MEMORY_LIMIT).saturating_sub(16 << 20) >> 16;
        cmos.set_word(MEMORY_ABOVE_16_MIB, u16::try_from(above).unwrap_or(u16::MAX));
        // The AT's checksum, high byte first, over its own configuration bytes.
        let sum: u16 = cmos.bytes[0x10..0x2e].iter().map(|byte| u16::from(*byte)).sum();
        cmos.set(CHECKSUM, sum.to_be_bytes()[0]);
        cmos.set(CHECKSUM + 1, sum.to_be_bytes()[1]);
        cmos
    }

    pub(super) fn get(&self, index: u8) -> u8 {
        self.bytes.get(usize::from(index)).copied().unwrap_or(0xff)
    }

    pub(super) fn set(&mut self, index: u8, value: u8) {
        if let Some(byte) = self.bytes.get_mut(usize::from(index)) {
            *byte = value;
        }
    }

    fn set_word(&mut self, index: u8, value: u16) {
        let [low, high] = value.to_le_bytes();
        self.set(index, low);
        self.set(index + 1, high);
    }

    /// Writes `time` into the registers in the format that `b` asks for.
    pub(super) fn set_time(&mut self, time: &Calendar, b: RegisterB) {
        let (century, year) = (low_u8((time.year / 100).into()), low_u8((time.year % 100).into()));
        self.set(TimeRegister::Second as u8, encode(time.second, b));
        self.set(TimeRegister::Minute as u8, encode(time.minute, b));
        self.set(TimeRegister::Hour as u8, encode_hour(time.hour, b));
        self.set(TimeRegister::Weekday as u8, encode(time.weekday, b));
        self.set(TimeRegister::Day as u8, encode(time.day, b));
        self.set(TimeRegister::Month as u8, encode(time.month, b));
        self.set(TimeRegister::Year as u8, encode(year, b));
        self.set(TimeRegister::Century as u8, encode(century, b));
    }

    /// The time in the registers. Values that a guest wrote out of range are clamped to the calendar, so
    /// nothing can overflow.
    pub(super) fn time(&self, b: RegisterB) -> Calendar {
        let field =
            |register: TimeRegister, low: u8, high: u8| decode(self.get(register as u8), b).clamp(low, high);
        let century = u16::from(field(TimeRegister::Century, 0, 99));
        Calendar {
            year: century * 100 + u16::from(field(TimeRegister::Year, 0, 99)),
            month: field(TimeRegister::Month, 1, 12),
            day: field(TimeRegister::Day, 1, 31),
            weekday: field(TimeRegister::Weekday, 1, 7),
            hour: decode_hour(self.get(TimeRegister::Hour as u8), b).min(23),
            minute: field(TimeRegister::Minute, 0, 59),
            second: field(TimeRegister::Second, 0, 59),
        }
    }

    /// Seconds from `in_day` (a second of the day) to the next one that matches the alarm registers: 1 to
    /// 86,400; None when they match no time at all.
    pub(super) fn next_alarm(&self, b: RegisterB, in_day: u32) -> Option<u32> {
        let wanted = |index: u8, decode: fn(u8, RegisterB) -> u8| {
            let raw = self.get(index);
            (raw < ANY).then(|| u32::from(decode(raw, b)))
        };
        // A 12-hour PM hour lies below ANY in BCD (0x81 to 0x92) and in binary (0x81 to 0x8c).
        let (hour, minute, second) =
            (wanted(HOUR_ALARM, decode_hour), wanted(MINUTE_ALARM, decode), wanted(SECOND_ALARM, decode));
        // Rejected here, so that the search below ends within a few steps.
        if hour.is_some_and(|h| h > 23) || minute.is_some_and(|m| m > 59) || second.is_some_and(|s| s > 59) {
            return None;
        }
        let matches = |value: u32, wanted: Option<u32>| wanted.is_none_or(|wanted| wanted == value);
        const DAY: u32 = 86_400;
        let mut wait = 1;
        // Skips whole hours and minutes that cannot match.
        while wait <= DAY {
            let at = (in_day + wait) % DAY;
            if !matches(at / 3600, hour) {
                wait += 3600 - at % 3600;
            } else if !matches(at / 60 % 60, minute) {
                wait += 60 - at % 60;
            } else if !matches(at % 60, second) {
                wait += 1;
            } else {
                return Some(wait);
            }
        }
        None
    }
}

fn encode(value: u8, b: RegisterB) -> u8 {
    if b.contains(RegisterB::BINARY) { value } else { ((value / 10) << 4) | (value % 10) }
}

fn decode(raw: u8, b: RegisterB) -> u8 {
    if b.contains(RegisterB::BINARY) { raw } else { (raw >> 4) * 10 + (raw & 0x0f) }
}

fn encode_hour(hour: u8, b: RegisterB) -> u8 {
    if b.contains(RegisterB::HOURS_24) {
        return encode(hour, b);
    }
    let twelve = if hour.is_multiple_of(12) { 12 } else { hour % 12 };
    encode(twelve, b) | if hour >= 12 { PM } else { 0 }
}

fn decode_hour(raw: u8, b: RegisterB) -> u8 {
    if b.contains(RegisterB::HOURS_24) {
        return decode(raw, b);
    }
    decode(raw & !PM, b) % 12 + if raw & PM != 0 { 12 } else { 0 }
}
