//! Initialisation of an 82576, I210 or I350 [I210 4.5].

use super::IgbChip;
use crate::chip::{AddressSource, BringUp, NicChip, NvmLayout};
use crate::initialise::QUEUE_TIMEOUT;
use crate::phy::PHY_TIMEOUT;
use crate::{NicError, NicHost, NicRegisters, pcie, wait};
use base::time::Duration;
use intel_regs::igb::{DCTL_ENABLE, RLPML, SW_FW_SYNC, SWSM, Swsm, srrctl, sw_fw_sync};
use intel_regs::{Ctrl, Rah, reg};

/// Bytes of the frame check sequence, which RLPML counts and the port does not.
const CRC: u16 = 4;

/// Timeout for firmware to release a semaphore: longer than any transaction, and longer than the 10 ms after
/// which either side may take a semaphore from the other [I210 8.7.2].
const SEMAPHORE_TIMEOUT: Duration = Duration::from_millis(20);

impl BringUp for IgbChip {
    const LINK_CONTROL: Ctrl = Ctrl::SLU;
    const NVM: NvmLayout = pcie::NVM;
    const ADDRESS_SOURCES: [AddressSource; 2] = pcie::ADDRESS_SOURCES;

    fn quiesce<H: NicHost>(host: &mut H, registers: &mut H::Registers) {
        pcie::quiesce(host, registers);
    }

    /// RAH0.AV is the status bit: the NIC sets it when it has loaded the station address from its non-volatile
    /// memory [I210 8.10.17]. QEMU's NIC never sets EEC.AUTO_RD.
    fn await_nvm<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
        pcie::await_nvm(host, registers, reg::rah(0), Rah::AV.bits())
    }

    fn announce<R: NicRegisters>(registers: &mut R) {
        pcie::announce(registers);
    }

    fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16 {
        pcie::nvm_base(registers)
    }

    /// Acquires the PHY of this port [I210 4.6.1].
    fn take_phy<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
        let lan = pcie::lan_id(registers);
        let start = host.now();
        loop {
            let late = host.now() - start >= PHY_TIMEOUT;
            take_semaphore(host, registers)?;
            let owners = registers.read(SW_FW_SYNC);
            let free = owners & (sw_fw_sync::software_phy(lan) | sw_fw_sync::firmware_phy(lan)) == 0;
            if free {
                registers.write(SW_FW_SYNC, owners | sw_fw_sync::software_phy(lan));
            }
            release_semaphore(registers);
            if free {
                return Ok(());
            }
            if late {
                return Err(NicError::PhyBusy { semaphore: owners, waited: PHY_TIMEOUT });
            }
            host.relax();
        }
    }

    /// Releases the PHY [I210 4.6.2]. Only this driver changes the bit, so that no semaphore is needed.
    fn release_phy<R: NicRegisters>(registers: &mut R) {
        let lan = pcie::lan_id(registers);
        let owners = registers.read(SW_FW_SYNC);
        registers.write(SW_FW_SYNC, owners & !sw_fw_sync::software_phy(lan));
    }

    /// A queue must be disabled while it is set up [I210 8.10.4].
    fn prepare_receive<R: NicRegisters>(registers: &mut R, buffer: u16, max_frame: u16) {
        let control = registers.read(Self::RECEIVE.rxdctl());
        registers.write(Self::RECEIVE.rxdctl(), control & !DCTL_ENABLE);
        let size = u32::from(buffer / 1024) & srrctl::BSIZEPACKET_MASK;
        registers.write(Self::RECEIVE.srrctl(), size | srrctl::DESCTYPE_ONE_BUFFER);
        registers.write(RLPML, (max_frame + CRC).into());
    }

    fn enable_receive<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
        enable(host, registers, Self::RECEIVE.rxdctl())
    }

    fn prepare_transmit<R: NicRegisters>(registers: &mut R) {
        let control = registers.read(Self::TRANSMIT.txdctl());
        registers.write(Self::TRANSMIT.txdctl(), control & !DCTL_ENABLE);
    }

    fn enable_transmit<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
        enable(host, registers, Self::TRANSMIT.txdctl())
    }
}

/// Enables a queue and waits until it is enabled [I210 4.5.9, 4.5.10].
fn enable<H: NicHost>(host: &mut H, registers: &mut H::Registers, register: u32) -> Result<(), NicError> {
    let control = registers.read(register);
    registers.write(register, control | DCTL_ENABLE);
    wait::until(host, registers, register, QUEUE_TIMEOUT, |control| {
        control != u32::MAX && control & DCTL_ENABLE != 0
    })
    .map(|_| ())
    .map_err(|control| NicError::QueueTimeout { control, waited: QUEUE_TIMEOUT })
}

/// Takes the semaphore that guards SW_FW_SYNC, first from other software, then from firmware.
fn take_semaphore<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError> {
    let busy = |semaphore| NicError::PhyBusy { semaphore, waited: SEMAPHORE_TIMEOUT };
    let free = |semaphore| semaphore & Swsm::SMBI.bits() == 0;
    let semaphore = wait::until(host, registers, SWSM, SEMAPHORE_TIMEOUT, free).map_err(busy)?;
    registers.write(SWSM, semaphore | (Swsm::SMBI | Swsm::SWESMBI).bits());
    let ours = |semaphore| semaphore & Swsm::SWESMBI.bits() != 0;
    wait::until(host, registers, SWSM, SEMAPHORE_TIMEOUT, ours).map(|_| ()).map_err(|semaphore| {
        release_semaphore(registers);
        busy(semaphore)
    })
}

fn release_semaphore<R: NicRegisters>(registers: &mut R) {
    let semaphore = registers.read(SWSM);
    registers.write(SWSM, semaphore & !(Swsm::SMBI | Swsm::SWESMBI).bits());
}
