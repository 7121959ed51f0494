//! A card of any family, as the kernel holds it: one match for a batch, and none for a frame.

use crate::e1000::E1000Chip;
use crate::e1000e::E1000eChip;
use crate::igb::IgbChip;
use crate::{
    Card, Causes, Counters, Event, Family, Host, InterruptMode, Link, NicError, PciId, State, Statistics,
    identify,
};
use base::time::Duration;
use base::{Batch, Capabilities, Instant, MacAddress, Port};

/// Driver of a 82540EM or 82545EM.
pub type E1000<H> = Card<H, E1000Chip>;
/// Driver of a 82574.
pub type E1000e<H> = Card<H, E1000eChip>;
/// Driver of a 82576, I210 or I350.
pub type Igb<H> = Card<H, IgbChip>;

/// A card with its driver. Every method is [`Card`]'s of the same name.
pub enum Nic<H: Host> {
    /// 82540EM, 82545EM.
    E1000(E1000<H>),
    /// 82574.
    E1000e(E1000e<H>),
    /// 82576, I210, I350.
    Igb(Igb<H>),
}

/// Does the same with a card of any family.
macro_rules! any {
    ($nic:expr, $card:ident => $do:expr) => {
        match $nic {
            Nic::E1000($card) => $do,
            Nic::E1000e($card) => $do,
            Nic::Igb($card) => $do,
        }
    };
}

impl<H: Host> Nic<H> {
    /// Starts the driver that is made for `id`; see [`Card::new`].
    ///
    /// # Errors
    /// [`NicError`].
    pub fn new(host: H, registers: H::Registers, id: PciId) -> Result<Self, NicError> {
        let model = identify(id).ok_or(NicError::UnsupportedDevice(id))?;
        Ok(match model.family {
            Family::E1000 => Self::E1000(Card::new(host, registers)?),
            Family::E1000e => Self::E1000e(Card::new(host, registers)?),
            Family::Igb => Self::Igb(Card::new(host, registers)?),
        })
    }

    /// Which family the card is of.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::E1000(_) => Family::E1000,
            Self::E1000e(_) => Family::E1000e,
            Self::Igb(_) => Family::Igb,
        }
    }

    /// The name of its driver.
    #[must_use]
    pub fn driver(&self) -> &'static str {
        self.family().driver()
    }

    /// See [`Card::mac`].
    #[must_use]
    pub fn mac(&self) -> MacAddress {
        any!(self, card => card.mac())
    }

    /// See [`Card::link`].
    #[must_use]
    pub fn link(&self) -> Link {
        any!(self, card => card.link())
    }

    /// See [`Card::state`].
    #[must_use]
    pub fn state(&self) -> State {
        any!(self, card => card.state())
    }

    /// See [`Card::counters`].
    #[must_use]
    pub fn counters(&self) -> &Counters {
        any!(self, card => card.counters())
    }

    /// See [`Card::statistics`].
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        any!(self, card => card.statistics())
    }

    /// See [`Card::events`].
    pub fn events(&mut self) -> impl Iterator<Item = Event> {
        core::iter::from_fn(|| any!(self, card => card.events.pop()))
    }

    /// See [`Card::events_lost`].
    #[must_use]
    pub fn events_lost(&self) -> u64 {
        any!(self, card => card.events_lost())
    }

    /// See [`Card::next_check`].
    #[must_use]
    pub fn next_check(&self) -> Instant {
        any!(self, card => card.next_check())
    }

    /// See [`Card::check`].
    pub fn check(&mut self, now: Instant) {
        any!(self, card => card.check(now));
    }

    /// See [`Card::interrupt`].
    pub fn interrupt(&mut self) -> Causes {
        any!(self, card => card.interrupt())
    }

    /// See [`Card::set_interrupt_mode`].
    pub fn set_interrupt_mode(&mut self, mode: InterruptMode) {
        any!(self, card => card.set_interrupt_mode(mode));
    }

    /// See [`Card::set_interrupt_interval`].
    pub fn set_interrupt_interval(&mut self, interval: Duration) {
        any!(self, card => card.set_interrupt_interval(interval));
    }

    /// See [`Card::mask`].
    pub fn mask(&mut self) {
        any!(self, card => card.mask());
    }

    /// See [`Card::unmask`].
    pub fn unmask(&mut self) {
        any!(self, card => card.unmask());
    }
}

impl<H: Host> Port for Nic<H> {
    fn capabilities(&self) -> Capabilities {
        any!(self, card => card.capabilities())
    }

    fn send(&mut self, frames: &[&[u8]], now: Instant) -> usize {
        any!(self, card => card.send(frames, now))
    }

    fn poll(&mut self, into: &mut Batch, budget: usize, now: Instant) -> usize {
        any!(self, card => card.poll(into, budget, now))
    }
}
