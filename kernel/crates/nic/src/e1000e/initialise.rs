//! Initialisation of an 82574 [82574 4.6].

use super::E1000eChip;
use crate::chip::{AddressSource, BringUp, NicChip, NvmLayout};
use crate::phy::PHY_TIMEOUT;
use crate::{NicError, NicHost, NicRegisters, pcie, wait};
use intel_regs::e1000e::{EXTCNF_CTRL, ExtcnfCtrl, TXDCTL_COUNT_DESC};
use intel_regs::pcie::Eec;
use intel_regs::{Ctrl, reg};

impl BringUp for E1000eChip {
    const LINK_CONTROL: Ctrl = Ctrl::SLU;
    const NVM: NvmLayout = pcie::NVM;
    const ADDRESS_SOURCES: [AddressSource; 2] = pcie::ADDRESS_SOURCES;

    fn quiesce<H: NicHost>(host: &mut H, registers: &mut H::Registers) {
        pcie::quiesce(host, registers);
    }

    /// EEC has the status bit [82574 10.2.2.3].
    fn await_nvm<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
        pcie::await_nvm(host, registers, reg::EECD, Eec::AUTO_RD.bits())
    }

    fn announce<R: NicRegisters>(registers: &mut R) {
        pcie::announce(registers);
    }

    fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16 {
        pcie::nvm_base(registers)
    }

    /// Requests the MDI bus and waits until it is granted [82574 10.2.2].
    fn take_phy<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
        let owned = ExtcnfCtrl::MDIO_SW_OWNERSHIP.bits();
        let control = registers.read(EXTCNF_CTRL);
        registers.write(EXTCNF_CTRL, control | owned);
        wait::until(host, registers, EXTCNF_CTRL, PHY_TIMEOUT, |control| control & owned != 0)
            .map(|_| ())
            .map_err(|semaphore| NicError::PhyBusy { semaphore, waited: PHY_TIMEOUT })
    }

    fn release_phy<R: NicRegisters>(registers: &mut R) {
        let control = registers.read(EXTCNF_CTRL);
        registers.write(EXTCNF_CTRL, control & !ExtcnfCtrl::MDIO_SW_OWNERSHIP.bits());
    }

    /// As on the 8254x, interrupts are moderated by the throttle, not by the delay timers.
    fn prepare_receive<R: NicRegisters>(registers: &mut R, _buffer: u16, _max_frame: u16) {
        registers.write(reg::RDTR, 0);
        registers.write(reg::RADV, 0);
    }

    fn enable_receive<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) -> Result<(), NicError> {
        Ok(())
    }

    /// TIPG keeps its reset value, which is right for copper [82574 10.2.6].
    fn prepare_transmit<R: NicRegisters>(registers: &mut R) {
        registers.write(reg::TIDV, 0);
        registers.write(reg::TADV, 0);
        let control = registers.read(Self::TRANSMIT.txdctl());
        registers.write(Self::TRANSMIT.txdctl(), control | TXDCTL_COUNT_DESC);
    }

    fn enable_transmit<H: NicHost>(_host: &mut H, _registers: &mut H::Registers) -> Result<(), NicError> {
        Ok(())
    }
}
