//! What the families on PCI Express have in common: the 82574, and the 82576, I210 and I350.

use crate::chip::{AddressSource, NvmLayout};
use crate::{NicError, NicHost, NicRegisters, wait};
use base::time::Duration;
use intel_regs::pcie::{CtrlExtPcie, CtrlPcie, EerdPcie, LAN_BASE, StatusPcie};
use intel_regs::reg;

/// Timeout for outstanding bus transactions. The manual lets software continue after it, and so does this
/// driver: a link that hangs does not recover without a reset [82574 5.2, I210 5.2.3.3].
const MASTER_TIMEOUT: Duration = Duration::from_millis(80);

/// Timeout for the NIC to read its non-volatile memory after a reset.
const AUTO_READ_TIMEOUT: Duration = Duration::from_millis(100);

/// Layout of EERD.
pub(crate) const NVM: NvmLayout =
    NvmLayout { address_shift: EerdPcie::ADDR_SHIFT, done: EerdPcie::DONE.bits() };

/// RAL0 comes first: the NIC loads it from its port's part of the non-volatile memory, and an I210 may have no
/// such memory.
pub(crate) const ADDRESS_SOURCES: [AddressSource; 2] = [AddressSource::ReceiveAddress, AddressSource::Nvm];

/// Stops the NIC from starting bus transactions, and waits for the outstanding ones.
pub(crate) fn quiesce<H: NicHost>(host: &mut H, registers: &mut H::Registers) {
    let control = registers.read(reg::CTRL);
    registers.write(reg::CTRL, control | CtrlPcie::GIO_MASTER_DISABLE.bits());
    let ended = |status| !StatusPcie::from_bits_retain(status).contains(StatusPcie::GIO_MASTER_ENABLE);
    let _ = wait::until(host, registers, reg::STATUS, MASTER_TIMEOUT, ended);
}

/// Waits until `bit` in `register` shows that the NIC has read its non-volatile memory.
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

/// The number of this port on its device.
pub(crate) fn lan_id<R: NicRegisters>(registers: &mut R) -> u32 {
    registers.read(reg::STATUS) >> StatusPcie::LAN_ID_SHIFT & StatusPcie::LAN_ID_MASK
}

/// The first word of this port's part of the non-volatile memory.
pub(crate) fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16 {
    LAN_BASE[lan_id(registers) as usize]
}
