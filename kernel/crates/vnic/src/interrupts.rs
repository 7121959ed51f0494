//! Interrupt causes that frames raise, and the timers that delay them [8254x 13.4.17 to 13.4.21].

use crate::shared::SharedState;
use alloc::sync::Arc;
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

/// The interrupt causes of one vNIC, as the data half raises them.
pub(crate) struct VnicInterrupts {
    pub(crate) shared: Arc<SharedState>,
    /// An interrupt has become pending since the register half was told.
    news: bool,
    /// Delays `RXT0`.
    pub(crate) receive: DelayTimer,
    /// Delays `TXDW`.
    pub(crate) transmit: DelayTimer,
}

impl VnicInterrupts {
    /// No causes.
    pub(crate) fn new(shared: Arc<SharedState>) -> Self {
        shared.set_due(None);
        Self { shared, news: false, receive: DelayTimer::default(), transmit: DelayTimer::default() }
    }

    /// Sets causes, as hardware does.
    pub(crate) fn raise(&mut self, causes: Interrupt) {
        self.news |= self.shared.raise(causes.bits());
    }

    /// Stops the timers and clears causes and mask.
    pub(crate) fn reset(&mut self) {
        self.shared.reset_interrupts();
        self.receive.stop();
        self.transmit.stop();
    }

    /// Raises the causes whose delay timers have expired, and publishes when the next one does. Returns whether an interrupt
    /// has become pending, and whether that time has changed.
    pub(crate) fn publish(&mut self, now: Instant) -> (bool, bool) {
        if self.receive.expire(now) {
            self.raise(Interrupt::RXT0);
        }
        if self.transmit.expire(now) {
            self.raise(Interrupt::TXDW);
        }
        let due = Instant::earliest([self.receive.deadline(), self.transmit.deadline()]);
        (core::mem::take(&mut self.news), self.shared.set_due(due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_timer_restarts_and_absolute_timer_bounds_it() {
        let shared = Arc::new(SharedState::default());
        let mut interrupts = VnicInterrupts::new(shared.clone());
        shared.enable(u32::MAX);
        interrupts.receive.start(Instant(0), 10, 15);
        assert_eq!(interrupts.publish(Instant(0)), (false, true));
        assert_eq!(shared.due(), Some(Instant(10 * 1024)));
        interrupts.receive.start(Instant(9 * 1024), 10, 15);
        assert_eq!(interrupts.publish(Instant(9 * 1024)), (false, true));
        assert_eq!(shared.due(), Some(Instant(15 * 1024)));
        assert_eq!(interrupts.publish(Instant(15 * 1024 - 1)), (false, false));
        assert_eq!(interrupts.publish(Instant(15 * 1024)), (true, true));
        assert_eq!((shared.take_causes(), shared.due()), (Interrupt::RXT0.bits(), None));
    }
}
