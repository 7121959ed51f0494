//! The vNIC as its owner uses it: register accesses in, effects out.

use crate::config::VnicModelConfig;
use crate::controller::Controller;
use crate::counters::VnicCounters;
use crate::eeprom::Eeprom;
use crate::fault::{Faults, GuestFault};
use crate::fifo::ReceiveFifo;
use crate::interrupts::VnicInterrupts;
use crate::phy::Phy;
use crate::port::{DeliveryRun, VnicPort};
use crate::registers::VnicRegisters;
use crate::transmit::Transmitter;
use base::{Effects, GuestSpans, Instant, Span};
use intel_regs::{Rah, pci, reg};

/// A virtual Intel 82540EM.
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
    pub(crate) controller: Controller,
    pub(crate) fifo: ReceiveFifo,
    pub(crate) transmit: Transmitter,
    /// Frames are being delivered.
    pub(crate) run: Option<DeliveryRun>,
    pub(crate) effects: Effects,
    /// A sender keeps frames that it was refused, and has not been told of free descriptors since.
    pub(crate) refused: bool,
    pub(crate) eeprom: Eeprom,
    io_address: u32,
}

/// The part of the interrupt logic that is visible from outside, to detect changes.
pub(crate) struct InterruptSnapshot {
    line: bool,
    deadline: Option<Instant>,
}

impl Vnic {
    /// A vNIC after power-on. All the memory it will ever use, about 120 KiB, is allocated here, but for `bounce`: where
    /// it keeps frames that it builds, up to 256 KiB of them. A device that they go to must reach it.
    #[must_use]
    pub fn new(config: VnicModelConfig, bounce: Span) -> Self {
        let controller = Controller {
            registers: VnicRegisters::new(),
            interrupts: VnicInterrupts::default(),
            phy: Phy::new(config.link_up),
            counters: VnicCounters::default(),
            faults: Faults::default(),
            receive_stopped: false,
            transmit_stopped: false,
            compute_fcs: config.compute_fcs,
            always_insert_fcs: config.always_insert_fcs,
        };
        let mut vnic = Self {
            controller,
            fifo: ReceiveFifo::new(),
            transmit: Transmitter::new(bounce),
            run: None,
            effects: Effects::empty(),
            refused: false,
            eeprom: Eeprom::new(config.mac, config.protect_eeprom),
            io_address: 0,
        };
        vnic.load_address();
        let _ = vnic.controller.update_link(false);
        vnic
    }

    /// Reads the 4-byte register at `offset` of the memory window; the low two bits of `offset` are ignored.
    /// Reading has side effects: it clears `ICR` and the statistics.
    pub fn read(&mut self, offset: u32, now: Instant) -> (u32, Effects) {
        let before = self.observe();
        let value = self.read_register(offset & !3);
        (value, self.changes(&before, now))
    }

    /// Writes the 4-byte register at `offset` of the memory window; the low two bits of `offset` are ignored.
    pub fn write(&mut self, offset: u32, value: u32, now: Instant) -> Effects {
        let before = self.observe();
        let effects = self.write_register(offset & !3, value, now);
        effects | self.changes(&before, now)
    }

    /// Reads 4 bytes at `offset` of the I/O window: `IOADDR` or, through it, a register [8254x 13.2.2].
    pub fn io_read(&mut self, offset: u32, now: Instant) -> (u32, Effects) {
        match offset & !3 {
            pci::IOADDR => (self.io_address, Effects::empty()),
            pci::IODATA => self.read(self.io_address, now),
            _ => (0, Effects::empty()),
        }
    }

    /// Writes 4 bytes at `offset` of the I/O window: `IOADDR` or, through it, a register [8254x 13.2.2].
    pub fn io_write(&mut self, offset: u32, value: u32, now: Instant) -> Effects {
        match offset & !3 {
            pci::IOADDR => self.io_address = value,
            pci::IODATA => return self.write(self.io_address, value, now),
            _ => {}
        }
        Effects::empty()
    }

    /// The level of the interrupt line, INTA#: true when asserted.
    #[must_use]
    pub fn interrupt_line(&self) -> bool {
        self.controller.interrupts.line()
    }

    /// When [`Vnic::advance`] must be called next, unless another call changes this first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.controller.interrupts.next_deadline()
    }

    /// Fires the timers that are due at `now`. An early or repeated call does no harm.
    pub fn advance(&mut self, now: Instant) -> Effects {
        let before = self.observe();
        self.changes(&before, now)
    }

    /// The vNIC as a port: frames sent to it go to the guest, frames polled from it come from the guest.
    pub fn port<'a, M: GuestSpans>(&'a mut self, memory: &'a M) -> VnicPort<'a, M> {
        VnicPort::new(self, memory)
    }

    /// Returns the effects of port operations since the last call, and clears them.
    pub fn take_effects(&mut self) -> Effects {
        core::mem::take(&mut self.effects)
    }

    /// Plugs or unplugs the cable, on behalf of an operator.
    pub fn set_link(&mut self, up: bool, now: Instant) -> Effects {
        let before = self.observe();
        self.controller.phy.set_cable(up);
        let effects = self.refresh_link(false);
        effects | self.changes(&before, now)
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

    /// Removes and returns the oldest pending fault of the guest. Each kind is reported once, which bounds the
    /// log whatever the guest does, resets included.
    pub fn faults(&mut self) -> Option<GuestFault> {
        self.controller.faults.take()
    }

    /// Frames in the receive FIFO that wait for descriptors.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.fifo.frames()
    }

    /// Powers the vNIC off and on together with its guest. Everything returns to the state that
    /// [`new`](Self::new) made, except the cable and the counters, which belong to the operator, and the words
    /// in the EEPROM. Allocates nothing.
    pub fn power_cycle(&mut self) {
        self.controller.phy.reset();
        self.eeprom.power_cycle();
        self.io_address = 0;
        self.reset();
        // Its guest is off: it waits for nothing.
        self.transmit.left = false;
        self.effects = Effects::empty();
    }

    /// The bus no longer lets the vNIC reach guest memory: what it has fetched and lent out is not the guest's word any more.
    pub fn suspend(&mut self) {
        self.transmit.forget(&mut self.controller);
        self.run = None;
        if core::mem::take(&mut self.transmit.left) {
            self.effects |= Effects::FRAMES_LEFT;
        }
    }

    /// The bus lets the vNIC reach guest memory again. It looks at its rings: the guest may have handed over
    /// descriptors meanwhile, and received frames may wait for them.
    pub fn resume(&mut self) {
        let effects = self.kick() | self.offer_space();
        self.effects |= effects;
    }

    pub(crate) fn observe(&self) -> InterruptSnapshot {
        InterruptSnapshot { line: self.interrupt_line(), deadline: self.next_deadline() }
    }

    /// Settles the interrupt logic and returns what changed in it since `before`.
    pub(crate) fn changes(&mut self, before: &InterruptSnapshot, now: Instant) -> Effects {
        self.controller.interrupts.expire(now);
        self.controller.interrupts.settle(now);
        let after = self.observe();
        let mut effects = Effects::empty();
        effects.set(Effects::IRQ_CHANGED, after.line != before.line);
        effects.set(Effects::TIMER_CHANGED, after.deadline != before.deadline);
        effects.set(Effects::FRAMES_LEFT, core::mem::take(&mut self.transmit.left));
        effects
    }

    /// [`Effects::TX_KICK`] when transmit descriptors wait.
    pub(crate) fn kick(&self) -> Effects {
        if self.transmit.waiting(&self.controller) != 0 { Effects::TX_KICK } else { Effects::empty() }
    }

    /// [`Effects::RX_SPACE`] when frames wait for receive descriptors, here or with a sender. Mostly none do: a guest
    /// that gives its descriptors back in time causes no work with it.
    pub(crate) fn offer_space(&mut self) -> Effects {
        let refused = core::mem::take(&mut self.refused);
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
        self.run = None;
        self.transmit.reset(&mut self.controller);
        self.controller.receive_stopped = false;
        self.controller.registers.reset();
        self.controller.interrupts = VnicInterrupts::default();
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
