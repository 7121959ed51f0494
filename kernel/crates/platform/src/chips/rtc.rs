//! The real-time clock and its 128 bytes of CMOS memory: an MC146818A behind ports 0x70 and 0x71.
//!
//! Time is the host's plus the guest's own adjustment. Registers change at once when a second ends, and UIP
//! warns 244 us ahead, so a guest that reads while UIP is clear never sees a torn time [MC146818A: update
//! cycle].

mod calendar;
mod cmos;

pub use calendar::Calendar;
use calendar::DAY;
use cmos::{Cmos, TimeRegister};

use super::ticks;
use base::{Effects, Instant};
use bitflags::bitflags;

/// The index register; bit 7 is the NMI mask of the board and not part of the index.
pub const INDEX_PORT: u16 = 0x70;
/// The data register.
pub const DATA_PORT: u16 = 0x71;
/// Index of the century, which the FADT reports to the guest.
pub const CENTURY: u8 = TimeRegister::Century as u8;

const SECOND: u64 = 1_000_000_000;
/// How long before an update UIP rises: t_BUC [MC146818A table 6].
const UIP_NANOS: u64 = 244_000;

const REGISTER_A: u8 = 0x0a;
const REGISTER_B: u8 = 0x0b;
const REGISTER_C: u8 = 0x0c;
const REGISTER_D: u8 = 0x0d;

/// Register A: update in progress, and the divider setting for a 32.768 kHz crystal with the divider
/// running, and periodic rate 1.024 kHz, as firmware leaves it.
const UIP: u8 = 1 << 7;
const DIVIDER_AT_POWER_ON: u8 = 0x26;
/// Register D: RAM and time are valid.
const VRT: u8 = 1 << 7;

bitflags! {
    /// Register B [MC146818A: register B].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) struct RegisterB: u8 {
        const DAYLIGHT = 1 << 0;
        const HOURS_24 = 1 << 1;
        const BINARY = 1 << 2;
        const SQUARE_WAVE = 1 << 3;
        const UPDATE_INTERRUPT = 1 << 4;
        const ALARM_INTERRUPT = 1 << 5;
        const PERIODIC_INTERRUPT = 1 << 6;
        const SET = 1 << 7;
    }

    /// Register C: causes, in the same places as their enables in register B.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct RegisterC: u8 {
        const UPDATE = 1 << 4;
        const ALARM = 1 << 5;
        const PERIODIC = 1 << 6;
    }
}

/// IRQF: an enabled cause is pending.
const IRQF: u8 = 1 << 7;

/// The clock. Its interrupt line is a level until register C is read.
///
/// ```
/// use base::Instant;
/// use platform::rtc::{DATA_PORT, INDEX_PORT, Rtc};
///
/// let mut rtc = Rtc::new(59, 64 << 20);
/// let _ = rtc.write(INDEX_PORT, 0, Instant::ZERO);
/// assert_eq!(rtc.read(DATA_PORT, Instant::ZERO).0, 0x59, "seconds in BCD");
/// assert_eq!(rtc.read(DATA_PORT, Instant(1_000_000_000)).0, 0x00);
/// ```
#[derive(Debug)]
pub struct Rtc {
    index: u8,
    a: u8,
    b: RegisterB,
    c: RegisterC,
    cmos: Cmos,
    /// Seconds since 1970 at `Instant::ZERO`, and nanoseconds on top of them.
    offset: i64,
    phase: u64,
    /// Causes up to here are in `c`.
    settled: Instant,
    /// The second at which the alarm next goes off.
    alarm_at: Option<i64>,
    /// The alarm has gone off, with its interrupt enabled, since [`Rtc::take_alarm`].
    alarm: bool,
}

impl Rtc {
    /// A clock that shows `unix_seconds` (UTC) at [`Instant::ZERO`], in a machine with `memory_bytes`.
    #[must_use]
    pub fn new(unix_seconds: u64, memory_bytes: u64) -> Self {
        let mut rtc = Self {
            index: 0,
            a: DIVIDER_AT_POWER_ON,
            b: RegisterB::HOURS_24,
            c: RegisterC::empty(),
            cmos: Cmos::new(memory_bytes),
            offset: i64::try_from(unix_seconds).unwrap_or(0),
            phase: 0,
            settled: Instant::ZERO,
            alarm_at: None,
            alarm: false,
        };
        rtc.find_alarm(Instant::ZERO);
        rtc
    }

    /// Reads a byte from [`DATA_PORT`]; the index register is write-only and reads as all ones.
    pub fn read(&mut self, port: u16, now: Instant) -> (u8, Effects) {
        if port != DATA_PORT {
            return (0xff, Effects::empty());
        }
        let settled = self.settle(now);
        let value = match self.index {
            REGISTER_A => self.a | self.update_in_progress(now),
            REGISTER_B => self.b.bits(),
            REGISTER_C => {
                let value = self.c.bits() | if self.interrupt() { IRQF } else { 0 };
                self.c = RegisterC::empty();
                return (value, Effects::IRQ_CHANGED | Effects::TIMER_CHANGED);
            }
            REGISTER_D => VRT,
            index => {
                self.show_time(now);
                self.cmos.get(index)
            }
        };
        (value, settled)
    }

    /// Writes a byte to [`INDEX_PORT`] or [`DATA_PORT`].
    pub fn write(&mut self, port: u16, value: u8, now: Instant) -> Effects {
        if port == INDEX_PORT {
            self.index = value & 0x7f;
            return Effects::empty();
        }
        let settled = self.settle(now);
        match self.index {
            REGISTER_A => self.write_a(value & !UIP, now),
            REGISTER_B => self.write_b(RegisterB::from_bits_truncate(value), now),
            REGISTER_C | REGISTER_D => return settled,
            index if TimeRegister::from_index(index).is_some() => {
                self.show_time(now);
                self.cmos.set(index, value);
                self.take_time(now);
            }
            index => self.cmos.set(index, value),
        }
        self.find_alarm(now);
        Effects::IRQ_CHANGED | Effects::TIMER_CHANGED
    }

    /// The level of the interrupt line, IRQF.
    #[must_use]
    pub fn interrupt(&self) -> bool {
        self.c.bits() & self.b.bits() & RegisterC::all().bits() != 0
    }

    /// True when the alarm has gone off since the last call, with its interrupt enabled. [`Effects::IRQ_CHANGED`]
    /// tells of it.
    pub fn take_alarm(&mut self) -> bool {
        core::mem::take(&mut self.alarm)
    }

    /// The time that the clock shows, in seconds since 1970.
    #[must_use]
    pub fn unix_seconds(&self, now: Instant) -> i64 {
        self.offset.saturating_add_unsigned(self.seconds(now))
    }

    /// When an enabled cause next occurs.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        // While the line is asserted, nothing but the alarm has a further effect: it is also a wake event.
        let quiet = !self.interrupt();
        let running = !self.b.contains(RegisterB::SET);
        let alarm_due = running && !self.c.contains(RegisterC::ALARM);
        let update = (quiet && running && self.b.contains(RegisterB::UPDATE_INTERRUPT))
            .then(|| self.second_starts(self.seconds(self.settled) + 1));
        let alarm = (alarm_due && self.b.contains(RegisterB::ALARM_INTERRUPT)).then(|| {
            self.alarm_at
                .map(|at| self.second_starts(u64::try_from(at.saturating_sub(self.offset)).unwrap_or(0)))
        });
        let periodic =
            self.period_hz().filter(|_| quiet && self.b.contains(RegisterB::PERIODIC_INTERRUPT)).map(|hz| {
                let next = ticks::reached(self.ticks(hz, self.settled) + 1, hz);
                Instant(next.0.saturating_sub(self.phase))
            });
        Instant::earliest([update, alarm.flatten(), periodic])
    }

    /// Advances to `now`.
    pub fn advance(&mut self, now: Instant) -> Effects {
        self.settle(now)
    }

    /// Moves the causes that have occurred up to `now` into register C.
    fn settle(&mut self, now: Instant) -> Effects {
        if now <= self.settled {
            return Effects::empty();
        }
        let line = self.interrupt();
        let (before, second) = (self.unix_seconds(self.settled), self.unix_seconds(now));
        if !self.b.contains(RegisterB::SET) && before != second {
            self.c |= RegisterC::UPDATE;
            if self.alarm_at.is_some_and(|at| at <= second) {
                self.alarm |= self.b.contains(RegisterB::ALARM_INTERRUPT);
                self.c |= RegisterC::ALARM;
                self.find_alarm(now);
            }
        }
        if self.period_hz().is_some_and(|hz| self.ticks(hz, self.settled) != self.ticks(hz, now)) {
            self.c |= RegisterC::PERIODIC;
        }
        self.settled = now;
        if line == self.interrupt() && !self.alarm {
            return Effects::empty();
        }
        Effects::IRQ_CHANGED | Effects::TIMER_CHANGED
    }

    fn seconds(&self, now: Instant) -> u64 {
        (now.0.saturating_add(self.phase)) / SECOND
    }

    fn second_starts(&self, second: u64) -> Instant {
        Instant(second.saturating_mul(SECOND).saturating_sub(self.phase))
    }

    /// Ticks of the periodic rate `hz` so far.
    fn ticks(&self, hz: u32, now: Instant) -> u64 {
        ticks::passed(Instant(now.0.saturating_add(self.phase)), hz)
    }

    /// The periodic rate for the 32.768 kHz crystal [MC146818A table 5]; None while disabled or while the
    /// divider is held in reset.
    fn period_hz(&self) -> Option<u32> {
        match (self.a & 0x0f, self.divider_in_reset()) {
            (0, _) | (_, true) => None,
            // The first two rates repeat those of 8 and 9.
            (rate @ 1..=2, _) => Some(32_768 >> (rate + 6)),
            (rate, _) => Some(32_768 >> (rate - 1)),
        }
    }

    fn divider_in_reset(&self) -> bool {
        self.a & 0x60 == 0x60
    }

    fn update_in_progress(&self, now: Instant) -> u8 {
        let in_second = now.0.saturating_add(self.phase) % SECOND;
        let soon = in_second >= SECOND - UIP_NANOS;
        if soon && !self.b.contains(RegisterB::SET) && !self.divider_in_reset() { UIP } else { 0 }
    }

    /// Leaving divider reset, the first update comes half a second later [MC146818A: divider control].
    fn write_a(&mut self, value: u8, now: Instant) {
        let was_reset = self.divider_in_reset();
        self.a = value;
        if was_reset && !self.divider_in_reset() {
            let shown = self.unix_seconds(now);
            self.phase = (SECOND + SECOND / 2 - now.0 % SECOND) % SECOND;
            self.offset = shown.saturating_sub_unsigned(self.seconds(now));
        }
    }

    /// While SET freezes the registers they are plain memory; clearing it starts the clock from them.
    fn write_b(&mut self, value: RegisterB, now: Instant) {
        self.show_time(now);
        let was_set = self.b.contains(RegisterB::SET);
        // SET going high clears UIE [MC146818A: register B].
        let value = if value.contains(RegisterB::SET) { value - RegisterB::UPDATE_INTERRUPT } else { value };
        // An alarm that went off before its interrupt was enabled interrupts now, and is a wake event like any other.
        let enabled = value - self.b;
        self.alarm |= enabled.contains(RegisterB::ALARM_INTERRUPT) && self.c.contains(RegisterC::ALARM);
        self.b = value;
        if was_set && !value.contains(RegisterB::SET) {
            self.take_time(now);
        }
    }

    /// Writes the running time into the registers.
    fn show_time(&mut self, now: Instant) {
        if !self.b.contains(RegisterB::SET) {
            self.cmos.set_time(&Calendar::from_unix(self.unix_seconds(now)), self.b);
        }
    }

    /// Takes the running time from the registers.
    fn take_time(&mut self, now: Instant) {
        if !self.b.contains(RegisterB::SET) {
            self.offset = self.cmos.time(self.b).to_unix().saturating_sub_unsigned(self.seconds(now));
        }
    }

    fn find_alarm(&mut self, now: Instant) {
        let second = self.unix_seconds(now);
        let in_day = u32::try_from(second.rem_euclid(DAY)).unwrap_or(0);
        self.alarm_at = self.cmos.next_alarm(self.b, in_day).map(|wait| second.saturating_add(wait.into()));
    }
}

#[cfg(test)]
mod tests;
