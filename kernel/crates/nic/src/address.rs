//! The NIC's own address: from its EEPROM or flash, or from the registers into which the NIC loads it at
//! power-up.

use crate::chip::{AddressSource, NicChip};
use crate::event::EventQueue;
use crate::{NicError, NicEvent, NicHost, NicRegisters, wait};
use base::MacAddress;
use base::time::Duration;
use intel_regs::{Eerd, eeprom, reg};

/// Timeout for one word. The EEPROM is serial: a word takes some tens of microseconds.
const EEPROM_TIMEOUT: Duration = Duration::from_millis(10);

/// The first word of the station address in a port's part of the EEPROM.
#[expect(clippy::cast_possible_truncation, reason = "a word of at most 64")]
const ETHERNET_ADDRESS: u16 = eeprom::ETHERNET_ADDRESS as u16;

/// Finds the station address in words 0 to 2 of this port's part of the EEPROM, or in RAL0 and RAH0, which the
/// NIC loads from there itself [8254x 5.6, 13.5.2, 13.5.3]. The order depends on the family.
pub(crate) fn station_address<H: NicHost, C: NicChip>(
    host: &mut H,
    registers: &mut H::Registers,
    events: &mut EventQueue,
) -> Result<MacAddress, NicError> {
    for source in C::ADDRESS_SOURCES {
        let found = match source {
            AddressSource::ReceiveAddress => Ok(from_receive_address(registers)),
            AddressSource::Nvm => from_nvm::<H, C>(host, registers),
        };
        match found {
            Ok(mac) if !mac.is_multicast() && mac != MacAddress::default() => return Ok(mac),
            Ok(_) => {}
            Err(error) => events.push(NicEvent::EepromSilent(error)),
        }
    }
    Err(NicError::NoMacAddress)
}

fn from_nvm<H: NicHost, C: NicChip>(
    host: &mut H,
    registers: &mut H::Registers,
) -> Result<MacAddress, NicError> {
    let first = C::nvm_base(registers) + ETHERNET_ADDRESS;
    let mut octets = [0; 6];
    for (word, pair) in (first..).zip(octets.chunks_exact_mut(2)) {
        pair.copy_from_slice(&read_nvm::<H, C>(host, registers, word)?.to_le_bytes());
    }
    Ok(MacAddress(octets))
}

/// Reads one word through EERD [8254x 13.4.4, 82574 10.2.2.4, I210 8.4.2].
fn read_nvm<H: NicHost, C: NicChip>(
    host: &mut H,
    registers: &mut H::Registers,
    word: u16,
) -> Result<u16, NicError> {
    registers.write(reg::EERD, Eerd::START.bits() | u32::from(word) << C::NVM.address_shift);
    let done = |eerd| eerd != u32::MAX && eerd & C::NVM.done != 0;
    wait::until(host, registers, reg::EERD, EEPROM_TIMEOUT, done)
        .map(|eerd| (eerd >> Eerd::DATA_SHIFT) as u16)
        .map_err(|eerd| NicError::EepromTimeout { word, eerd, waited: EEPROM_TIMEOUT })
}

fn from_receive_address<R: NicRegisters>(registers: &mut R) -> MacAddress {
    let [a, b, c, d] = registers.read(reg::ral(0)).to_le_bytes();
    let [e, f, ..] = registers.read(reg::rah(0)).to_le_bytes();
    MacAddress([a, b, c, d, e, f])
}
