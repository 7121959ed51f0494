//! The 8254 programmable interval timer, and port 61h, which gates its third counter.
//!
//! Counters are functions of time: nothing counts down. The clock runs at 1,193,182 Hz, and every conversion
//! starts from [`Instant::ZERO`], so nothing drifts.

mod counter;

use super::ticks;
use base::{Effects, Instant};
use counter::PitCounter;

/// Frequency of the counters' clock in Hz.
pub const PIT_HZ: u32 = 1_193_182;
/// The first of four ports: counters 0 to 2 and the control word register.
pub const FIRST_PORT: u16 = 0x40;
/// The control word register.
pub const CONTROL_PORT: u16 = 0x43;
/// System control port B.
pub const PORT_61: u16 = 0x61;

/// Port 61h, writable bits: gate of counter 2, speaker data, and two error enables that are stored only.
const GATE_2: u8 = 1 << 0;
const WRITABLE: u8 = 0x0f;
/// Port 61h, read-only bits.
const REFRESH: u8 = 1 << 4;
const OUT_2: u8 = 1 << 5;
/// Half a period of the refresh signal.
const REFRESH_NANOS: u64 = 15_085;

/// The timer. Counter 0's output is interrupt 0.
///
/// The interrupt is edge-triggered: if [`Pit::take_irq0_edge`] is true after a call that returned
/// `IRQ_CHANGED`, the line has been low and has risen, once or several times; it now has the level
/// [`Pit::irq0`].
///
/// ```
/// use base::Instant;
/// use platform::pit::{CONTROL_PORT, FIRST_PORT, Pit};
///
/// let mut pit = Pit::new();
/// // Counter 0 as rate generator with a count of 11,932: about 100 Hz.
/// for (port, value) in [(CONTROL_PORT, 0x34), (FIRST_PORT, 0x9c), (FIRST_PORT, 0x2e)] {
///     let _ = pit.write(port, value, Instant::ZERO);
/// }
/// let deadline = pit.next_deadline().expect("the counter is running");
/// assert_eq!(deadline.0 / 1_000_000, 10);
/// ```
#[derive(Debug, Clone)]
pub struct Pit {
    counters: [PitCounter; 3],
    port_61: u8,
    output: bool,
    edge: bool,
}

impl Default for Pit {
    fn default() -> Self {
        Self::new()
    }
}

impl Pit {
    /// A timer whose counters are not running yet.
    #[must_use]
    pub fn new() -> Self {
        // Software controls only the gate of counter 2.
        Self {
            counters: [PitCounter::new(true), PitCounter::new(true), PitCounter::new(false)],
            port_61: 0,
            // The output of an idle counter 0: its first use makes no edge.
            output: true,
            edge: false,
        }
    }

    /// Reads a byte from one of the timer's ports or [`PORT_61`]. The control word register cannot be read.
    pub fn read(&mut self, port: u16, now: Instant) -> u8 {
        let tick = tick(now);
        if port == PORT_61 {
            let refresh = if now.0 / REFRESH_NANOS % 2 == 1 { REFRESH } else { 0 };
            let [_, _, speaker] = &self.counters;
            let out = if speaker.at(tick).output(tick) { OUT_2 } else { 0 };
            return self.port_61 | refresh | out;
        }
        let counter = self.counters.get_mut(usize::from(port.wrapping_sub(FIRST_PORT)));
        counter.map_or(0xff, |counter| counter.read(tick))
    }

    /// Writes a byte to one of the timer's ports or [`PORT_61`].
    pub fn write(&mut self, port: u16, value: u8, now: Instant) -> Effects {
        // An edge before the write must not be lost.
        let before = self.advance(now);
        let tick = tick(now);
        match port {
            PORT_61 => {
                self.port_61 = value & WRITABLE;
                self.counters[2].set_gate(value & GATE_2 != 0, tick);
            }
            CONTROL_PORT => self.control(value, tick),
            _ => {
                if let Some(counter) = self.counters.get_mut(usize::from(port.wrapping_sub(FIRST_PORT))) {
                    counter.write(value, tick);
                }
            }
        }
        before | self.settle_output(tick) | Effects::TIMER_CHANGED
    }

    /// The level of interrupt 0. In modes 2 and 3 it falls only to rise again; these falls are not shown, so
    /// no wake-up is needed for them.
    #[must_use]
    pub fn irq0(&self) -> bool {
        self.output
    }

    /// True when interrupt 0 has risen since the last call.
    pub fn take_irq0_edge(&mut self) -> bool {
        core::mem::take(&mut self.edge)
    }

    /// When interrupt 0 next rises.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.counters[0].next_rise().map(instant)
    }

    /// Advances to `now`. Several periods at once make one edge, and the phase is kept.
    pub fn advance(&mut self, now: Instant) -> Effects {
        if !self.counters[0].advance(tick(now)) {
            return Effects::empty();
        }
        (self.output, self.edge) = (true, true);
        Effects::IRQ_CHANGED | Effects::TIMER_CHANGED
    }

    /// Control word: a counter's mode, a counter latch, or a read-back command [8254: control word format,
    /// read-back command].
    fn control(&mut self, value: u8, tick: u64) {
        const READ_BACK: u8 = 3;
        const NO_COUNT: u8 = 1 << 5;
        const NO_STATUS: u8 = 1 << 4;
        let selected = value >> 6;
        for (index, counter) in self.counters.iter_mut().enumerate() {
            if selected == READ_BACK {
                if value & 2 << index != 0 {
                    counter.read_back(value & NO_COUNT == 0, value & NO_STATUS == 0, tick);
                }
            } else if usize::from(selected) == index {
                counter.control(value, tick);
            }
        }
    }

    /// A write may have changed counter 0's output at once.
    fn settle_output(&mut self, tick: u64) -> Effects {
        let level = self.counters[0].output(tick);
        if level == self.output {
            return Effects::empty();
        }
        self.edge |= level;
        self.output = level;
        Effects::IRQ_CHANGED
    }
}

/// Periods of the clock that have passed at `now`.
fn tick(now: Instant) -> u64 {
    ticks::passed(now, PIT_HZ)
}

/// The first instant at which `tick` periods have passed.
fn instant(tick: u64) -> Instant {
    ticks::reached(tick, PIT_HZ)
}

#[cfg(test)]
mod tests;
