//! The data half of a vNIC: rings, frames and all registers that are not the register half's.

use crate::config::VnicModelConfig;
use crate::controller::Controller;
use crate::counters::VnicCounters;
use crate::eeprom::Eeprom;
use crate::fault::{Faults, GuestFault, RingKind};
use crate::fifo::ReceiveFifo;
use crate::interrupts::VnicInterrupts;
use crate::phy::Phy;
use crate::port::{DeliveryRun, VnicPort};
use crate::registers::VnicRegisters;
use crate::shared::SharedState;
use crate::transmit::Transmitter;
use alloc::sync::Arc;
use base::{Effects, GuestSpans, Instant, Span};
use intel_regs::{Rah, reg};

/// The data half of a vNIC, which belongs to whoever moves frames; its guest's core locks it for accesses that need it.
pub struct VnicEngine {
    pub(crate) controller: Controller,
    pub(crate) fifo: ReceiveFifo,
    pub(crate) transmit: Transmitter,
    /// Frames are being delivered.
    pub(crate) run: Option<DeliveryRun>,
    /// It has effects that its guest's core may not know of.
    pub(crate) touched: bool,
    /// A sender keeps frames that it was refused, and has not been told of free descriptors since.
    pub(crate) refused: bool,
    pub(crate) eeprom: Eeprom,
    /// When it was used last.
    pub(crate) now: Instant,
}

impl VnicEngine {
    /// The data half of a vNIC after power-on.
    pub(crate) fn new(config: VnicModelConfig, bounce: Span, shared: Arc<SharedState>) -> Self {
        let controller = Controller {
            registers: VnicRegisters::new(),
            interrupts: VnicInterrupts::new(shared),
            phy: Phy::new(config.link_up),
            counters: VnicCounters::default(),
            faults: Faults::default(),
            receive_stopped: false,
            transmit_stopped: false,
            compute_fcs: config.compute_fcs,
            always_insert_fcs: config.always_insert_fcs,
        };
        let mut engine = Self {
            controller,
            fifo: ReceiveFifo::new(),
            transmit: Transmitter::new(bounce),
            run: None,
            touched: false,
            refused: false,
            eeprom: Eeprom::new(config.mac, config.protect_eeprom),
            now: Instant::ZERO,
        };
        engine.load_address();
        let _ = engine.controller.update_link(false);
        engine.controller.publish();
        engine
    }

    /// Reads a register.
    pub(crate) fn read(&mut self, offset: u32, now: Instant) -> (u32, Effects) {
        self.end_run();
        let value = self.read_register(offset);
        (value, self.changes(now))
    }

    /// Writes a register.
    pub(crate) fn write(&mut self, offset: u32, value: u32, now: Instant) -> Effects {
        self.end_run();
        self.controller.load_tails();
        let effects = self.write_register(offset, value);
        self.controller.publish();
        effects | self.changes(now)
    }

    /// Fires the timers that are due at `now`. An early or repeated call does no harm.
    pub fn advance(&mut self, now: Instant) -> Effects {
        self.changes(now)
    }

    /// The vNIC as a port: frames sent to it go to the guest, frames polled from it come from the guest.
    pub fn port<'a, M: GuestSpans>(&'a mut self, memory: &'a M) -> VnicPort<'a, M> {
        VnicPort::new(self, memory)
    }

    /// Adds effects for whoever takes them.
    pub(crate) fn note_effects(&mut self, effects: Effects) {
        self.touched |= self.controller.interrupts.shared.add_effects(effects);
    }

    /// Plugs or unplugs the cable, on behalf of an operator.
    pub fn set_link(&mut self, up: bool, now: Instant) -> Effects {
        self.end_run();
        self.controller.phy.set_cable(up);
        let effects = self.refresh_link(false);
        effects | self.changes(now)
    }

    /// True while the MAC sees a link.
    #[must_use]
    pub fn link_up(&self) -> bool {
        self.controller.link_up()
    }

    /// All counters. The guest cannot clear them.
    #[must_use]
    pub fn counters(&self) -> &VnicCounters {
        &self.controller.counters
    }

    /// Removes and returns the oldest pending fault of the guest. Each kind is reported once, and again
    /// after a [power cycle](Self::power_cycle), once a minute at most: so the log is bounded whatever the guest does.
    pub fn faults(&mut self) -> Option<GuestFault> {
        self.controller.faults.take()
    }

    /// Frames in the receive FIFO that wait for descriptors.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.fifo.frames()
    }

    /// Powers the vNIC off and on together with its guest. Everything returns to the state that
    /// construction made, except the cable and the counters, which belong to the operator, and the words
    /// in the EEPROM. Allocates nothing.
    pub fn power_cycle(&mut self) {
        self.controller.phy.reset();
        self.eeprom.power_cycle();
        self.reset();
        self.controller.faults.begin_life();
        self.controller.publish();
        // Its guest is off: it waits for nothing.
        self.transmit.left = false;
        let _ = (self.changes(self.now), self.controller.interrupts.shared.take_effects());
    }

    /// The bus no longer lets the vNIC reach guest memory: what it has fetched and lent out is not the guest's word any more.
    pub fn suspend(&mut self) {
        self.end_run();
        self.transmit.forget(&mut self.controller);
        if core::mem::take(&mut self.transmit.left) {
            self.note_effects(Effects::FRAMES_LEFT);
        }
    }

    /// The bus lets the vNIC reach guest memory again. It looks at its rings: the guest may have handed over
    /// descriptors meanwhile, and received frames may wait for them.
    pub fn resume(&mut self) {
        self.controller.load_tails();
        let effects = self.kick() | self.offer_space();
        self.note_effects(effects);
    }

    /// Ends a run of deliveries. None goes on while something is set up or read: it keeps what it has read of ring and registers.
    pub(crate) fn end_run(&mut self) {
        if let Some(run) = self.run.take() {
            run.walk.end(&mut self.controller);
        }
    }

    /// What has changed for the register half.
    pub(crate) fn changes(&mut self, now: Instant) -> Effects {
        self.now = now;
        self.controller.faults.pass(now);
        if !self.controller.faults.is_empty() {
            self.controller.interrupts.shared.set_faulty();
        }
        let (news, due) = self.controller.interrupts.publish(now);
        let mut effects = Effects::empty();
        effects.set(Effects::IRQ_CHANGED, news);
        effects.set(Effects::TIMER_CHANGED, due);
        effects.set(Effects::FRAMES_LEFT, core::mem::take(&mut self.transmit.left));
        effects
    }

    /// Says whether frames wait for receive descriptors, in the FIFO or with a sender. [`Effects::RX_SPACE`] if the guest has
    /// given some since the tail was last looked at: it does not say so again.
    pub(crate) fn note_starving(&mut self) -> Effects {
        let starving = self.refused || !self.fifo.is_empty();
        let controller = &self.controller;
        let shared = &controller.interrupts.shared;
        shared.set_starving(starving);
        let given = starving && shared.tail(RingKind::Receive) != controller.registers.get(reg::RDT);
        if given { Effects::RX_SPACE } else { Effects::empty() }
    }

    /// [`Effects::TX_KICK`] when transmit descriptors wait.
    pub(crate) fn kick(&self) -> Effects {
        if self.transmit.waiting(&self.controller) != 0 { Effects::TX_KICK } else { Effects::empty() }
    }

    /// [`Effects::RX_SPACE`] when frames wait for receive descriptors, here or with a sender. Mostly none do: a guest
    /// that gives its descriptors back in time causes no work with it.
    pub(crate) fn offer_space(&mut self) -> Effects {
        let refused = core::mem::take(&mut self.refused);
        self.controller.interrupts.shared.take_starving();
        if refused || !self.fifo.is_empty() { Effects::RX_SPACE } else { Effects::empty() }
    }

    /// Updates the link from the PHY; when it comes up, frames that waited for it can be sent.
    pub(crate) fn refresh_link(&mut self, again: bool) -> Effects {
        if self.controller.update_link(again) { self.kick() } else { Effects::empty() }
    }

    /// Software reset, `CTRL.RST`: everything but the PHY, the EEPROM and the I/O window [8254x 13.4.1,
    /// 14.7].
    pub(crate) fn reset(&mut self) {
        self.controller.counters.receive_lost_in_reset += self.fifo.frames() as u64;
        self.fifo.clear();
        self.end_run();
        self.transmit.reset(&mut self.controller);
        self.controller.receive_stopped = false;
        self.controller.registers.reset();
        self.controller.interrupts.reset();
        self.load_address();
        let _ = self.controller.update_link(false);
    }

    /// Loads receive address 0 from the EEPROM, as hardware does after reset [8254x 13.5.2].
    pub(crate) fn load_address(&mut self) {
        let [a, b, c, d, e, f] = self.eeprom.address().0;
        self.controller.registers.set(reg::ral(0), u32::from_le_bytes([a, b, c, d]));
        let high = u32::from(u16::from_le_bytes([e, f]));
        self.controller.registers.set(reg::rah(0), high | Rah::AV.bits());
    }
}
