//! Initialisation of an 82574 [82574 4.6].

use super::E1000eChip;
use crate::chip::{AddressSource, BringUp, NicChip, NvmLayout};
use crate::{NicHost, NicModel, NicRegisters, pcie};
use base::time::Duration;
use intel_regs::e1000e::{
    CTRL_ZERO, EXTCNF_CTRL, ExtcnfCtrl, GCR, GCR2, GCR2_COMPLETIONS, TARC0, TXDCTL_COUNT_DESC, ctrl_ext, gcr,
    tarc,
};
use intel_regs::pcie::Eec;
use intel_regs::reg::dctl;
use intel_regs::{Ctrl, reg};

impl BringUp for E1000eChip {
    const LINK_CONTROL: Ctrl = Ctrl::SLU;
    const NVM: NvmLayout = pcie::NVM;
    const ADDRESS_SOURCES: [AddressSource; 2] = pcie::ADDRESS_SOURCES;
    const DMA_LIMIT: u64 = 1 << 52;
    /// A reset in the middle of firmware's transaction with the PHY would leave the MDI bus hanging.
    const HOLDS_PHY_IN_RESET: bool = true;
    /// EEC.AUTO_RD is set when the NIC begins to configure its PHY from the non-volatile memory; neither may be
    /// accessed before it has finished.
    const LOAD_PAUSE: Duration = Duration::from_millis(25);

    fn quiesce<R: NicRegisters>(registers: &mut R) {
        pcie::quiesce(registers);
    }

    fn is_quiet(status: u32) -> bool {
        pcie::is_quiet(status)
    }

    fn reset<H: NicHost>(_host: &mut H, registers: &mut H::Registers) {
        pcie::reset(registers);
    }

    fn was_reset<R: NicRegisters>(_registers: &mut R) -> bool {
        true
    }

    /// EEC has the status bit [82574 10.2.2.3].
    fn loaded<R: NicRegisters>(registers: &mut R) -> Result<(), u32> {
        pcie::has(registers.read(reg::EECD), Eec::AUTO_RD.bits())
    }

    /// [`Self::LOAD_PAUSE`] includes it.
    fn is_configured<R: NicRegisters>(_registers: &mut R, _model: &NicModel) -> bool {
        true
    }

    /// What the specification update asks for; the manual calls these bits reserved. Without them the NIC stops
    /// under load when completions come late, as they do with ASPM, which the kernel switches off.
    fn correct<R: NicRegisters>(registers: &mut R, _model: &NicModel) {
        let mut change = |register, clear: u32, set: u32| {
            let value = registers.read(register);
            registers.write(register, value & !clear | set);
        };
        change(reg::CTRL, CTRL_ZERO, 0);
        change(reg::CTRL_EXT, ctrl_ext::ZERO, ctrl_ext::ONE);
        change(TARC0, tarc::ZERO, tarc::ONE);
        change(GCR, 0, gcr::COMPLETIONS | gcr::L1_ACT_WITHOUT_L0S_RX);
        change(GCR2, 0, GCR2_COMPLETIONS);
    }

    fn announce<R: NicRegisters>(registers: &mut R, present: bool) {
        pcie::announce(registers, present);
    }

    fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16 {
        pcie::nvm_base(registers)
    }

    /// Requests the MDI bus; granted when the bit reads as set [82574 10.2.2]. A request while firmware has the
    /// bus is lost, so that it is repeated in each turn, and taken back after each that failed.
    fn take_phy<R: NicRegisters>(registers: &mut R, _unchanged: Duration) -> Result<(), u32> {
        let owned = ExtcnfCtrl::MDIO_SW_OWNERSHIP.bits();
        let control = registers.read(EXTCNF_CTRL);
        registers.write(EXTCNF_CTRL, control | owned);
        let granted = pcie::has(registers.read(EXTCNF_CTRL), owned);
        if granted.is_err() {
            registers.write(EXTCNF_CTRL, control & !owned);
        }
        granted
    }

    fn release_phy<R: NicRegisters>(registers: &mut R, _forced: bool) -> Result<(), u32> {
        let control = registers.read(EXTCNF_CTRL);
        registers.write(EXTCNF_CTRL, control & !ExtcnfCtrl::MDIO_SW_OWNERSHIP.bits());
        Ok(())
    }

    /// As on the 8254x, interrupts are moderated by the throttle, not by the delay timers.
    fn prepare_receive<R: NicRegisters>(registers: &mut R, _buffer: u16, _max_frame: u16) {
        registers.write(reg::RDTR, 0);
        registers.write(reg::RADV, 0);
    }

    fn enable_receive<R: NicRegisters>(_registers: &mut R) {}

    fn receive_enabled<R: NicRegisters>(_registers: &mut R) -> Result<(), u32> {
        Ok(())
    }

    /// TIPG keeps its reset value, which is right for copper [82574 10.2.6]. Each descriptor is written back by
    /// itself: WTHRESH 1, in units of descriptors.
    fn prepare_transmit<R: NicRegisters>(registers: &mut R) {
        registers.write(reg::TIDV, 0);
        registers.write(reg::TADV, 0);
        let control =
            registers.read(Self::TRANSMIT.txdctl()) & !(dctl::THRESHOLD_MASK << dctl::WTHRESH_SHIFT);
        let single = 1 << dctl::WTHRESH_SHIFT | dctl::GRAN;
        registers.write(Self::TRANSMIT.txdctl(), control | single | TXDCTL_COUNT_DESC);
    }

    fn enable_transmit<R: NicRegisters>(_registers: &mut R) {}

    fn transmit_enabled<R: NicRegisters>(_registers: &mut R) -> Result<(), u32> {
        Ok(())
    }
}
