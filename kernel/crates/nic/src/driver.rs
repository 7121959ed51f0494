//! The driver: construction, the periodic check, recovery.

use crate::chip::NicChip;
use crate::event::EventQueue;
use crate::receive::ReceiveRing;
use crate::transmit::TransmitRing;
use crate::{DriverCounters, HardwareStatistics, LinkStatus, NicError, NicEvent, NicHost, NicRegisters};
use crate::{address, initialise, phy};
use base::time::Duration;
use base::{Instant, MacAddress};
use intel_regs::{Status, reg};

/// Interval between two checks of the NIC by [`NicDriver::check`].
pub const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long the NIC may hold frames without completing one while the link is up. A pause requested by the link
/// partner is no reason for a longer time: the driver leaves flow control off.
pub const TRANSMIT_HANG: Duration = Duration::from_secs(1);

/// Interval between two attempts to reset a NIC that has failed.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Interval between two reads of the NIC's statistics registers: the 32-bit counts wrap after minutes at the
/// earliest.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);

/// Whether a NIC can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicState {
    /// It works.
    Running,
    /// It does not work; the driver resets it every [`RETRY_INTERVAL`].
    Failed(NicError),
}

/// The driver of one NIC of the family `C`, with its rings.
pub struct NicDriver<H: NicHost, C: NicChip> {
    pub(crate) host: H,
    pub(crate) registers: H::Registers,
    pub(crate) receive: ReceiveRing<H::Dma, C::Descriptors>,
    pub(crate) transmit: TransmitRing<H::Dma, C::Descriptors>,
    pub(crate) state: NicState,
    pub(crate) link: LinkStatus,
    pub(crate) counters: DriverCounters,
    pub(crate) events: EventQueue,
    pub(crate) interrupts: crate::interrupt::InterruptSettings,
    /// True while the rest of an overlong received frame must still be dropped.
    pub(crate) skipping: bool,
    mac: MacAddress,
    statistics: HardwareStatistics,
    next_check: Instant,
    next_statistics: Instant,
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Resets the NIC and starts it, with interrupts masked.
    ///
    /// # Errors
    /// All but [`NicError::UnsupportedDevice`]. An EEPROM or PHY that does not answer is a [`NicEvent`], not an
    /// error, as long as there is a station address.
    pub fn new(mut host: H, mut registers: H::Registers) -> Result<Self, NicError> {
        let mut events = EventQueue::default();
        initialise::reset::<H, C>(&mut host, &mut registers, &mut events)?;
        let mac = address::station_address::<H, C>(&mut host, &mut registers, &mut events)?;
        let now = host.now();
        let mut driver = Self {
            receive: ReceiveRing::new(&mut host)?,
            transmit: TransmitRing::new(&mut host)?,
            host,
            registers,
            state: NicState::Running,
            link: LinkStatus::DOWN,
            counters: DriverCounters::default(),
            events,
            interrupts: crate::interrupt::InterruptSettings::default(),
            skipping: false,
            mac,
            statistics: HardwareStatistics::default(),
            next_check: now,
            next_statistics: now + STATISTICS_INTERVAL,
        };
        driver.start()?;
        driver.refresh_link();
        Ok(driver)
    }

    /// The NIC's own address. Guests use their own addresses on the wire: the NIC receives every frame.
    #[must_use]
    pub fn mac(&self) -> MacAddress {
        self.mac
    }

    /// The link status as last read by the driver.
    #[must_use]
    pub fn link(&self) -> LinkStatus {
        self.link
    }

    /// Whether the NIC can be used.
    #[must_use]
    pub fn state(&self) -> NicState {
        self.state
    }

    /// The driver's counters.
    #[must_use]
    pub fn counters(&self) -> &DriverCounters {
        &self.counters
    }

    /// The NIC's own counters, as of the last read of its registers.
    #[must_use]
    pub fn statistics(&self) -> &HardwareStatistics {
        &self.statistics
    }

    /// Takes the events since the last call, oldest first.
    pub fn events(&mut self) -> impl Iterator<Item = NicEvent> {
        core::iter::from_fn(|| self.events.pop())
    }

    /// Number of events dropped because [`events`](Self::events) was not called in time.
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        self.events.lost()
    }

    /// When [`check`](Self::check) next has something to do.
    #[must_use]
    pub fn next_check(&self) -> Instant {
        self.next_check
    }

    /// Checks the NIC: completed frames, link, statistics, transmit hang, recovery. Cheap before
    /// [`next_check`](Self::next_check); it may be called at any time.
    ///
    /// A recovery waits for the NIC: some 11 ms for one that works, and less than half a second, the sum of all
    /// timeouts, for any other.
    pub fn check(&mut self, now: Instant) {
        if now < self.next_check {
            return;
        }
        self.next_check = now + CHECK_INTERVAL;
        if matches!(self.state, NicState::Failed(_)) {
            return self.recover(now);
        }
        if self.registers.read(reg::STATUS) == u32::MAX {
            // The NIC no longer answers.
            return self.recover(now);
        }
        self.reclaim(now);
        self.refresh_link();
        if now >= self.next_statistics {
            self.next_statistics = now + STATISTICS_INTERVAL;
            self.statistics.collect(&mut self.registers);
        }
        let stuck = self.transmit.waited(now).filter(|waited| *waited >= TRANSMIT_HANG);
        if let Some(waited) = stuck {
            // Without a link the NIC transmits nothing; the reset only keeps it from sending stale
            // frames when the link returns.
            if self.link.up {
                self.counters.transmit_hangs += 1;
                self.events.push(NicEvent::TransmitHang { pending: self.transmit.pending(), waited });
            }
            self.recover(now);
        }
    }

    /// Reclaims and counts the frames that the NIC has transmitted.
    pub(crate) fn reclaim(&mut self, now: Instant) {
        self.counters.tx_done += self.transmit.reclaim(now) as u64;
    }

    /// Reads the link status, and records a change.
    pub(crate) fn refresh_link(&mut self) {
        let status = self.registers.read(reg::STATUS);
        let link = LinkStatus::from_status(Status::from_bits_retain(status));
        if link != self.link {
            self.link = link;
            self.counters.link_changes += 1;
            self.events.push(if link.up { NicEvent::LinkUp(link) } else { NicEvent::LinkDown });
        }
    }

    /// Resets the NIC and starts it again. Frames in its rings are dropped and counted.
    fn recover(&mut self, now: Instant) {
        self.counters.resets += 1;
        let transmit_lost = self.transmit.pending();
        self.counters.tx_lost += transmit_lost as u64;
        self.transmit.restart();
        self.counters.rx_lost += self.receive.drain() as u64;
        self.skipping = false;

        let reset = initialise::reset::<H, C>(&mut self.host, &mut self.registers, &mut self.events);
        match reset.and_then(|()| self.start()) {
            Ok(()) => {
                self.state = NicState::Running;
                self.events.push(NicEvent::Recovered { transmit_lost });
                self.refresh_link();
            }
            Err(error) => {
                if self.state != NicState::Failed(error) {
                    self.events.push(NicEvent::Failed(error));
                }
                self.state = NicState::Failed(error);
                self.link = LinkStatus::DOWN;
                self.next_check = now + RETRY_INTERVAL;
            }
        }
    }

    /// Starts a NIC that has just been reset, in the order of [8254x 14.3 to 14.6].
    fn start(&mut self) -> Result<(), NicError> {
        let (host, registers) = (&mut self.host, &mut self.registers);
        self.receive.restart();
        self.transmit.restart();
        initialise::general::<_, C>(registers);
        phy::wake::<H, C>(host, registers, &mut self.events);
        initialise::receive::<H, C>(host, registers, &self.receive, self.mac)?;
        initialise::transmit::<H, C>(host, registers, &self.transmit)?;
        self.statistics.discard(registers);
        self.apply_interrupt_settings();
        Ok(())
    }
}
