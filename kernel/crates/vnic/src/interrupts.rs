//! Interrupt causes, mask, throttling and the delay timers [8254x 13.4.17 to 13.4.21].

use base::{Duration, Instant};
use intel_regs::{Interrupt, reg};

/// A delayed cause: one timer that every event restarts, and one that the first event starts and that bounds the
/// delay [8254x 3.2.7.1, 13.4.31, 13.4.44].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DelayTimer {
    packet: Option<Instant>,
    absolute: Option<Instant>,
}

impl DelayTimer {
    /// Records an event. `packet` and `absolute` are the register values; an `absolute` of 0 means no bound.
    pub(crate) fn start(&mut self, now: Instant, packet: u32, absolute: u32) {
        self.packet = Some(now + delay(packet));
        if absolute != 0 && self.absolute.is_none() {
            self.absolute = Some(now + delay(absolute));
        }
    }

    /// Stops both timers.
    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }

    /// True while an event is delayed.
    pub(crate) fn is_running(&self) -> bool {
        self.packet.is_some()
    }

    fn deadline(&self) -> Option<Instant> {
        Instant::earliest([self.packet, self.absolute])
    }

    /// If either timer has expired, stops both and returns true.
    fn expire(&mut self, now: Instant) -> bool {
        let due = self.deadline().is_some_and(|deadline| deadline <= now);
        if due {
            self.stop();
        }
        due
    }
}

fn delay(units: u32) -> Duration {
    Duration::from_nanos(u64::from(units) * reg::DELAY_UNIT_NS)
}

/// The interrupt logic of one vNIC.
#[derive(Default)]
pub(crate) struct VnicInterrupts {
    causes: u32,
    mask: u32,
    interval: u32,
    asserted: bool,
    quiet_until: Instant,
    /// Delays `RXT0`.
    pub(crate) receive: DelayTimer,
    /// Delays `TXDW`.
    pub(crate) transmit: DelayTimer,
}

impl VnicInterrupts {
    /// Sets causes, as hardware does.
    pub(crate) fn raise(&mut self, causes: Interrupt) {
        self.causes |= causes.bits();
    }

    /// Writes `ICS`: sets causes by their bits.
    pub(crate) fn force(&mut self, causes: u32) {
        self.causes |= causes & Interrupt::WRITABLE;
    }

    /// Reads `ICS`: the causes, which stay set.
    pub(crate) fn causes(&self) -> u32 {
        self.causes
    }

    /// Reads and clears `ICR`.
    pub(crate) fn read_causes(&mut self) -> u32 {
        core::mem::take(&mut self.causes)
    }

    /// Writes `ICR`: clears the causes written as 1.
    pub(crate) fn clear(&mut self, causes: u32) {
        self.causes &= !causes;
    }

    /// Reads `IMS`.
    pub(crate) fn mask(&self) -> u32 {
        self.mask
    }

    /// Writes `IMS`.
    pub(crate) fn enable(&mut self, causes: u32) {
        self.mask |= causes & Interrupt::WRITABLE;
    }

    /// Writes `IMC`.
    pub(crate) fn disable(&mut self, causes: u32) {
        self.mask &= !causes;
    }

    /// Reads `ITR`.
    pub(crate) fn throttle(&self) -> u32 {
        self.interval
    }

    /// Writes `ITR`. A shorter interval takes effect at once.
    pub(crate) fn set_throttle(&mut self, interval: u32, now: Instant) {
        self.interval = interval & 0xffff;
        self.quiet_until = self.quiet_until.min(now + self.gap());
    }

    fn gap(&self) -> Duration {
        Duration::from_nanos(u64::from(self.interval) * reg::ITR_UNIT_NS)
    }

    /// The level of the interrupt line.
    pub(crate) fn line(&self) -> bool {
        self.asserted
    }

    fn pending(&self) -> bool {
        self.causes & self.mask != 0
    }

    /// Raises the causes whose delay timers have expired.
    pub(crate) fn expire(&mut self, now: Instant) {
        if self.receive.expire(now) {
            self.raise(Interrupt::RXT0);
        }
        if self.transmit.expire(now) {
            self.raise(Interrupt::TXDW);
        }
    }

    /// Updates the line from causes, mask and throttling. Two assertions are at least `ITR` apart; once asserted,
    /// the line stays asserted until the causes are cleared or masked.
    pub(crate) fn settle(&mut self, now: Instant) {
        if !self.pending() {
            self.asserted = false;
        } else if !self.asserted && now >= self.quiet_until {
            self.asserted = true;
            self.quiet_until = now + self.gap();
        }
    }

    /// The next time at which the state changes without another access or event.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let throttled = (self.pending() && !self.asserted).then_some(self.quiet_until);
        Instant::earliest([throttled, self.receive.deadline(), self.transmit.deadline()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanoseconds: u64) -> Instant {
        Instant(nanoseconds)
    }

    #[test]
    fn a_masked_cause_is_kept_but_does_not_assert() {
        let mut interrupts = VnicInterrupts::default();
        interrupts.raise(Interrupt::LSC);
        interrupts.settle(at(0));
        assert!(!interrupts.line());
        interrupts.enable(Interrupt::LSC.bits());
        interrupts.settle(at(1));
        assert!(interrupts.line());
        assert_eq!(interrupts.read_causes(), Interrupt::LSC.bits());
        interrupts.settle(at(2));
        assert!(!interrupts.line());
    }

    #[test]
    fn assertions_are_an_interval_apart() {
        let mut interrupts = VnicInterrupts::default();
        interrupts.enable(u32::MAX);
        interrupts.set_throttle(100, at(0));
        interrupts.raise(Interrupt::RXT0);
        interrupts.settle(at(1000));
        assert!(interrupts.line());
        interrupts.read_causes();
        interrupts.settle(at(1000));
        interrupts.raise(Interrupt::RXT0);
        interrupts.settle(at(1001));
        assert!(!interrupts.line());
        assert_eq!(interrupts.next_deadline(), Some(at(1000 + 100 * 256)));
        interrupts.settle(at(1000 + 100 * 256));
        assert!(interrupts.line());
    }

    #[test]
    fn a_line_that_stayed_asserted_does_not_prolong_the_interval() {
        let mut interrupts = VnicInterrupts::default();
        interrupts.enable(u32::MAX);
        interrupts.set_throttle(10, at(0));
        interrupts.raise(Interrupt::RXT0);
        interrupts.settle(at(0));
        interrupts.settle(at(100_000));
        interrupts.read_causes();
        interrupts.settle(at(100_000));
        interrupts.raise(Interrupt::RXT0);
        interrupts.settle(at(100_001));
        assert!(interrupts.line());
    }

    #[test]
    fn a_shorter_throttle_takes_effect_at_once() {
        let mut interrupts = VnicInterrupts::default();
        interrupts.enable(u32::MAX);
        interrupts.set_throttle(0xffff, at(0));
        interrupts.raise(Interrupt::RXT0);
        interrupts.settle(at(0));
        interrupts.read_causes();
        interrupts.settle(at(0));
        interrupts.raise(Interrupt::RXT0);
        interrupts.set_throttle(0, at(5));
        interrupts.settle(at(5));
        assert!(interrupts.line());
    }

    #[test]
    fn packet_timer_restarts_and_absolute_timer_bounds_it() {
        let mut interrupts = VnicInterrupts::default();
        interrupts.receive.start(at(0), 10, 15);
        assert_eq!(interrupts.next_deadline(), Some(at(10 * 1024)));
        interrupts.receive.start(at(9 * 1024), 10, 15);
        assert_eq!(interrupts.next_deadline(), Some(at(15 * 1024)));
        interrupts.expire(at(15 * 1024 - 1));
        assert_eq!(interrupts.read_causes(), 0);
        interrupts.expire(at(15 * 1024));
        assert_eq!(interrupts.read_causes(), Interrupt::RXT0.bits());
        assert_eq!(interrupts.next_deadline(), None);
    }
}
