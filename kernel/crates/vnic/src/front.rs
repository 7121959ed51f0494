//! The register half of a vNIC: what its guest's core does alone, without a lock, and when that needs the data half.
//!
//! A driver's registers in operation are here: the interrupt registers, `STATUS` and the tails. All others set something up or
//! are read at leisure; their accesses go to the data half.

use crate::device::VnicEngine;
use crate::fault::RingKind;
use crate::shared::SharedState;
use alloc::sync::Arc;
use base::{Duration, Effects, Instant};
use core::ops::DerefMut;
use core::sync::atomic::Ordering;
use intel_regs::reg;

/// The interrupt line: throttling [8254x 13.4.18].
#[derive(Clone, Copy, Default)]
pub(crate) struct InterruptLine {
    interval: u32,
    asserted: bool,
    quiet_until: Instant,
}

impl InterruptLine {
    /// Writes `ITR`. A shorter interval takes effect at once.
    fn set_throttle(&mut self, interval: u32, now: Instant) {
        self.interval = interval & 0xffff;
        self.quiet_until = self.quiet_until.min(now + self.gap());
    }

    /// No throttling. The line falls when it is settled, since reset clears the causes.
    fn reset(&mut self) {
        *self = Self { asserted: self.asserted, ..Self::default() };
    }

    fn gap(&self) -> Duration {
        Duration::from_nanos(u64::from(self.interval) * reg::ITR_UNIT_NS)
    }

    /// Updates the line. Two assertions are at least `ITR` apart; once asserted, the line stays asserted until the causes are
    /// cleared or masked.
    pub(crate) fn settle(&mut self, pending: bool, now: Instant) {
        if !pending {
            self.asserted = false;
        } else if !self.asserted && now >= self.quiet_until {
            self.asserted = true;
            self.quiet_until = now + self.gap();
        }
    }

    /// Its level.
    pub(crate) fn is_asserted(&self) -> bool {
        self.asserted
    }

    /// When it is asserted, if it is only throttled.
    pub(crate) fn deadline(&self, pending: bool) -> Option<Instant> {
        (pending && !self.asserted).then_some(self.quiet_until)
    }
}

/// Where the register half finds the data half.
pub trait DataHalf {
    /// Locks it.
    fn lock(&mut self) -> impl DerefMut<Target = VnicEngine>;
}

impl DataHalf for &mut VnicEngine {
    fn lock(&mut self) -> impl DerefMut<Target = VnicEngine> {
        &mut **self
    }
}

/// The register half of a vNIC, which belongs to its guest's core.
///
/// Accesses lock the data half only for registers that are not among those of this half.
pub struct VnicFront {
    pub(crate) shared: Arc<SharedState>,
    pub(crate) line: InterruptLine,
    /// When this half had to be called again, as last told.
    told: Option<Instant>,
    /// `IOADDR`.
    pub(crate) io_address: u32,
}

impl VnicFront {
    /// The register half that belongs to a data half.
    pub(crate) fn new(shared: Arc<SharedState>) -> Self {
        Self { shared, line: InterruptLine::default(), told: None, io_address: 0 }
    }

    /// Reads the 4-byte register at `offset` of the memory window; the low two bits of `offset` are ignored.
    /// Reading has side effects: it clears `ICR` and the statistics.
    pub(crate) fn read(&mut self, offset: u32, now: Instant, engine: &mut impl DataHalf) -> (u32, Effects) {
        let mut effects = Effects::empty();
        let value = match offset & !3 {
            reg::STATUS => self.shared.status.load(Ordering::Acquire),
            reg::ICR => self.shared.take_causes(),
            // The causes, as in ICR but without clearing them; drivers of VxWorks read them here.
            reg::ICS => self.shared.causes(),
            reg::ITR => self.line.interval,
            reg::IMS => self.shared.mask(),
            reg::RDT => self.shared.tail(RingKind::Receive),
            reg::TDT => self.shared.tail(RingKind::Transmit),
            offset => {
                let (value, changes) = engine.lock().read(offset, now);
                effects = changes;
                value
            }
        };
        (value, effects | self.settle(now))
    }

    /// Writes the 4-byte register at `offset` of the memory window; the low two bits of `offset` are ignored.
    pub(crate) fn write(
        &mut self,
        offset: u32,
        value: u32,
        now: Instant,
        engine: &mut impl DataHalf,
    ) -> Effects {
        let mut effects = Effects::empty();
        match offset & !3 {
            reg::ICR => self.shared.clear(value),
            reg::ITR => self.line.set_throttle(value, now),
            reg::ICS => self.shared.force(value),
            reg::IMS => self.shared.enable(value),
            reg::IMC => self.shared.disable(value),
            reg::RDT if self.shared.admits(RingKind::Receive, value) => {
                self.shared.set_tail(RingKind::Receive, value);
                effects.set(Effects::RX_SPACE, self.shared.take_starving());
            }
            reg::TDT if self.shared.admits(RingKind::Transmit, value) => {
                // Also with the tail that was there: the ring may be another one, or have been mended.
                self.shared.set_tail(RingKind::Transmit, value);
                effects = Effects::TX_KICK;
            }
            offset => {
                effects = engine.lock().write(offset, value, now);
                if effects.contains(Effects::RESET) {
                    self.line.reset();
                }
            }
        }
        effects | self.settle(now)
    }

    /// Updates the interrupt line from what either half has done, and returns what changed.
    pub fn settle(&mut self, now: Instant) -> Effects {
        let (pending, before) = (self.shared.is_pending(), self.line.is_asserted());
        self.line.settle(pending, now);
        let deadline = self.next_deadline();
        let mut effects = Effects::empty();
        effects.set(Effects::IRQ_CHANGED, self.line.is_asserted() != before);
        effects.set(Effects::TIMER_CHANGED, core::mem::replace(&mut self.told, deadline) != deadline);
        effects
    }

    /// The level of the interrupt line, INTA#, as of the last call: true when asserted.
    #[must_use]
    pub fn interrupt_line(&self) -> bool {
        self.line.is_asserted()
    }

    /// When [`settle`](Self::settle) must be called next, unless another call changes this first; before that,
    /// [`VnicEngine::advance`] if the data half [is due](Self::is_due).
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        Instant::earliest([self.line.deadline(self.shared.is_pending()), self.shared.due()])
    }

    /// True when a delayed cause of the data half is due.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.shared.due().is_some_and(|due| due <= now)
    }

    /// Returns the effects of the data half's port operations since the last call, and clears them.
    pub fn take_effects(&mut self) -> Effects {
        self.shared.take_effects()
    }

    /// True if [faults](VnicEngine::faults) wait that nobody was told of.
    pub fn take_faulty(&mut self) -> bool {
        self.shared.take_faulty()
    }

    /// Powers this half off and on, after the data half.
    pub fn power_cycle(&mut self) {
        *self = Self::new(self.shared.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(line: &mut InterruptLine, pending: bool, at: u64) -> bool {
        line.settle(pending, Instant(at));
        line.is_asserted()
    }

    #[test]
    fn assertions_are_an_interval_apart() {
        let mut line = InterruptLine::default();
        line.set_throttle(100, Instant(0));
        assert!(settled(&mut line, true, 1000));
        assert!(!settled(&mut line, false, 1000));
        assert!(!settled(&mut line, true, 1001));
        assert_eq!(line.deadline(true), Some(Instant(1000 + 100 * 256)));
        assert!(settled(&mut line, true, 1000 + 100 * 256));
    }

    #[test]
    fn a_line_that_stayed_asserted_does_not_prolong_the_interval() {
        let mut line = InterruptLine::default();
        line.set_throttle(10, Instant(0));
        assert!(settled(&mut line, true, 0));
        assert!(settled(&mut line, true, 100_000));
        assert!(!settled(&mut line, false, 100_000));
        assert!(settled(&mut line, true, 100_001));
    }

    #[test]
    fn a_shorter_throttle_takes_effect_at_once() {
        let mut line = InterruptLine::default();
        line.set_throttle(0xffff, Instant(0));
        assert!(settled(&mut line, true, 0));
        assert!(!settled(&mut line, false, 0));
        line.set_throttle(0, Instant(5));
        assert!(settled(&mut line, true, 5));
    }
}
