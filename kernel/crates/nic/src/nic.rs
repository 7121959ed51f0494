//! A NIC of any family, as the kernel holds it: one match per batch, and none per frame.

use crate::e1000::E1000Chip;
use crate::e1000e::E1000eChip;
use crate::igb::IgbChip;
use crate::{
    Causes, DriverCounters, Family, HardwareStatistics, InterruptMode, NicDriver, NicError, NicEvent,
    NicHost, NicState, PciId, QueueCounters, identify,
};
use base::time::Duration;
use base::{
    Capabilities, Instant, LentFrame, LinkStatus, MacAddress, NicInfo, Outbox, Port, Put, RetiredFrames,
    Ticket,
};

/// Driver of an 82540EM or 82545EM.
pub type E1000<H> = NicDriver<H, E1000Chip>;
/// Driver of an 82574.
pub type E1000e<H> = NicDriver<H, E1000eChip>;
/// Driver of an 82576, I210 or I350.
pub type Igb<H> = NicDriver<H, IgbChip>;

/// A NIC with its driver. Every method calls the [`NicDriver`] method of the same name; [`NicHost`] has an
/// example.
pub enum Nic<H: NicHost> {
    /// 82540EM, 82545EM.
    E1000(E1000<H>),
    /// 82574.
    E1000e(E1000e<H>),
    /// 82576, I210, I350.
    Igb(Igb<H>),
}

/// Evaluates the same expression for the driver of any family.
macro_rules! any {
    ($nic:expr, $driver:ident => $do:expr) => {
        match $nic {
            Nic::E1000($driver) => $do,
            Nic::E1000e($driver) => $do,
            Nic::Igb($driver) => $do,
        }
    };
}

impl<H: NicHost> Nic<H> {
    /// Begins to reset a NIC with this identity. [`check`](Self::check) goes on with it until
    /// [`state`](Self::state) is no longer [`NicState::Resetting`].
    ///
    /// # Errors
    /// [`NicError::UnsupportedDevice`] and [`NicError::OutOfMemory`]. Whatever is wrong with the NIC is in its state: a
    /// later attempt may succeed.
    pub fn new(host: H, registers: H::Registers, id: PciId, now: Instant) -> Result<Self, NicError> {
        let model = identify(id).ok_or(NicError::UnsupportedDevice(id))?;
        Ok(match model.family {
            Family::E1000 => Self::E1000(NicDriver::new(host, registers, model, now)?),
            Family::E1000e => Self::E1000e(NicDriver::new(host, registers, model, now)?),
            Family::Igb => Self::Igb(NicDriver::new(host, registers, model, now)?),
        })
    }

    /// The family of the NIC.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::E1000(_) => Family::E1000,
            Self::E1000e(_) => Family::E1000e,
            Self::Igb(_) => Family::Igb,
        }
    }

    /// The name of the driver.
    #[must_use]
    pub fn driver(&self) -> &'static str {
        self.family().driver()
    }

    /// See [`NicDriver::mac`].
    #[must_use]
    pub fn mac(&self) -> MacAddress {
        any!(self, driver => driver.mac())
    }

    /// See [`NicDriver::link`].
    #[must_use]
    pub fn link(&self) -> LinkStatus {
        any!(self, driver => driver.link())
    }

    /// See [`NicDriver::state`].
    #[must_use]
    pub fn state(&self) -> NicState {
        any!(self, driver => driver.state())
    }

    /// See [`NicDriver::info`].
    #[must_use]
    pub fn info(&self) -> NicInfo {
        any!(self, driver => driver.info())
    }

    /// See [`NicDriver::queue_counters`].
    #[must_use]
    pub fn queue_counters(&self) -> &QueueCounters {
        any!(self, driver => driver.queue_counters())
    }

    /// See [`NicDriver::counters`].
    #[must_use]
    pub fn counters(&self) -> &DriverCounters {
        any!(self, driver => driver.counters())
    }

    /// See [`NicDriver::statistics`].
    #[must_use]
    pub fn statistics(&self) -> &HardwareStatistics {
        any!(self, driver => driver.statistics())
    }

    /// See [`NicDriver::events`].
    pub fn events(&mut self) -> impl Iterator<Item = NicEvent> {
        core::iter::from_fn(|| any!(self, driver => driver.events.pop()))
    }

    /// See [`NicDriver::events_lost`].
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        any!(self, driver => driver.events_lost())
    }

    /// See [`NicDriver::next_check`].
    #[must_use]
    pub fn next_check(&self) -> Instant {
        any!(self, driver => driver.next_check())
    }

    /// See [`NicDriver::check`].
    pub fn check(&mut self, now: Instant) {
        any!(self, driver => driver.check(now));
    }

    /// See [`NicDriver::stop`].
    pub fn stop(&mut self) {
        any!(self, driver => driver.stop());
    }

    /// How many frames it has [kept](base::Put::Kept) and not given back yet, sent or not.
    #[must_use]
    pub fn kept(&self) -> usize {
        any!(self, driver => driver.queues.transmit.kept())
    }

    /// See [`NicDriver::retire`].
    pub fn retire(&mut self, now: Instant) -> RetiredFrames {
        any!(self, driver => driver.retire(now))
    }

    /// See [`NicDriver::hold_back`].
    pub fn hold_back(&mut self, on: bool) {
        any!(self, driver => driver.hold_back(on));
    }

    /// See [`NicDriver::interrupt`].
    pub fn interrupt(&mut self) -> Causes {
        any!(self, driver => driver.interrupt())
    }

    /// See [`NicDriver::set_interrupt_mode`].
    pub fn set_interrupt_mode(&mut self, mode: InterruptMode) {
        any!(self, driver => driver.set_interrupt_mode(mode));
    }

    /// See [`NicDriver::set_interrupt_interval`].
    pub fn set_interrupt_interval(&mut self, interval: Duration) {
        any!(self, driver => driver.set_interrupt_interval(interval));
    }

    /// See [`NicDriver::mask`].
    pub fn mask(&mut self) {
        any!(self, driver => driver.mask());
    }

    /// See [`NicDriver::unmask`].
    pub fn unmask(&mut self) {
        any!(self, driver => driver.unmask());
    }
}

impl<H: NicHost> Port for Nic<H> {
    fn capabilities(&mut self) -> Capabilities {
        any!(self, driver => driver.capabilities())
    }

    fn fetch(&mut self, into: &mut Outbox, budget: usize, now: Instant) -> usize {
        any!(self, driver => driver.fetch(into, budget, now))
    }

    fn settle(&mut self, outbox: &mut Outbox, now: Instant) {
        any!(self, driver => driver.settle(outbox, now));
    }

    fn put(&mut self, frame: LentFrame<'_>, ticket: Ticket, now: Instant) -> Put {
        any!(self, driver => driver.put(frame, ticket, now))
    }

    fn reap(&mut self, done: &mut dyn FnMut(Ticket), now: Instant) -> usize {
        any!(self, driver => driver.reap(done, now))
    }

    fn take_back(&mut self, unsent: &mut dyn FnMut(Ticket)) -> usize {
        any!(self, driver => driver.take_back(unsent))
    }

    fn flush(&mut self, now: Instant) {
        any!(self, driver => driver.flush(now));
    }
}
