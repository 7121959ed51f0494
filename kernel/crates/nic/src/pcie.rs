//! What the families on PCI Express have in common: the 82574, and the 82576, I210 and I350.

use crate::NicRegisters;
use crate::chip::{AddressSource, NvmLayout};
use intel_regs::pcie::{CtrlExtPcie, CtrlPcie, EerdPcie, LAN_BASE, StatusPcie};
use intel_regs::{Ctrl, reg};

/// Layout of EERD.
pub(crate) const NVM: NvmLayout =
    NvmLayout { address_shift: EerdPcie::ADDR_SHIFT, done: EerdPcie::DONE.bits() };

/// RAL0 comes first: the NIC loads it from its port's part of the non-volatile memory, and an I210 may have no
/// such memory.
pub(crate) const ADDRESS_SOURCES: [AddressSource; 2] = [AddressSource::ReceiveAddress, AddressSource::Nvm];

/// Stops the NIC from starting bus transactions.
pub(crate) fn quiesce<R: NicRegisters>(registers: &mut R) {
    let control = registers.read(reg::CTRL);
    registers.write(reg::CTRL, control | CtrlPcie::GIO_MASTER_DISABLE.bits());
}

/// True when no bus transactions are outstanding.
pub(crate) fn is_quiet(status: u32) -> bool {
    !StatusPcie::from_bits_retain(status).contains(StatusPcie::GIO_MASTER_ENABLE)
}

/// Resets the NIC. There is no flush: the manual forbids an access in the first microsecond [82574 10.2.2.1,
/// I210 8.2.1], and the pause that follows is thousands of times longer than a write can be posted.
pub(crate) fn reset<R: NicRegisters>(registers: &mut R) {
    let control = registers.read(reg::CTRL);
    registers.write(reg::CTRL, control | Ctrl::RST.bits());
}

/// True when `bit` is set in `value`, which is not the answer of an absent NIC.
pub(crate) fn has(value: u32, bit: u32) -> Result<(), u32> {
    if value != u32::MAX && value & bit != 0 { Ok(()) } else { Err(value) }
}

/// Tells the NIC's firmware that a driver has taken over, or that there is none any more.
pub(crate) fn announce<R: NicRegisters>(registers: &mut R, present: bool) {
    let loaded = CtrlExtPcie::DRV_LOAD.bits();
    let control = registers.read(reg::CTRL_EXT);
    registers.write(reg::CTRL_EXT, if present { control | loaded } else { control & !loaded });
}

/// The number of this port on its device.
pub(crate) fn lan_id<R: NicRegisters>(registers: &mut R) -> u32 {
    registers.read(reg::STATUS) >> StatusPcie::LAN_ID_SHIFT & StatusPcie::LAN_ID_MASK
}

/// The first word of this port's part of the non-volatile memory.
pub(crate) fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16 {
    LAN_BASE[lan_id(registers) as usize]
}
