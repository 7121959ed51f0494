//! Bringing up a 82540EM or 82545EM [8254x 14].

use super::E1000Chip;
use crate::chip::{AddressSource, BringUp, NvmLayout};
use crate::{NicError, NicHost, NicRegisters};
use intel_regs::reg::{self, tipg};
use intel_regs::{Ctrl, Eerd};

impl BringUp for E1000Chip {
    /// Auto-speed detection, for the case that the PHY cannot tell [8254x 13.4.1].
    const LINK_CONTROL: Ctrl = Ctrl::SLU.union(Ctrl::ASDE);
    const NVM: NvmLayout = NvmLayout { address_shift: Eerd::ADDR_SHIFT, done: Eerd::DONE.bits() };
    const ADDRESS_SOURCES: [AddressSource; 2] = [AddressSource::Nvm, AddressSource::ReceiveAddress];

    /// PCI has no way to ask whether transactions are under way; the pause after this ends them.
    fn quiesce<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) {}

    /// These NICs have no status bit for it.
    fn await_nvm<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) -> Result<(), NicError> {
        Ok(())
    }

    /// No firmware to tell.
    fn announce<R: NicRegisters>(_registers: &mut R) {}

    fn nvm_base<R: NicRegisters>(_registers: &mut R) -> u16 {
        0
    }

    /// No firmware shares the PHY.
    fn take_phy<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) -> Result<(), NicError> {
        Ok(())
    }

    fn release_phy<R: NicRegisters>(_registers: &mut R) {}

    /// The interrupt throttle moderates, not the delay timers: the manual warns of those [8254x 13.4.30].
    fn prepare_receive<R: NicRegisters>(registers: &mut R, _buffer: usize, _max_frame: usize) {
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
