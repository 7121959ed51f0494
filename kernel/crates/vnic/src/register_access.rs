//! Accesses to the registers of the data half by offset, and those whose access does more than load or store.

use crate::device::VnicEngine;
use crate::fault::RingKind;
use crate::registers::VnicRegisters;
use crate::saturating::saturating_u32;
use base::Effects;
use intel_regs::control::pba;
use intel_regs::{Ctrl, CtrlExt, Interrupt, Mdic, Rctl, Tctl, phy, reg, stats};

impl VnicEngine {
    /// Reads a register with its side effects.
    pub(crate) fn read_register(&mut self, offset: u32) -> u32 {
        match offset {
            reg::EECD => self.eeprom.control(),
            reg::RDFPC => saturating_u32(self.fifo.frames()),
            stats::FIRST..=stats::LAST => self.controller.registers.read_statistic(offset),
            reg::PBA => {
                let receive = self.controller.registers.get(reg::PBA);
                receive | pba::TOTAL.saturating_sub(receive) << pba::TXA_SHIFT
            }
            _ => {
                self.note_access(offset);
                self.controller.registers.get(offset)
            }
        }
    }

    /// Writes a register; the effects are those apart from the interrupt logic.
    pub(crate) fn write_register(&mut self, offset: u32, value: u32) -> Effects {
        let Self { controller, eeprom, .. } = self;
        match offset {
            reg::CTRL => return self.write_control(value),
            reg::EECD => eeprom.write_control(value),
            reg::EERD => controller.registers.set(reg::EERD, eeprom.read_by_register(value)),
            reg::CTRL_EXT => {
                controller.registers.write(reg::CTRL_EXT, value);
                if CtrlExt::from_bits_retain(value).contains(CtrlExt::EE_RST) {
                    self.load_address();
                }
            }
            reg::MDIC => return self.write_mdi(value),
            reg::RCTL => return self.write_receive_control(value),
            reg::TCTL => return self.write_transmit_control(value),
            reg::RDTR => {
                controller.registers.write(reg::RDTR, value);
                if value & reg::RDTR_FPD != 0 && controller.interrupts.receive.is_running() {
                    controller.interrupts.receive.stop();
                    controller.interrupts.raise(Interrupt::RXT0);
                }
            }
            reg::RDBAL | reg::RDBAH | reg::RDLEN | reg::RDH => {
                controller.registers.write(offset, value);
                controller.receive_stopped = false;
                self.fifo.set_delivered(0);
            }
            reg::TDBAL | reg::TDBAH | reg::TDLEN | reg::TDH => {
                controller.registers.write(offset, value);
                self.transmit.abandon(controller);
            }
            reg::RDT | reg::TDT => return self.write_tail(offset, value),
            _ => {
                controller.registers.write(offset, value);
                self.note_access(offset);
            }
        }
        Effects::empty()
    }

    /// Counts an access to an offset without a register.
    fn note_access(&mut self, offset: u32) {
        self.controller.counters.unknown_register += u64::from(!VnicRegisters::exists(offset));
    }

    /// `CTRL` [8254x 13.4.1].
    fn write_control(&mut self, value: u32) -> Effects {
        let control = Ctrl::from_bits_retain(value);
        let phy_reset = control.contains(Ctrl::PHY_RST) && !self.controller.control().contains(Ctrl::PHY_RST);
        if control.contains(Ctrl::RST) {
            // One write can reset both; iPXE's does. RST ends the pulse of PHY_RST, whose reset value is 0.
            if phy_reset {
                self.controller.phy.reset();
            }
            self.reset();
            return Effects::RESET;
        }
        self.controller.registers.write(reg::CTRL, value);
        if phy_reset {
            self.controller.phy.reset();
        }
        self.refresh_link(phy_reset)
    }

    /// `MDIC`: the transaction completes at once [8254x 13.4.7].
    fn write_mdi(&mut self, value: u32) -> Effects {
        let number = value >> Mdic::REGADD_SHIFT & Mdic::ADDRESS_MASK;
        let address = value >> Mdic::PHYADD_SHIFT & Mdic::ADDRESS_MASK;
        let requested = Mdic::from_bits_retain(value);
        let mut answer = value & !(Mdic::E.bits()) | Mdic::R.bits();
        let mut effects = Effects::empty();
        if address != phy::ADDRESS {
            answer |= Mdic::E.bits();
        } else if requested.contains(Mdic::OP_READ) {
            answer = answer & !Mdic::DATA_MASK | u32::from(self.controller.phy.read(number));
        } else if requested.contains(Mdic::OP_WRITE) {
            let again = self.controller.phy.write(number, (value & Mdic::DATA_MASK) as u16);
            effects = self.refresh_link(again);
        }
        self.controller.registers.set(reg::MDIC, answer);
        if requested.contains(Mdic::I) {
            self.controller.interrupts.raise(Interrupt::MDAC);
        }
        effects
    }

    /// `RCTL` [8254x 13.4.22].
    fn write_receive_control(&mut self, value: u32) -> Effects {
        let was_enabled = self.controller.enabled(RingKind::Receive);
        self.controller.registers.write(reg::RCTL, value);
        let enabled = Rctl::from_bits_retain(value).contains(Rctl::EN) && !was_enabled;
        if enabled && self.controller.check_tail(RingKind::Receive) {
            self.offer_space()
        } else {
            Effects::empty()
        }
    }

    /// `TCTL` [8254x 13.4.33]. `SWXOFF` clears itself, and no PAUSE frame is sent: a virtual wire has no link
    /// partner that could pause.
    fn write_transmit_control(&mut self, value: u32) -> Effects {
        let was_enabled = self.controller.enabled(RingKind::Transmit);
        self.controller.registers.write(reg::TCTL, value & !Tctl::SWXOFF.bits());
        let enabled = Tctl::from_bits_retain(value).contains(Tctl::EN) && !was_enabled;
        if enabled && self.controller.check_tail(RingKind::Transmit) { self.kick() } else { Effects::empty() }
    }

    /// `RDT` and `TDT`: the register keeps a tail beyond the ring, but the ring is idle.
    fn write_tail(&mut self, offset: u32, value: u32) -> Effects {
        let kind = if offset == reg::RDT { RingKind::Receive } else { RingKind::Transmit };
        self.controller.registers.write(offset, value);
        if !self.controller.enabled(kind) || !self.controller.check_tail(kind) {
            return Effects::empty();
        }
        match kind {
            RingKind::Receive => self.offer_space(),
            RingKind::Transmit => self.kick(),
        }
    }
}
