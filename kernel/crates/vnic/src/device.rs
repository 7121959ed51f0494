//! The card as its owner handles it: register accesses in, effects out.

use crate::card::Card;
use crate::counters::Counters;
use crate::eeprom::Eeprom;
use crate::fault::{Faults, GuestFault, RingKind};
use crate::fifo::Fifo;
use crate::interrupts::Interrupts;
use crate::phy::Phy;
use crate::port::VnicPort;
use crate::registers::Registers;
use crate::transmit::Transmit;
use base::{Batch, Effects, GuestMemory, Instant, MacAddress};
use intel_regs::control::pba;
use intel_regs::{Ctrl, CtrlExt, Interrupt, Mdic, Rah, Rctl, Tctl, pci, phy, reg, stats};

/// How to make a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VnicConfig {
    /// The address in its EEPROM.
    pub mac: MacAddress,
    /// Whether it starts with a link.
    pub link_up: bool,
    /// Whether the frame check sequence that a guest finds behind each frame, unless it has it stripped, is
    /// calculated. Drivers ignore it; 0 in its place saves a pass over each frame.
    pub compute_fcs: bool,
}

impl VnicConfig {
    /// A card with this address, a link, and frame check sequences as on a real card.
    #[must_use]
    pub fn new(mac: MacAddress) -> Self {
        Self { mac, link_up: true, compute_fcs: true }
    }
}

/// An Intel 82540EM.
pub struct Vnic {
    pub(crate) card: Card,
    pub(crate) fifo: Fifo,
    pub(crate) transmit: Transmit,
    /// Where frames pass from transmitter to receiver in loopback mode.
    pub(crate) turnaround: Batch,
    pub(crate) effects: Effects,
    eeprom: Eeprom,
    io_address: u32,
}

/// What of the interrupt logic is visible from outside, to tell whether it changed.
pub(crate) struct Observed {
    line: bool,
    deadline: Option<Instant>,
}

impl Vnic {
    /// A card after power-on. All the memory it will ever use, about 80 KiB, is allocated here.
    #[must_use]
    pub fn new(config: VnicConfig) -> Self {
        let card = Card {
            registers: Registers::new(),
            interrupts: Interrupts::default(),
            phy: Phy::new(config.link_up),
            counters: Counters::default(),
            faults: Faults::default(),
            receive_stopped: false,
            transmit_stopped: false,
            compute_fcs: config.compute_fcs,
        };
        let mut vnic = Self {
            card,
            fifo: Fifo::new(),
            transmit: Transmit::new(),
            turnaround: Batch::with_capacity(intel_regs::receive::MAX_LONG_FRAME),
            effects: Effects::empty(),
            eeprom: Eeprom::new(config.mac),
            io_address: 0,
        };
        vnic.load_address();
        let _ = vnic.card.update_link(false);
        vnic
    }

    /// Reads the register at `offset` of the memory window, 4-byte aligned; lower bits are ignored. Reading
    /// has side effects: `ICR` and statistics are cleared.
    pub fn read(&mut self, offset: u32, now: Instant) -> (u32, Effects) {
        let before = self.observe();
        let value = self.read_register(offset & !3);
        (value, self.changes(&before, now))
    }

    /// Writes the register at `offset` of the memory window, 4-byte aligned; lower bits are ignored.
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

    /// Level of the card's interrupt line, INTA#: true when asserted.
    #[must_use]
    pub fn interrupt_line(&self) -> bool {
        self.card.interrupts.line()
    }

    /// When [`Vnic::advance`] should be called next, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.card.interrupts.next_deadline()
    }

    /// Lets time pass: fires the timers that are due. Calling it too early, or again, does no harm.
    pub fn advance(&mut self, now: Instant) -> Effects {
        let before = self.observe();
        self.changes(&before, now)
    }

    /// The card as a port: frames sent to it arrive at the guest, frames polled are the guest's.
    pub fn port<'a, M: GuestMemory>(&'a mut self, memory: &'a M) -> VnicPort<'a, M> {
        VnicPort::new(self, memory)
    }

    /// Effects of port operations since this was last called.
    pub fn take_effects(&mut self) -> Effects {
        core::mem::take(&mut self.effects)
    }

    /// Plugs the cable in or out, as an operator does.
    pub fn set_link(&mut self, up: bool, now: Instant) -> Effects {
        let before = self.observe();
        self.card.phy.set_cable(up);
        let effects = self.refresh_link(false);
        effects | self.changes(&before, now)
    }

    /// True while the card has a link.
    #[must_use]
    pub fn link_up(&self) -> bool {
        self.card.link_up()
    }

    /// Notes that a caller gave up `frames` frames that [`base::Port::send`] had not accepted: the guest's
    /// `MPC` counts them, and `RXO` is raised [8254x 13.4.17, 13.7.5].
    pub fn note_missed(&mut self, frames: u32, now: Instant) -> Effects {
        let before = self.observe();
        if frames != 0 {
            self.card.counters.receive_missed += u64::from(frames);
            self.card.registers.count(stats::MPC, frames);
            self.card.interrupts.raise(Interrupt::RXO);
        }
        self.changes(&before, now)
    }

    /// All counters. The guest cannot clear them.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.card.counters
    }

    /// The oldest fault of the guest not yet taken. Each kind comes once, so that a log of them is bounded
    /// whatever the guest does, resets included.
    pub fn faults(&mut self) -> Option<GuestFault> {
        self.card.faults.take()
    }

    /// Lets every kind of fault be reported once more, as an operator may wish.
    pub fn rearm_faults(&mut self) {
        self.card.faults.rearm();
    }

    /// Frames that wait in the receive FIFO for descriptors.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.fifo.frames()
    }

    pub(crate) fn observe(&self) -> Observed {
        Observed { line: self.interrupt_line(), deadline: self.next_deadline() }
    }

    /// Settles the interrupt logic and tells what of it changed.
    pub(crate) fn changes(&mut self, before: &Observed, now: Instant) -> Effects {
        self.card.interrupts.expire(now);
        self.card.interrupts.settle(now);
        let after = self.observe();
        let mut effects = Effects::empty();
        effects.set(Effects::IRQ_CHANGED, after.line != before.line);
        effects.set(Effects::TIMER_CHANGED, after.deadline != before.deadline);
        effects
    }

    fn read_register(&mut self, offset: u32) -> u32 {
        match offset {
            reg::EECD => self.eeprom.control(),
            reg::ICR => self.card.interrupts.read_causes(),
            reg::ITR => self.card.interrupts.throttle(),
            reg::IMS => self.card.interrupts.mask(),
            stats::FIRST..=stats::LAST => self.card.registers.read_statistic(offset),
            reg::PBA => {
                let receive = self.card.registers.get(reg::PBA);
                receive | pba::TOTAL.saturating_sub(receive) << pba::TXA_SHIFT
            }
            _ => {
                self.note_access(offset);
                self.card.registers.get(offset)
            }
        }
    }

    fn write_register(&mut self, offset: u32, value: u32, now: Instant) -> Effects {
        let Self { card, eeprom, .. } = self;
        match offset {
            reg::CTRL => return self.write_control(value),
            reg::EECD => eeprom.write_control(value),
            reg::EERD => card.registers.set(reg::EERD, eeprom.read_by_register(value)),
            reg::CTRL_EXT => {
                card.registers.write(reg::CTRL_EXT, value);
                if CtrlExt::from_bits_retain(value).contains(CtrlExt::EE_RST) {
                    self.load_address();
                }
            }
            reg::MDIC => return self.write_mdi(value),
            reg::ICR => card.interrupts.clear(value),
            reg::ITR => card.interrupts.set_throttle(value, now),
            reg::ICS => card.interrupts.force(value),
            reg::IMS => card.interrupts.enable(value),
            reg::IMC => card.interrupts.disable(value),
            reg::RCTL => return self.write_receive_control(value),
            reg::TCTL => return self.write_transmit_control(value),
            reg::RDTR => {
                card.registers.write(reg::RDTR, value);
                if value & reg::RDTR_FPD != 0 && card.interrupts.receive.is_running() {
                    card.interrupts.receive.stop();
                    card.interrupts.raise(Interrupt::RXT0);
                }
            }
            reg::RDBAL | reg::RDBAH | reg::RDLEN | reg::RDH => {
                card.registers.write(offset, value);
                card.receive_stopped = false;
                self.fifo.set_delivered(0);
            }
            reg::TDBAL | reg::TDBAH | reg::TDLEN | reg::TDH => {
                card.registers.write(offset, value);
                self.transmit.abandon(card);
            }
            reg::RDT | reg::TDT => return self.write_tail(offset, value),
            _ => {
                card.registers.write(offset, value);
                self.note_access(offset);
            }
        }
        Effects::empty()
    }

    fn note_access(&mut self, offset: u32) {
        self.card.counters.unknown_register += u64::from(!Registers::exists(offset));
    }

    /// `CTRL` [8254x 13.4.1].
    fn write_control(&mut self, value: u32) -> Effects {
        let control = Ctrl::from_bits_retain(value);
        if control.contains(Ctrl::RST) {
            self.reset();
            return Effects::RESET;
        }
        let phy_reset = control.contains(Ctrl::PHY_RST) && !self.card.control().contains(Ctrl::PHY_RST);
        self.card.registers.write(reg::CTRL, value);
        if phy_reset {
            self.card.phy.reset();
        }
        self.refresh_link(phy_reset)
    }

    /// `MDIC`: the transaction completes at once [8254x 13.4.7].
    fn write_mdi(&mut self, value: u32) -> Effects {
        let number = value >> Mdic::REGADD_SHIFT & Mdic::ADDRESS_MASK;
        let address = value >> Mdic::PHYADD_SHIFT & Mdic::ADDRESS_MASK;
        let asked = Mdic::from_bits_retain(value);
        let mut answer = value & !(Mdic::E.bits()) | Mdic::R.bits();
        let mut effects = Effects::empty();
        if address != phy::ADDRESS {
            answer |= Mdic::E.bits();
        } else if asked.contains(Mdic::OP_READ) {
            answer = answer & !Mdic::DATA_MASK | u32::from(self.card.phy.read(number));
        } else if asked.contains(Mdic::OP_WRITE) {
            let again = self.card.phy.write(number, value as u16);
            effects = self.refresh_link(again);
        }
        self.card.registers.set(reg::MDIC, answer);
        if asked.contains(Mdic::I) {
            self.card.interrupts.raise(Interrupt::MDAC);
        }
        effects
    }

    /// `RCTL` [8254x 13.4.22].
    fn write_receive_control(&mut self, value: u32) -> Effects {
        let was_enabled = self.card.enabled(RingKind::Receive);
        self.card.registers.write(reg::RCTL, value);
        let enabled = Rctl::from_bits_retain(value).contains(Rctl::EN) && !was_enabled;
        if enabled && self.card.check_tail(RingKind::Receive) { Effects::RX_SPACE } else { Effects::empty() }
    }

    /// `TCTL` [8254x 13.4.33]. `SWXOFF` clears itself, and no pause frame is sent: there is no partner on a
    /// virtual wire that could pause.
    fn write_transmit_control(&mut self, value: u32) -> Effects {
        let was_enabled = self.card.enabled(RingKind::Transmit);
        self.card.registers.write(reg::TCTL, value & !Tctl::SWXOFF.bits());
        let enabled = Tctl::from_bits_retain(value).contains(Tctl::EN) && !was_enabled;
        if enabled && self.card.check_tail(RingKind::Transmit) { self.kick() } else { Effects::empty() }
    }

    /// `RDT` and `TDT`: a tail beyond the ring is kept, as the register does, but the ring stands still.
    fn write_tail(&mut self, offset: u32, value: u32) -> Effects {
        let kind = if offset == reg::RDT { RingKind::Receive } else { RingKind::Transmit };
        self.card.registers.write(offset, value);
        if !self.card.enabled(kind) || !self.card.check_tail(kind) {
            return Effects::empty();
        }
        match kind {
            RingKind::Receive => Effects::RX_SPACE,
            RingKind::Transmit => self.kick(),
        }
    }

    fn kick(&self) -> Effects {
        let waiting = self.card.ring(RingKind::Transmit).available() != 0;
        if waiting { Effects::TX_KICK } else { Effects::empty() }
    }

    /// Follows the PHY; frames that waited for a link can go when it comes up.
    fn refresh_link(&mut self, again: bool) -> Effects {
        if self.card.update_link(again) { self.kick() } else { Effects::empty() }
    }

    /// Software reset, `CTRL.RST`: everything but the PHY, the EEPROM and the I/O window [8254x 13.4.1,
    /// 14.7].
    fn reset(&mut self) {
        self.card.counters.receive_lost_in_reset += self.fifo.frames() as u64;
        self.fifo.clear();
        self.transmit.reset(&mut self.card);
        self.card.receive_stopped = false;
        self.card.registers.reset();
        self.card.interrupts = Interrupts::default();
        self.load_address();
        let _ = self.card.update_link(false);
    }

    /// Switches the card off and on again, with its guest: as [`new`](Self::new) made it, but for the cable and
    /// the counters, which are the operator's. Allocates nothing.
    pub fn power_cycle(&mut self) {
        self.card.phy.reset();
        self.eeprom.power_cycle();
        self.io_address = 0;
        self.turnaround.clear();
        self.effects = Effects::empty();
        self.reset();
    }

    /// Loads receive address 0 from the EEPROM, as hardware does after reset [8254x 13.5.2].
    fn load_address(&mut self) {
        let [a, b, c, d, e, f] = self.eeprom.address().0;
        self.card.registers.set(reg::ral(0), u32::from_le_bytes([a, b, c, d]));
        let high = u32::from(u16::from_le_bytes([e, f]));
        self.card.registers.set(reg::rah(0), high | Rah::AV.bits());
    }
}
