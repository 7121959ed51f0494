//! What the families on PCI Express share: 82574, and 82576 with its kin.

use crate::chip::{AddressSource, NvmLayout};
use crate::{NicError, NicHost, NicRegisters, wait};
use base::time::Duration;
use intel_regs::pcie::{CtrlExtPcie, CtrlPcie, EerdPcie, LAN_BASE, StatusPcie};
use intel_regs::reg;

/// How long the transactions under way may take to end. The manual lets software go on after it, and so
/// does this driver: a link that hangs does not come back without a reset [82574 5.2, I210 5.2.3.3].
const MASTER_TIMEOUT: Duration = Duration::from_millis(80);

/// How long a NIC may take to read its non-volatile memory after a reset.
const AUTO_READ_TIMEOUT: Duration = Duration::from_millis(100);

/// How EERD is laid out.
pub(crate) const NVM: NvmLayout =
    NvmLayout { address_shift: EerdPcie::ADDR_SHIFT, done: EerdPcie::DONE.bits() };

/// RAL0 comes first: the NIC loads it from its port's part of the memory, and an I210 may have no memory.
pub(crate) const ADDRESS_SOURCES: [AddressSource; 2] = [AddressSource::ReceiveAddress, AddressSource::Nvm];

/// Keeps the NIC from starting transactions, and waits for those under way.
pub(crate) fn quiesce<H: NicHost>(host: &mut H, registers: &mut H::Registers) {
    let control = registers.read(reg::CTRL);
    registers.write(reg::CTRL, control | CtrlPcie::GIO_MASTER_DISABLE.bits());
    let ended = |status| !StatusPcie::from_bits_retain(status).contains(StatusPcie::GIO_MASTER_ENABLE);
    let _ = wait::until(host, registers, reg::STATUS, MASTER_TIMEOUT, ended);
}

/// Waits until the bit in `register` says that the NIC has read its non-volatile memory.
pub(crate) fn await_nvm<H: NicHost>(
    host: &mut H,
    registers: &mut H::Registers,
    register: u32,
    bit: u32,
) -> Result<(), NicError> {
    let done = |value| value != u32::MAX && value & bit != 0;
    wait::until(host, registers, register, AUTO_READ_TIMEOUT, done)
        .map(|_| ())
        .map_err(|value| NicError::AutoReadTimeout { value, waited: AUTO_READ_TIMEOUT })
}

/// Tells the NIC's firmware that a driver has taken over.
pub(crate) fn announce<R: NicRegisters>(registers: &mut R) {
    let control = registers.read(reg::CTRL_EXT);
    registers.write(reg::CTRL_EXT, control | CtrlExtPcie::DRV_LOAD.bits());
}

/// Which port of its NIC this is.
pub(crate) fn lan_id<R: NicRegisters>(registers: &mut R) -> u32 {
    registers.read(reg::STATUS) >> StatusPcie::LAN_ID_SHIFT & StatusPcie::LAN_ID_MASK
}

/// Where this port's part of the non-volatile memory begins.
pub(crate) fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16 {
    LAN_BASE[lan_id(registers) as usize]
}
