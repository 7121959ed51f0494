//! Interrupts of the 82540EM and 82545EM [8254x 13.4.17 to 13.4.21].

use super::E1000Chip;
use crate::chip::InterruptControl;
use crate::{Causes, InterruptMode, NicRegisters, interrupt};
use base::time::Duration;
use intel_regs::reg;

impl InterruptControl for E1000Chip {
    /// The 82545EM has MSI, but stock drivers never used it, so that its quality is unknown.
    const MESSAGES: bool = false;

    fn route<R: NicRegisters>(_registers: &mut R, _mode: InterruptMode) {}

    fn mask<R: NicRegisters>(registers: &mut R) {
        interrupt::mask(registers);
    }

    fn unmask<R: NicRegisters>(registers: &mut R, _mode: InterruptMode, transmit: bool) {
        interrupt::unmask(registers, transmit);
    }

    fn mask_transmit<R: NicRegisters>(registers: &mut R, _mode: InterruptMode) {
        interrupt::mask_transmit(registers);
    }

    fn causes<R: NicRegisters>(registers: &mut R, _mode: InterruptMode) -> Option<Causes> {
        interrupt::causes(registers)
    }

    fn throttle<R: NicRegisters>(registers: &mut R, _mode: InterruptMode, interval: Duration) {
        registers.write(reg::ITR, interrupt::itr_units(interval));
    }
}
