//! One counter of the 8254, as a function of the number of clock periods that have passed ("tick").
//!
//! Two simplifications: a count is loaded by the write instead of one period later, and in mode 3 a count
//! written while another is running takes effect at the end of the whole period instead of the half [8254:
//! mode definitions].

use base::bits::{low_u16, low_u32};

/// Bits 5:4 of the control word: which bytes of the count are read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ByteSelection {
    Low = 1,
    High = 2,
    Both = 3,
}

/// State of the counting element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CounterState {
    /// Not started: no count, or no trigger yet.
    Idle,
    /// Counting since this tick.
    Running { since: u64 },
    /// Stopped by the gate after this many ticks.
    Held { elapsed: u64 },
}

/// A counter.
#[derive(Debug, Clone)]
pub(super) struct PitCounter {
    mode: u8,
    bcd: bool,
    bytes: ByteSelection,
    gate: bool,
    /// The count in use, 1 to 65,536 (10,000 in BCD), and the one in the count register.
    count: u32,
    register: Option<u32>,
    /// When `register` replaces `count` in modes 2 and 3.
    reload_at: Option<u64>,
    state: CounterState,
    /// The low byte written, while the high byte is awaited.
    low_written: Option<u8>,
    high_next: bool,
    latched_count: Option<u16>,
    latched_status: Option<u8>,
    /// The tick up to which [`PitCounter::advance`] has reported rises of the output.
    reported: u64,
}

impl PitCounter {
    /// A counter without a count, in mode 3 with both bytes, as PC firmware uses it.
    pub(super) fn new(gate: bool) -> Self {
        Self {
            mode: 3,
            bcd: false,
            bytes: ByteSelection::Both,
            gate,
            count: 1 << 16,
            register: None,
            reload_at: None,
            state: CounterState::Idle,
            low_written: None,
            high_next: false,
            latched_count: None,
            latched_status: None,
            reported: 0,
        }
    }

    /// A control word for this counter; with no bytes selected it is the counter latch command.
    pub(super) fn control(&mut self, word: u8, tick: u64) {
        self.bytes = match word >> 4 & 3 {
            0 => return self.read_back(true, false, tick),
            1 => ByteSelection::Low,
            2 => ByteSelection::High,
            _ => ByteSelection::Both,
        };
        // Modes 2 and 3 have two encodings each.
        self.mode = match word >> 1 & 7 {
            mode @ 6..=7 => mode - 4,
            mode => mode,
        };
        self.bcd = word & 1 != 0;
        (self.register, self.reload_at, self.state) = (None, None, CounterState::Idle);
        (self.low_written, self.high_next) = (None, false);
        (self.latched_count, self.latched_status) = (None, None);
        self.reported = tick;
    }

    /// Latches count and status, unless already latched.
    pub(super) fn read_back(&mut self, count: bool, status: bool, tick: u64) {
        let present = self.at(tick);
        if status && self.latched_status.is_none() {
            let null_count = present.register.is_some() || present.state == CounterState::Idle;
            let output = u8::from(present.output(tick)) << 7 | u8::from(null_count) << 6;
            let word = (self.bytes as u8) << 4 | self.mode << 1 | u8::from(self.bcd);
            self.latched_status = Some(output | word);
        }
        if count && self.latched_count.is_none() {
            self.latched_count = Some(present.value(tick));
        }
    }

    pub(super) fn read(&mut self, tick: u64) -> u8 {
        if let Some(status) = self.latched_status.take() {
            return status;
        }
        let [low, high] = self.latched_count.unwrap_or_else(|| self.at(tick).value(tick)).to_le_bytes();
        let is_high =
            self.bytes == ByteSelection::High || (self.bytes == ByteSelection::Both && self.high_next);
        if self.bytes == ByteSelection::Both {
            self.high_next = !self.high_next;
        }
        if self.bytes != ByteSelection::Both || is_high {
            self.latched_count = None;
        }
        if is_high { high } else { low }
    }

    /// A byte of a new count.
    pub(super) fn write(&mut self, byte: u8, tick: u64) {
        let value = match (self.bytes, self.low_written.take()) {
            (ByteSelection::Low, _) => u16::from(byte),
            (ByteSelection::High, _) => u16::from(byte) << 8,
            (ByteSelection::Both, Some(low)) => u16::from_le_bytes([low, byte]),
            (ByteSelection::Both, None) => {
                self.low_written = Some(byte);
                // The first of two bytes stops mode 0.
                if self.mode == 0 {
                    self.state = CounterState::Idle;
                }
                return;
            }
        };
        let count = self.decode(value);
        self.take_register(tick);
        match (self.mode, self.state) {
            // Only a trigger starts these.
            (1 | 5, _) => self.register = Some(count),
            (2 | 3, CounterState::Running { since }) => {
                let period = u64::from(self.count);
                let periods = (tick.saturating_sub(since)) / period + 1;
                self.register = Some(count);
                self.reload_at = Some(since + periods * period);
            }
            _ => {
                self.count = count;
                self.state = if self.gate {
                    CounterState::Running { since: tick }
                } else {
                    CounterState::Held { elapsed: 0 }
                };
                self.reported = tick;
            }
        }
    }

    /// The gate input: a level in modes 0 and 4, a trigger in 1 and 5, both in 2 and 3.
    pub(super) fn set_gate(&mut self, gate: bool, tick: u64) {
        self.take_register(tick);
        let rises = gate && !self.gate;
        self.gate = gate;
        self.state = match (self.mode, self.state) {
            (1 | 5, state) => {
                if !rises || (self.register.is_none() && state == CounterState::Idle) {
                    return;
                }
                self.count = self.register.take().unwrap_or(self.count);
                CounterState::Running { since: tick }
            }
            (_, CounterState::Running { since }) if !gate => {
                CounterState::Held { elapsed: tick.saturating_sub(since) }
            }
            (2 | 3, CounterState::Held { .. }) if rises => {
                self.count = self.register.take().unwrap_or(self.count);
                self.reload_at = None;
                CounterState::Running { since: tick }
            }
            (_, CounterState::Held { elapsed }) if rises => {
                CounterState::Running { since: tick.saturating_sub(elapsed) }
            }
            (_, state) => state,
        };
    }

    /// The output.
    pub(super) fn output(&self, tick: u64) -> bool {
        let count = u64::from(self.count);
        let Some(elapsed) = self.elapsed(tick) else { return self.mode != 0 };
        match self.mode {
            0 | 1 => elapsed >= count,
            // While the gate is low, the output is high.
            2 | 3 if !self.gate => true,
            2 => elapsed % count != count - 1 || count == 1,
            3 => elapsed % count < count.div_ceil(2),
            _ => elapsed != count,
        }
    }

    /// The first tick after the reported ones at which the output rises.
    pub(super) fn next_rise(&self) -> Option<u64> {
        let CounterState::Running { since } = self.state else { return None };
        let count = u64::from(self.count);
        match self.mode {
            0 | 1 => Some(since + count),
            2 | 3 => {
                let periods = self.reported.saturating_sub(since) / count + 1;
                let next = since + periods * count;
                // Where a new count takes effect, the old one ends.
                return Some(self.reload_at.filter(|at| *at > self.reported).map_or(next, |at| at.min(next)));
            }
            _ => Some(since + count + 1),
        }
        .filter(|rise| *rise > self.reported)
    }

    /// Advances to `tick`; true when the output has risen since the last call.
    pub(super) fn advance(&mut self, tick: u64) -> bool {
        let risen = self.next_rise().is_some_and(|rise| rise <= tick);
        self.take_register(tick);
        self.reported = self.reported.max(tick);
        risen
    }

    /// The counter as it is at `tick`. A look at it must not advance it: [`PitCounter::advance`] reports the
    /// rises up to there.
    pub(super) fn at(&self, tick: u64) -> Self {
        let mut counter = self.clone();
        counter.take_register(tick);
        counter
    }

    /// Loads a count that was written while another was running, once that one has ended.
    fn take_register(&mut self, tick: u64) {
        if let (Some(at), Some(count)) = (self.reload_at.filter(|at| *at <= tick), self.register) {
            (self.count, self.register, self.reload_at) = (count, None, None);
            self.state = CounterState::Running { since: at };
        }
    }

    fn elapsed(&self, tick: u64) -> Option<u64> {
        match self.state {
            CounterState::Idle => None,
            CounterState::Running { since } => Some(tick.saturating_sub(since)),
            CounterState::Held { elapsed } => Some(elapsed),
        }
    }

    /// The value of the counting element, as read.
    fn value(&self, tick: u64) -> u16 {
        let count = u64::from(self.count);
        let elapsed = self.elapsed(tick).unwrap_or(0);
        let value = match self.mode {
            2 => count - elapsed % count,
            // Counts twice per period, by two.
            3 => {
                let (position, high) = (elapsed % count, count.div_ceil(2));
                let step = if position < high { position } else { position - high };
                (count & !1).saturating_sub(2 * step)
            }
            // Continues after zero, without end.
            _ => {
                let range = u64::from(self.range());
                (count + range - elapsed % range) % range
            }
        };
        self.encode(low_u32(value))
    }

    fn range(&self) -> u32 {
        if self.bcd { 10_000 } else { 1 << 16 }
    }

    /// The count that a register value stands for; 0 is the largest.
    fn decode(&self, value: u16) -> u32 {
        let plain = u32::from(value);
        let count = if self.bcd {
            [1000, 100, 10, 1]
                .iter()
                .zip([12, 8, 4, 0])
                .map(|(weight, shift)| weight * (plain >> shift & 15))
                .sum()
        } else {
            plain
        };
        // Digits above 9 are undefined; they must not leave the range.
        match count % self.range() {
            0 => self.range(),
            count => count,
        }
    }

    fn encode(&self, value: u32) -> u16 {
        let value = value % self.range();
        let digit = |weight: u32| value / weight % 10;
        let shown =
            if self.bcd { digit(1000) << 12 | digit(100) << 8 | digit(10) << 4 | digit(1) } else { value };
        low_u16(shown.into())
    }
}
