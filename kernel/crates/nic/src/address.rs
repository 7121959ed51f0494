//! The NIC's own address: from its EEPROM or flash, or from the registers into which the NIC loads it at
//! power-up.

use crate::chip::{AddressSource, NicChip};
use crate::event::EventQueue;
use crate::{NicError, NicEvent, NicRegisters};
use base::time::Duration;
use base::{Instant, MacAddress};
use core::task::Poll;
use intel_regs::{Eerd, eeprom, reg};

/// Timeout for one word. The EEPROM is serial: a word takes some tens of microseconds.
const EEPROM_TIMEOUT: Duration = Duration::from_millis(10);

/// The first word of the station address in a port's part of the EEPROM.
#[expect(clippy::cast_possible_truncation, reason = "a word of at most 64")]
const ETHERNET_ADDRESS: u16 = eeprom::ETHERNET_ADDRESS as u16;

/// The search for the station address in words 0 to 2 of this port's part of the EEPROM, and in RAL0 and RAH0,
/// which the NIC loads from there itself [8254x 5.6, 13.5.2, 13.5.3]. The order depends on the family.
#[derive(Default)]
pub(crate) struct AddressSearch {
    /// Sources that have been tried.
    tried: usize,
    /// The octets read so far from the EEPROM.
    octets: heapless::Vec<u8, 6>,
    /// When the next word was asked for.
    asked: Option<Instant>,
}

impl AddressSearch {
    /// Goes on with the search.
    pub(crate) fn turn<R: NicRegisters, C: NicChip>(
        &mut self,
        registers: &mut R,
        events: &mut EventQueue,
        now: Instant,
    ) -> Poll<Result<MacAddress, NicError>> {
        while let Some(source) = C::ADDRESS_SOURCES.get(self.tried) {
            let found = match source {
                AddressSource::ReceiveAddress => Ok(from_receive_address(registers)),
                AddressSource::Nvm => match self.read_nvm::<R, C>(registers, now) {
                    Poll::Ready(found) => found,
                    Poll::Pending => return Poll::Pending,
                },
            };
            self.tried += 1;
            match found {
                Ok(mac) if !mac.is_multicast() && mac != MacAddress::default() => {
                    return Poll::Ready(Ok(mac));
                }
                Ok(_) => {}
                Err(error) => events.push(NicEvent::EepromSilent(error)),
            }
        }
        Poll::Ready(Err(NicError::NoMacAddress))
    }

    /// Reads words through EERD [8254x 13.4.4, 82574 10.2.2.4, I210 8.4.2].
    fn read_nvm<R: NicRegisters, C: NicChip>(
        &mut self,
        registers: &mut R,
        now: Instant,
    ) -> Poll<Result<MacAddress, NicError>> {
        loop {
            if let Ok(octets) = <[u8; 6]>::try_from(self.octets.as_slice()) {
                return Poll::Ready(Ok(MacAddress(octets)));
            }
            #[expect(clippy::cast_possible_truncation, reason = "an index below 3")]
            let index = (self.octets.len() / 2) as u16;
            let word = C::nvm_base(registers) + ETHERNET_ADDRESS + index;
            let asked = *self.asked.get_or_insert_with(|| {
                registers.write(reg::EERD, Eerd::START.bits() | u32::from(word) << C::NVM.address_shift);
                now
            });
            let eerd = registers.read(reg::EERD);
            if eerd != u32::MAX && eerd & C::NVM.done != 0 {
                self.asked = None;
                let [.., low, high] = eerd.to_le_bytes();
                let _ = self.octets.extend_from_slice(&[low, high]);
            } else if now - asked >= EEPROM_TIMEOUT {
                return Poll::Ready(Err(NicError::EepromTimeout { word, eerd, waited: EEPROM_TIMEOUT }));
            } else {
                return Poll::Pending;
            }
        }
    }
}

fn from_receive_address<R: NicRegisters>(registers: &mut R) -> MacAddress {
    let [a, b, c, d] = registers.read(reg::ral(0)).to_le_bytes();
    let [e, f, ..] = registers.read(reg::rah(0)).to_le_bytes();
    MacAddress([a, b, c, d, e, f])
}
