//! Interrupts of the 82574 [82574 7.4, 10.2.4]. With MSI-X all causes use entry 0 of the table.

use super::E1000eChip;
use crate::chip::InterruptControl;
use crate::{Causes, InterruptMode, NicRegisters, interrupt};
use base::time::Duration;
use intel_regs::e1000e::{EIAC, IAM, IVAR, QueueInterrupt, eitr, ivar};
use intel_regs::pcie::CtrlExtPcie;
use intel_regs::{Interrupt, reg};

/// The wanted causes that belong to no queue: the NIC signals them as [`QueueInterrupt::OTHER`].
const OTHER: Interrupt = Interrupt::LSC.union(Interrupt::RXO);

impl InterruptControl for E1000eChip {
    const MESSAGES: bool = true;

    fn route<R: NicRegisters>(registers: &mut R, mode: InterruptMode) {
        registers.write(EIAC, 0);
        registers.write(IAM, 0);
        let pending = CtrlExtPcie::PBA_CLR.bits();
        let control = registers.read(reg::CTRL_EXT);
        if mode != InterruptMode::Msix {
            registers.write(reg::CTRL_EXT, control & !pending);
            registers.write(IVAR, 0);
            return;
        }
        registers.write(reg::CTRL_EXT, control | pending);
        let entry = |shift: u32| ivar::VALID << shift;
        let entries = entry(ivar::RXQ0_SHIFT) | entry(ivar::TXQ0_SHIFT) | entry(ivar::OTHER_SHIFT);
        registers.write(IVAR, entries | ivar::EVERY_WRITE_BACK);
    }

    fn mask<R: NicRegisters>(registers: &mut R) {
        interrupt::mask(registers);
    }

    fn unmask<R: NicRegisters>(registers: &mut R, mode: InterruptMode, transmit: bool) {
        if mode != InterruptMode::Msix {
            return interrupt::unmask(registers, transmit);
        }
        let transmit = if transmit { QueueInterrupt::TXQ0 } else { QueueInterrupt::empty() };
        let wanted = QueueInterrupt::RXQ0 | QueueInterrupt::OTHER | transmit;
        registers.write(reg::IMS, OTHER.bits() | wanted.bits());
    }

    fn mask_transmit<R: NicRegisters>(registers: &mut R, mode: InterruptMode) {
        if mode == InterruptMode::Msix {
            registers.write(reg::IMC, QueueInterrupt::TXQ0.bits());
        } else {
            interrupt::mask_transmit(registers);
        }
    }

    /// With MSI-X, ICR is cleared by writing, not by reading [82574 10.2.4.1]. A cause set between the two
    /// accesses is lost while its frame stays in the ring, which is why the caller polls afterwards.
    fn causes<R: NicRegisters>(registers: &mut R, mode: InterruptMode) -> Option<Causes> {
        if mode != InterruptMode::Msix {
            return interrupt::causes(registers);
        }
        let icr = registers.read(reg::ICR);
        if icr == u32::MAX {
            return None;
        }
        registers.write(reg::ICR, icr);
        let (common, queue) = (Interrupt::from_bits_retain(icr), QueueInterrupt::from_bits_retain(icr));
        Some(Causes {
            link: common.contains(Interrupt::LSC),
            receive: queue.contains(QueueInterrupt::RXQ0) || common.contains(Interrupt::RXO),
            transmit: queue.contains(QueueInterrupt::TXQ0),
        })
    }

    fn throttle<R: NicRegisters>(registers: &mut R, mode: InterruptMode, interval: Duration) {
        let register = if mode == InterruptMode::Msix { eitr(0) } else { reg::ITR };
        registers.write(register, interrupt::itr_units(interval));
    }
}
