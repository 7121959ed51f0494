//! Interrupts of the 82576, I210 and I350 [I210 7.3]. With MSI-X, entry 0 of the table is for received frames
//! and for the causes that belong to no queue, entry 1 for transmitted frames, so that these can be masked
//! separately.

use super::IgbChip;
use crate::chip::InterruptControl;
use crate::{Causes, InterruptMode, NicRegisters, interrupt};
use base::time::Duration;
use intel_regs::igb::{self, ExtendedInterrupt, Gpie, eitr, eitr_interval, ivar};
use intel_regs::{Interrupt, reg};

/// Entry of the MSI-X table for received frames and for causes that belong to no queue.
const RECEIVE: u32 = 0;
/// Entry of the MSI-X table for transmitted frames.
const TRANSMIT: u32 = 1;

impl InterruptControl for IgbChip {
    const MESSAGES: bool = true;

    /// The settings of [I210 table 7-53]: several vectors with MSI-X, else the legacy causes. IVAR is set in
    /// both cases: without an entry for them, QEMU's NIC completes transmissions without setting a cause.
    fn route<R: NicRegisters>(registers: &mut R, mode: InterruptMode) {
        let entry = |vector: u32, shift: u32| (vector | ivar::VALID) << shift;
        let queues = entry(RECEIVE, ivar::RXQ0_SHIFT) | entry(TRANSMIT, ivar::TXQ0_SHIFT);
        registers.write(igb::ivar(0), queues);
        registers.write(igb::IVAR_MISC, entry(RECEIVE, ivar::OTHER_SHIFT));
        if mode != InterruptMode::Msix {
            registers.write(igb::GPIE, Gpie::NSICR.bits());
            registers.write(igb::EIAC, 0);
            return;
        }
        registers.write(igb::GPIE, (Gpie::NSICR | Gpie::MULTIPLE_MSIX | Gpie::PBA_SUPPORT).bits());
        registers.write(igb::EIAC, 1 << RECEIVE | 1 << TRANSMIT);
    }

    fn mask<R: NicRegisters>(registers: &mut R) {
        registers.write(igb::EIMC, u32::MAX);
        interrupt::mask(registers);
    }

    fn unmask<R: NicRegisters>(registers: &mut R, mode: InterruptMode, transmit: bool) {
        if mode == InterruptMode::Msix {
            registers.write(reg::IMS, Interrupt::LSC.bits());
            registers.write(igb::EIMS, 1 << RECEIVE | u32::from(transmit) << TRANSMIT);
        } else {
            interrupt::unmask(registers, transmit);
            registers.write(igb::EIMS, ExtendedInterrupt::OTHER.bits());
        }
    }

    fn mask_transmit<R: NicRegisters>(registers: &mut R, mode: InterruptMode) {
        if mode == InterruptMode::Msix {
            registers.write(igb::EIMC, 1 << TRANSMIT);
        } else {
            interrupt::mask_transmit(registers);
        }
    }

    /// With MSI-X, sending the message has already cleared the causes of the queues; only the rings show which
    /// one it was.
    fn causes<R: NicRegisters>(registers: &mut R, mode: InterruptMode) -> Option<Causes> {
        let causes = interrupt::causes(registers)?;
        let any = mode == InterruptMode::Msix;
        Some(Causes { receive: causes.receive || any, transmit: causes.transmit || any, ..causes })
    }

    fn throttle<R: NicRegisters>(registers: &mut R, _mode: InterruptMode, interval: Duration) {
        let microseconds = u32::try_from(interval.as_micros()).unwrap_or(u32::MAX);
        for vector in [RECEIVE, TRANSMIT] {
            registers.write(eitr(vector), eitr_interval(microseconds));
        }
    }
}
