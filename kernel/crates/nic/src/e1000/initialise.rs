//! Initialisation of an 82540EM or 82545EM [8254x 14].

use super::E1000Chip;
use crate::chip::{AddressSource, BringUp, NvmLayout};
use crate::{NicError, NicHost, NicRegisters};
use intel_regs::reg::{self, tipg};
use intel_regs::{Ctrl, Eerd};

impl BringUp for E1000Chip {
    /// With auto-speed detection, in case the PHY does not report the speed [8254x 13.4.1].
    const LINK_CONTROL: Ctrl = Ctrl::SLU.union(Ctrl::ASDE);
    const NVM: NvmLayout = NvmLayout { address_shift: Eerd::ADDR_SHIFT, done: Eerd::DONE.bits() };
    const ADDRESS_SOURCES: [AddressSource; 2] = [AddressSource::Nvm, AddressSource::ReceiveAddress];

    /// PCI offers no way to tell whether transactions are outstanding; the pause that follows lets them end.
    fn quiesce<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) {}

    /// These NICs have no status bit for this.
    fn await_nvm<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) -> Result<(), NicError> {
        Ok(())
    }

    /// These NICs have no such firmware.
    fn announce<R: NicRegisters>(_registers: &mut R) {}

    fn nvm_base<R: NicRegisters>(_registers: &mut R) -> u16 {
        0
    }

    /// No firmware shares the PHY.
    fn take_phy<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) -> Result<(), NicError> {
        Ok(())
    }

    fn release_phy<R: NicRegisters>(_registers: &mut R) {}

    /// Interrupts are moderated by the throttle, not by the delay timers, of which the manual warns
    /// [8254x 13.4.30].
    fn prepare_receive<R: NicRegisters>(registers: &mut R, _buffer: u16, _max_frame: u16) {
        registers.write(reg::RDTR, 0);
        registers.write(reg::RADV, 0);
    }

    fn enable_receive<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) -> Result<(), NicError> {
        Ok(())
    }

    fn prepare_transmit<R: NicRegisters>(registers: &mut R) {
        registers.write(reg::TIDV, 0);
        registers.write(reg::TADV, 0);
        registers.write(reg::TIPG, tipg::COPPER);
    }

    fn enable_transmit<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) -> Result<(), NicError> {
        Ok(())
    }
}
