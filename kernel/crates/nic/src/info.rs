//! What is known of a NIC, without its driver.

use crate::chip::NicChip;
use crate::{NicDriver, NicHost, NicState};
use base::time::Duration;
use base::{ByteRates, Instant, NicCondition, NicInfo};

/// Bytes that have passed a NIC, and how fast they did lately.
pub(crate) struct RateMeter {
    since: Instant,
    sent: u64,
    received: u64,
    pub(crate) rates: ByteRates,
}

impl RateMeter {
    /// A NIC that nothing has passed.
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, sent: 0, received: 0, rates: ByteRates::default() }
    }

    /// Takes note of how many bytes have passed since the beginning.
    pub(crate) fn note(&mut self, sent: u64, received: u64, now: Instant) {
        let time = now - core::mem::replace(&mut self.since, now);
        let rate = |last: &mut u64, bytes: u64| per_second(bytes - core::mem::replace(last, bytes), time);
        self.rates =
            ByteRates { sent: rate(&mut self.sent, sent), received: rate(&mut self.received, received) };
    }
}

fn per_second(bytes: u64, time: Duration) -> u64 {
    const SECOND: u128 = Duration::from_secs(1).as_nanos();
    let rate = (u128::from(bytes) * SECOND).checked_div(time.as_nanos());
    rate.map_or(0, |rate| u64::try_from(rate).unwrap_or(u64::MAX))
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// What is known of the NIC now.
    #[must_use]
    pub fn info(&self) -> NicInfo {
        NicInfo {
            condition: match self.state {
                NicState::Running => NicCondition::Ready,
                NicState::Resetting if self.counters.resets == 0 => NicCondition::Starting,
                NicState::Resetting => NicCondition::Resetting,
                NicState::Failed(_) => NicCondition::Failed,
            },
            link: self.link(),
            queued: self.queues.transmit.frames.depth(),
            rates: if self.is_running() { self.rate.rates } else { ByteRates::default() },
            waits_since: self
                .queues
                .transmit
                .waits_since()
                .filter(|_| !self.queues.transmit.frames.are_held()),
            sent_bytes: self.queues.transmit.frames.sent_bytes,
            received_frames: self.queues.counters.rx_frames,
            received_bytes: self.queues.counters.rx_bytes,
            errors: self.statistics.errors() + self.counters.transmit_hangs,
        }
    }

    /// Takes note of what has passed the NIC since the last check.
    pub(crate) fn note_rate(&mut self, now: Instant) {
        self.rate.note(self.queues.transmit.frames.sent_bytes, self.queues.counters.rx_bytes, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_since_the_last_check() {
        let mut meter = RateMeter::new(Instant(0));
        meter.note(1_000, 50, Instant(100_000_000));
        assert_eq!(meter.rates, ByteRates { sent: 10_000, received: 500 });
        meter.note(1_000, 50, Instant(100_000_000));
        meter.note(1_000, 150, Instant(300_000_000));
        assert_eq!(meter.rates, ByteRates { sent: 0, received: 500 });
        meter.note(u64::MAX, 150, Instant(300_000_001));
        assert_eq!(meter.rates.sent, u64::MAX);
    }
}
