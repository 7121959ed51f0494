//! A vNIC with both halves, for an owner that uses them from one thread.

use crate::config::VnicModelConfig;
use crate::counters::VnicCounters;
use crate::device::VnicEngine;
use crate::fault::GuestFault;
use crate::front::VnicFront;
use crate::port::VnicPort;
use crate::shared::SharedState;
use alloc::sync::Arc;
use base::{Effects, GuestSpans, Instant, Span, Width};

/// A virtual Intel 82540EM, for tests and benches; the kernel takes its [halves](Vnic::halves).
///
/// ```
/// use base::{Instant, MacAddress};
/// use intel_regs::{Ctrl, Interrupt, Status, reg};
/// use testkit::bounce_memory;
/// use vnic::{Vnic, VnicModelConfig};
///
/// let now = Instant::ZERO;
/// let mut vnic = Vnic::new(VnicModelConfig::new(MacAddress([0x52, 0x54, 0, 0, 0, 1])), bounce_memory());
///
/// // A driver loads its address from the EEPROM, enables an interrupt and brings the link up.
/// assert_eq!(vnic.read(reg::ral(0), now).0, 0x0000_5452);
/// let _ = vnic.write(reg::IMS, Interrupt::LSC.bits(), now);
/// let effects = vnic.write(reg::CTRL, Ctrl::SLU.bits(), now);
///
/// // The link change asserts the interrupt line, and reading ICR deasserts it.
/// assert!(effects.contains(base::Effects::IRQ_CHANGED) && vnic.interrupt_line());
/// assert_ne!(vnic.read(reg::STATUS, now).0 & Status::LU.bits(), 0);
/// assert_eq!(vnic.read(reg::ICR, now).0, Interrupt::LSC.bits());
/// assert!(!vnic.interrupt_line());
/// ```
pub struct Vnic {
    front: VnicFront,
    engine: VnicEngine,
    /// Effects that nobody has taken.
    effects: Effects,
}

impl Vnic {
    /// A vNIC after power-on. All the memory it will ever use, about 120 KiB, is allocated here, but for `bounce`: where
    /// it keeps frames that it builds, up to 256 KiB of them. A device that they go to must reach it.
    #[must_use]
    pub fn new(config: VnicModelConfig, bounce: Span) -> Self {
        let shared = Arc::new(SharedState::default());
        let engine = VnicEngine::new(config, bounce, shared.clone());
        Self { front: VnicFront::new(shared), engine, effects: Effects::empty() }
    }

    /// Its halves.
    #[must_use]
    pub fn halves(self) -> (VnicFront, VnicEngine) {
        (self.front, self.engine)
    }

    /// Reads the 4-byte register at `offset` of the memory window.
    pub fn read(&mut self, offset: u32, now: Instant) -> (u32, Effects) {
        self.catch_up();
        self.front.read(offset, now, &mut &mut self.engine)
    }

    /// Writes the 4-byte register at `offset` of the memory window.
    pub fn write(&mut self, offset: u32, value: u32, now: Instant) -> Effects {
        self.catch_up();
        self.front.write(offset, value, now, &mut &mut self.engine)
    }

    /// As [`VnicFront::memory_read`].
    pub fn memory_read(&mut self, offset: u32, width: Width, now: Instant) -> (u64, Effects) {
        self.catch_up();
        self.front.memory_read(offset, width, now, &mut self.engine)
    }

    /// As [`VnicFront::memory_write`].
    pub fn memory_write(&mut self, offset: u32, width: Width, value: u64, now: Instant) -> Effects {
        self.catch_up();
        self.front.memory_write(offset, width, value, now, &mut self.engine)
    }

    /// As [`VnicFront::port_read`], 4 bytes.
    pub fn io_read(&mut self, offset: u32, now: Instant) -> (u32, Effects) {
        self.catch_up();
        self.front.port_read(offset, Width::Dword, now, &mut self.engine)
    }

    /// As [`VnicFront::port_write`], 4 bytes.
    pub fn io_write(&mut self, offset: u32, value: u32, now: Instant) -> Effects {
        self.catch_up();
        self.front.port_write(offset, Width::Dword, value, now, &mut self.engine)
    }

    /// Tells the register half what the data half has done, when it did it.
    fn catch_up(&mut self) {
        let done = self.front.take_effects() - Effects::IRQ_CHANGED - Effects::TIMER_CHANGED;
        self.effects |= done | self.front.settle(self.engine.now);
    }

    /// The level of the interrupt line, INTA#: true when asserted.
    #[must_use]
    pub fn interrupt_line(&self) -> bool {
        let mut line = self.front.line;
        line.settle(self.front.shared.is_pending(), self.engine.now);
        line.is_asserted()
    }

    /// When [`Vnic::advance`] must be called next, unless another call changes this first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let (mut line, pending) = (self.front.line, self.front.shared.is_pending());
        line.settle(pending, self.engine.now);
        Instant::earliest([line.deadline(pending), self.front.shared.due()])
    }

    /// Fires the timers that are due at `now`. An early or repeated call does no harm.
    pub fn advance(&mut self, now: Instant) -> Effects {
        self.catch_up();
        let done = self.engine.advance(now) - Effects::IRQ_CHANGED - Effects::TIMER_CHANGED;
        done | self.front.settle(now)
    }

    /// As [`VnicEngine::port`].
    pub fn port<'a, M: GuestSpans>(&'a mut self, memory: &'a M) -> VnicPort<'a, M> {
        self.engine.port(memory)
    }

    /// Returns the effects of port operations since the last call, and clears them.
    pub fn take_effects(&mut self) -> Effects {
        self.catch_up();
        core::mem::take(&mut self.effects)
    }

    /// As [`VnicEngine::set_link`].
    pub fn set_link(&mut self, up: bool, now: Instant) -> Effects {
        self.catch_up();
        let done = self.engine.set_link(up, now) - Effects::IRQ_CHANGED - Effects::TIMER_CHANGED;
        done | self.front.settle(now)
    }

    /// As [`VnicEngine::link_up`].
    #[must_use]
    pub fn link_up(&self) -> bool {
        self.engine.link_up()
    }

    /// As [`VnicEngine::counters`].
    #[must_use]
    pub fn counters(&self) -> &VnicCounters {
        self.engine.counters()
    }

    /// As [`VnicEngine::faults`].
    pub fn faults(&mut self) -> Option<GuestFault> {
        self.engine.faults()
    }

    /// As [`VnicEngine::waiting`].
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.engine.waiting()
    }

    /// As [`VnicEngine::power_cycle`].
    pub fn power_cycle(&mut self) {
        self.engine.power_cycle();
        self.front.power_cycle();
        self.effects = Effects::empty();
    }

    /// As [`VnicEngine::suspend`].
    pub fn suspend(&mut self) {
        self.engine.suspend();
    }

    /// As [`VnicEngine::resume`].
    pub fn resume(&mut self) {
        self.engine.resume();
    }
}
