//! The card's own address: from its EEPROM, or from where the card put it at power-up.

use crate::event::Events;
use crate::{Event, Host, NicError, Registers, wait};
use base::MacAddress;
use base::time::Duration;
use intel_regs::{Eerd, eeprom, reg};

/// How long one word may take. The EEPROM is serial: a word takes some tens of microseconds.
const EEPROM_LIMIT: Duration = Duration::from_millis(10);

/// Finds the station address in EEPROM words 0 to 2, or failing that in RAL0 and RAH0, which the card
/// loads from the EEPROM itself [8254x 5.6, 13.5.2, 13.5.3].
pub(crate) fn station_address<H: Host>(
    host: &mut H,
    registers: &mut H::Registers,
    events: &mut Events,
) -> Result<MacAddress, NicError> {
    let from_eeprom = match from_eeprom(host, registers) {
        Ok(mac) => Some(mac),
        Err(error) => {
            events.push(Event::EepromSilent(error));
            None
        }
    };
    let is_station = |mac: &MacAddress| !mac.is_multicast() && *mac != MacAddress::default();
    let found = from_eeprom.filter(is_station);
    found.or_else(|| Some(from_receive_address(registers)).filter(is_station)).ok_or(NicError::NoMacAddress)
}

fn from_eeprom<H: Host>(host: &mut H, registers: &mut H::Registers) -> Result<MacAddress, NicError> {
    let mut octets = [0; 6];
    for (word, pair) in (eeprom::ETHERNET_ADDRESS as u8..).zip(octets.chunks_exact_mut(2)) {
        pair.copy_from_slice(&read_eeprom(host, registers, word)?.to_le_bytes());
    }
    Ok(MacAddress(octets))
}

/// Reads one word of the EEPROM through EERD [8254x 13.4.4].
fn read_eeprom<H: Host>(host: &mut H, registers: &mut H::Registers, word: u8) -> Result<u16, NicError> {
    registers.write(reg::EERD, Eerd::START.bits() | u32::from(word) << Eerd::ADDR_SHIFT);
    let done = |eerd: u32| eerd != u32::MAX && Eerd::from_bits_retain(eerd).contains(Eerd::DONE);
    wait::until(host, registers, reg::EERD, EEPROM_LIMIT, done)
        .map(|eerd| (eerd >> Eerd::DATA_SHIFT) as u16)
        .map_err(|eerd| NicError::EepromTimeout { word, eerd, waited: EEPROM_LIMIT })
}

fn from_receive_address<R: Registers>(registers: &mut R) -> MacAddress {
    let [a, b, c, d] = registers.read(reg::ral(0)).to_le_bytes();
    let [e, f, ..] = registers.read(reg::rah(0)).to_le_bytes();
    MacAddress([a, b, c, d, e, f])
}
