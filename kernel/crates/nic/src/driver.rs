//! The driver: construction, the periodic check, recovery.

use crate::bring_up::BringUpState;
use crate::chip::NicChip;
use crate::departure::{EmptyMark, LONGEST_STAY};
use crate::event::EventQueue;
use crate::info::RateMeter;
use crate::queue_pair::QueuePair;
use crate::{
    DriverCounters, HardwareStatistics, NicError, NicEvent, NicHost, NicModel, NicRegisters, QueueCounters,
    initialise, link,
};
use base::time::Duration;
use base::{Instant, LinkStatus, MacAddress, RetiredFrames};
use intel_regs::{Status, reg};

/// Interval between two checks of the NIC by [`NicDriver::check`].
pub const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// How long the NIC may hold frames without completing one while the link is up. A pause requested by the link
/// partner is no reason for a longer time: the driver leaves flow control off.
pub const TRANSMIT_HANG: Duration = Duration::from_secs(1);

/// How long after its first failure a NIC is reset again: firmware may have been busy with it. With each failure in a row the
/// time doubles.
pub const FIRST_RETRY: Duration = Duration::from_millis(500);

/// Longest interval between two attempts to reset a NIC that has failed.
pub const RETRY_INTERVAL: Duration = Duration::from_secs(5);

/// Interval between two reads of the NIC's statistics registers: the 32-bit counts wrap after minutes at the
/// earliest.
const STATISTICS_INTERVAL: Duration = Duration::from_secs(1);

/// Whether a NIC can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NicState {
    /// It works.
    Running,
    /// It is being reset, at first or after a hang: [`NicDriver::check`] goes on with it.
    Resetting,
    /// It does not work; the driver resets it again, at least every [`RETRY_INTERVAL`].
    Failed(NicError),
}

/// The driver of one NIC of the family `C`, with its rings.
pub struct NicDriver<H: NicHost, C: NicChip> {
    pub(crate) host: H,
    pub(crate) registers: H::Registers,
    pub(crate) queues: QueuePair<H::Memory, C::Descriptors>,
    pub(crate) state: NicState,
    pub(crate) link: LinkStatus,
    pub(crate) counters: DriverCounters,
    pub(crate) events: EventQueue,
    pub(crate) interrupts: crate::interrupt::InterruptSettings,
    pub(crate) model: &'static NicModel,
    /// Known since the first reset.
    pub(crate) mac: Option<MacAddress>,
    /// What remains to be done until the NIC works.
    pub(crate) bring_up: Option<BringUpState>,
    pub(crate) statistics: HardwareStatistics,
    /// How often in a row it could not be reset.
    pub(crate) failures: u32,
    pub(crate) rate: RateMeter,
    /// What the NIC has counted since it runs is in `statistics`, or will be.
    pub(crate) is_counted: bool,
    /// When nothing was in the NIC last.
    pub(crate) empty: EmptyMark,
    /// When the NIC was last asked what has left it, for frames that are held back.
    pub(crate) asked_at: Instant,
    /// What it has given back since its last reset began.
    pub(crate) given_back: RetiredFrames,
    /// Whoever has retired it knows of that.
    pub(crate) given_back_told: bool,
    /// The link went down since the last check.
    link_lost: bool,
    pub(crate) next_check: Instant,
    next_statistics: Instant,
}

impl<H: NicHost, C: NicChip> NicDriver<H, C> {
    /// Begins to reset the NIC; [`check`](Self::check) goes on with it until [`state`](Self::state) is no longer
    /// [`NicState::Resetting`]. Its interrupts are masked.
    ///
    /// # Errors
    /// [`NicError::OutOfMemory`]. Whatever is wrong with the NIC is in its state: a later attempt may succeed.
    pub(crate) fn new(
        mut host: H,
        registers: H::Registers,
        model: &'static NicModel,
        now: Instant,
    ) -> Result<Self, NicError> {
        let mut driver = Self {
            queues: QueuePair::new(&mut host, C::DMA_LIMIT)?,
            host,
            registers,
            state: NicState::Resetting,
            link: LinkStatus::DOWN,
            counters: DriverCounters::default(),
            events: EventQueue::default(),
            interrupts: crate::interrupt::InterruptSettings::default(),
            model,
            mac: None,
            bring_up: None,
            statistics: HardwareStatistics::default(),
            failures: 0,
            rate: RateMeter::new(now),
            is_counted: false,
            empty: EmptyMark::default(),
            asked_at: Instant::ZERO,
            given_back: RetiredFrames::default(),
            given_back_told: false,
            link_lost: false,
            next_check: now,
            next_statistics: now + STATISTICS_INTERVAL,
        };
        driver.begin(now, false);
        Ok(driver)
    }

    /// The NIC's own address; zeros until its first reset is done. Guests use their own addresses on the wire: the
    /// NIC receives every frame.
    #[must_use]
    pub fn mac(&self) -> MacAddress {
        self.mac.unwrap_or_default()
    }

    /// The link status as last read by the driver; down unless the NIC works.
    #[must_use]
    pub fn link(&self) -> LinkStatus {
        if self.is_running() { self.link } else { LinkStatus::DOWN }
    }

    /// True while the NIC works. Otherwise its registers belong to the steps of the reset.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.state, NicState::Running)
    }

    /// Whether the NIC can be used.
    #[must_use]
    pub fn state(&self) -> NicState {
        self.state
    }

    /// What has passed through the rings.
    #[must_use]
    pub fn queue_counters(&self) -> &QueueCounters {
        &self.queues.counters
    }

    /// What the driver has counted of the NIC.
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
        self.release_due().map_or(self.next_check, |due| due.min(self.next_check))
    }

    /// Checks the NIC: completed frames, link, statistics, transmit hang, reset. Cheap before
    /// [`next_check`](Self::next_check); it may be called at any time. It never waits: a reset takes many calls.
    pub fn check(&mut self, now: Instant) {
        if self.bring_up.is_some() {
            return self.advance(now);
        }
        self.release_held(now);
        if now < self.next_check {
            return;
        }
        if !self.is_running() || !self.answers() {
            return self.recover(now);
        }
        // Frames that are held back were looked after just now; more of them might be due at once.
        if !self.queues.transmit.holds_back() {
            self.queues.note_progress(now);
        }
        self.refresh_link();
        self.next_check = now + CHECK_INTERVAL;
        self.note_rate(now);
        if now >= self.next_statistics {
            self.next_statistics = now + STATISTICS_INTERVAL;
            // What was fetched so long ago has left, or has had too many collisions: either way it is not in the NIC.
            let left = self.link.up && self.queues.transmit.was_idle(LONGEST_STAY, now);
            if self.collect_statistics() && (left || self.holds_nothing()) {
                self.count_from_here();
            }
        }
        if !self.link.up {
            if self.holds_frames() {
                self.recover(now);
            }
        } else if let Some(waited) =
            self.queues.transmit.waited(now).filter(|waited| *waited >= TRANSMIT_HANG)
            && !self.queues.transmit.frames.are_held()
        {
            self.counters.transmit_hangs += 1;
            self.events
                .push(NicEvent::TransmitHang { pending: self.queues.transmit.frames.depth().frames, waited });
            self.recover(now);
        }
    }

    /// True if the NIC, which has no link, has frames in its ring, or has fetched some that have not left it. It would send them
    /// when the link returns, late and perhaps twice; and guests may wait for their memory.
    fn holds_frames(&mut self) -> bool {
        let lost = core::mem::take(&mut self.link_lost);
        self.queues.transmit.frames.depth().frames > 0
            || lost && self.collect_statistics() && self.in_nic() > 0
    }

    /// Reads the link status, and records a change. A NIC that does not answer has none; the next check says why.
    pub(crate) fn refresh_link(&mut self) {
        let link = self.status().map_or(LinkStatus::DOWN, link::from_status);
        if link != self.link {
            if self.link.up && !link.up {
                // The next check looks at once what becomes of the frames that it holds.
                self.link_lost = true;
                self.next_check = Instant::ZERO;
            }
            self.link = link;
            self.counters.link_changes += 1;
            self.events.push(if link.up { NicEvent::LinkUp(link) } else { NicEvent::LinkDown });
        }
    }

    /// Adds the NIC's counts, unless they are not this driver's, or it was removed meanwhile and they are all ones. False if
    /// nothing was added.
    pub(crate) fn collect_statistics(&mut self) -> bool {
        let mut statistics = self.statistics;
        if self.is_counted {
            statistics.collect(&mut self.registers);
        }
        let valid = self.is_counted && self.answers();
        if valid {
            self.statistics = statistics;
        }
        valid
    }

    /// Its status, unless the NIC was removed: then every register reads as ones, or as zeros where QEMU has had a NIC. CTRL of one that is
    /// there never does: with a reset it is in full duplex, and while it works the link is set up [8254x 13.4.1].
    pub(crate) fn status(&mut self) -> Option<Status> {
        match self.registers.read(reg::STATUS) {
            u32::MAX => None,
            0 if self.registers.read(reg::CTRL) == 0 => None,
            status => Some(Status::from_bits_retain(status)),
        }
    }

    /// False when the NIC was removed.
    pub(crate) fn answers(&mut self) -> bool {
        self.status().is_some()
    }

    /// Gives the PHY back to the NIC's firmware, which would wait for it for ever, when a bring-up ends that may hold it.
    pub(crate) fn give_phy_back(&mut self) {
        if self.answers() {
            // When forced it succeeds.
            let _ = C::release_phy(&mut self.registers, true);
        }
    }

    /// Begins to reset a NIC that does not work, or must not send what it holds: its transmitter is stopped. Frames in the
    /// transmit ring are given back when it reads their memory no more, or when it is [retired](Self::retire); those that it has
    /// received can still be polled.
    pub(crate) fn recover(&mut self, now: Instant) {
        self.counters.resets += 1;
        (self.given_back, self.given_back_told) = (RetiredFrames::default(), false);
        self.link_lost = false;
        self.forget_waiting();
        if self.is_running() {
            self.state = NicState::Resetting;
        }
        self.begin(now, true);
    }

    /// Leaves the NIC to whoever comes next, for the end of Weir: stops it, and tells its firmware that no driver is in
    /// charge, which a management controller may wait for.
    pub fn stop(&mut self) {
        initialise::halt::<_, C>(&mut self.registers);
        self.abandon();
        C::announce(&mut self.registers, false);
        // The machine may be without power in a moment: a read flushes the writes.
        self.registers.read(reg::STATUS);
        self.host.allow_dma(false);
    }
}
