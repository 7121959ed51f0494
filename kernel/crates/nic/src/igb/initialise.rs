//! Initialisation of an 82576, I210 or I350 [I210 4.5].

use super::IgbChip;
use super::semaphore::Semaphore;
use crate::chip::{AddressSource, BringUp, NicChip, NvmLayout};
use crate::{NicHost, NicModel, NicRegisters, pcie};
use base::time::Duration;
use intel_regs::igb::{
    DCTL_ENABLE, EEER, EEMNGCTL, EEMNGCTL_I210, GCR, IPCNFG, RLPML, SW_FW_SYNC, cfg_done, eeer, gcr, ipcnfg,
    srrctl, sw_fw_sync,
};
use intel_regs::{Ctrl, Rah, reg};

/// Bytes of the frame check sequence, which RLPML counts and the port does not.
const CRC: u16 = 4;

impl BringUp for IgbChip {
    const LINK_CONTROL: Ctrl = Ctrl::SLU;
    const NVM: NvmLayout = pcie::NVM;
    const ADDRESS_SOURCES: [AddressSource; 2] = pcie::ADDRESS_SOURCES;
    const DMA_LIMIT: u64 = 1 << 52;
    const HOLDS_PHY_IN_RESET: bool = false;
    const LOAD_PAUSE: Duration = Duration::ZERO;

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

    /// RAH0.AV is the status bit: the NIC sets it when it has loaded the station address from its non-volatile
    /// memory [I210 8.10.17]. QEMU's NIC never sets EEC.AUTO_RD.
    fn loaded<R: NicRegisters>(registers: &mut R) -> Result<(), u32> {
        pcie::has(registers.read(reg::rah(0)), Rah::AV.bits())
    }

    fn is_configured<R: NicRegisters>(registers: &mut R, model: &NicModel) -> bool {
        let done = cfg_done(pcie::lan_id(registers));
        let register = if model.is_i210() { EEMNGCTL_I210 } else { EEMNGCTL };
        pcie::has(registers.read(register), done).is_ok()
    }

    /// The 82576 gives up on a completion after 50 us to 50 ms, which busy platforms exceed, and then sends its
    /// request again, which corrupts data when both are answered. The later ones save energy on the link as
    /// their non-volatile memory says, and some partners lose the link over it: all of them keep it awake.
    fn correct<R: NicRegisters>(registers: &mut R, model: &NicModel) {
        if model.has_eee() {
            let advertised = registers.read(IPCNFG);
            registers.write(IPCNFG, advertised & !(ipcnfg::EEE_1G_AN | ipcnfg::EEE_100M_AN));
            let energy = registers.read(EEER);
            registers.write(EEER, energy & !(eeer::TX_LPI_EN | eeer::RX_LPI_EN | eeer::LPI_FC));
            return;
        }
        let control = registers.read(GCR) & !gcr::CMPL_TMOUT_RESEND;
        let preset = control & (gcr::CMPL_TMOUT_MASK | gcr::CAP_VER2) != 0;
        registers.write(GCR, if preset { control } else { control | gcr::CMPL_TMOUT_10MS });
    }

    fn announce<R: NicRegisters>(registers: &mut R, present: bool) {
        pcie::announce(registers, present);
    }

    fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16 {
        pcie::nvm_base(registers)
    }

    /// Acquires the PHY of this port [I210 4.6.1]. Only this driver sets the bit for software: one that is set
    /// already was left by a predecessor.
    fn take_phy<R: NicRegisters>(registers: &mut R, unchanged: Duration) -> Result<(), u32> {
        let lan = pcie::lan_id(registers);
        let semaphore = Semaphore::take(registers, unchanged)?;
        let owners = registers.read(SW_FW_SYNC);
        let free = owners & sw_fw_sync::firmware_phy(lan) == 0;
        if free {
            registers.write(SW_FW_SYNC, owners | sw_fw_sync::software_phy(lan));
        }
        semaphore.release(registers);
        if free { Ok(()) } else { Err(owners) }
    }

    /// Releases the PHY [I210 4.6.2], under the semaphore: firmware changes other bits of the same register. Nothing is
    /// written if software does not have it.
    fn release_phy<R: NicRegisters>(registers: &mut R, forced: bool) -> Result<(), u32> {
        let lan = pcie::lan_id(registers);
        if registers.read(SW_FW_SYNC) & sw_fw_sync::software_phy(lan) == 0 {
            return Ok(());
        }
        let semaphore = match Semaphore::take(registers, Duration::ZERO) {
            Ok(semaphore) => Some(semaphore),
            Err(value) if !forced => return Err(value),
            // A bit that stays set would keep firmware from its PHY for ever.
            Err(_) => None,
        };
        let owners = registers.read(SW_FW_SYNC);
        registers.write(SW_FW_SYNC, owners & !sw_fw_sync::software_phy(lan));
        if let Some(semaphore) = semaphore {
            semaphore.release(registers);
        }
        Ok(())
    }

    /// A queue must be disabled while it is set up [I210 8.10.4].
    fn prepare_receive<R: NicRegisters>(registers: &mut R, buffer: u16, max_frame: u16) {
        let control = registers.read(Self::RECEIVE.rxdctl());
        registers.write(Self::RECEIVE.rxdctl(), control & !DCTL_ENABLE);
        let size = u32::from(buffer / 1024) & srrctl::BSIZEPACKET_MASK;
        registers.write(Self::RECEIVE.srrctl(), size | srrctl::DESCTYPE_ONE_BUFFER);
        registers.write(RLPML, (max_frame + CRC).into());
    }

    fn enable_receive<R: NicRegisters>(registers: &mut R) {
        enable(registers, Self::RECEIVE.rxdctl());
    }

    fn receive_enabled<R: NicRegisters>(registers: &mut R) -> Result<(), u32> {
        pcie::has(registers.read(Self::RECEIVE.rxdctl()), DCTL_ENABLE)
    }

    fn prepare_transmit<R: NicRegisters>(registers: &mut R) {
        let control = registers.read(Self::TRANSMIT.txdctl());
        registers.write(Self::TRANSMIT.txdctl(), control & !DCTL_ENABLE);
    }

    fn enable_transmit<R: NicRegisters>(registers: &mut R) {
        enable(registers, Self::TRANSMIT.txdctl());
    }

    fn transmit_enabled<R: NicRegisters>(registers: &mut R) -> Result<(), u32> {
        pcie::has(registers.read(Self::TRANSMIT.txdctl()), DCTL_ENABLE)
    }
}

/// Enables a queue, which takes a moment [I210 4.5.9, 4.5.10].
fn enable<R: NicRegisters>(registers: &mut R, register: u32) {
    let control = registers.read(register);
    registers.write(register, control | DCTL_ENABLE);
}
