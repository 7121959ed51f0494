//! The EEPROM: word addresses, checksum and the Microwire protocol of `EECD` [8254x 5.3, 5.6].

/// Words that the checksum covers, itself included [8254x 5.6].
pub const WORDS: usize = 64;
/// The sum of all [`WORDS`] words, modulo 2^16 [8254x 5.6].
pub const CHECKSUM_SUM: u16 = 0xbaba;

/// Ethernet address, octets 0 and 1, first octet in the low byte; octets 2 to 5 follow in the next two
/// words [8254x 5.6].
pub const ETHERNET_ADDRESS: usize = 0x00;
/// Compatibility and software-defined words [8254x 5.6].
pub const COMPATIBILITY: usize = 0x03;
/// Identification LED settings, in the software-defined words.
pub const ID_LED_SETTINGS: usize = 0x04;
/// Part number (PBA number), high word [8254x 5.6].
pub const PBA_NUMBER_HIGH: usize = 0x08;
/// Part number (PBA number), low word [8254x 5.6].
pub const PBA_NUMBER_LOW: usize = 0x09;
/// Initialization control word 1 [8254x 5.6].
pub const INITIALIZATION_CONTROL_1: usize = 0x0a;
/// Subsystem identifier [8254x 5.6].
pub const SUBSYSTEM_ID: usize = 0x0b;
/// Subsystem vendor identifier [8254x 5.6].
pub const SUBSYSTEM_VENDOR_ID: usize = 0x0c;
/// Device identifier [8254x 5.6].
pub const DEVICE_ID: usize = 0x0d;
/// Vendor identifier [8254x 5.6].
pub const VENDOR_ID: usize = 0x0e;
/// Initialization control word 2 [8254x 5.6].
pub const INITIALIZATION_CONTROL_2: usize = 0x0f;
/// Initialization control word 3 [8254x 5.6].
pub const INITIALIZATION_CONTROL_3: usize = 0x24;
/// Checksum word [8254x 5.6].
pub const CHECKSUM: usize = 0x3f;

/// Signature, bits 15:14 = 01b of [`INITIALIZATION_CONTROL_1`]: the EEPROM is valid [8254x 5.6].
pub const SIGNATURE_VALID: u16 = 0x4000;

/// Microwire opcodes. They are sent most significant bit first after the chip select rises, followed by the word
/// address; the leading bit is the start bit [8254x 5.3].
pub mod microwire {
    /// Bits in an opcode, start bit included.
    pub const OPCODE_BITS: u32 = 3;
    /// Bits of a word address in an EEPROM of 64 words.
    pub const ADDRESS_BITS: u32 = 6;
    /// Read a word.
    pub const READ: u16 = 0b110;
    /// Write a word.
    pub const WRITE: u16 = 0b101;
    /// Erase a word.
    pub const ERASE: u16 = 0b111;
    /// A command that the two highest address bits select.
    pub const EXTENDED: u16 = 0b100;
    /// Extended: allow writes and erasure.
    pub const WRITE_ENABLE: usize = 0b11;
    /// Extended: erase all words; `ERAL` of the Microwire parts that the manual names.
    pub const ERASE_ALL: usize = 0b10;
    /// Extended: write all words, with the word that follows; `WRAL`.
    pub const WRITE_ALL: usize = 0b01;
    /// Extended: refuse writes and erasure.
    pub const WRITE_DISABLE: usize = 0b00;
}

/// The checksum word for `words`, of which the checksum word itself is ignored: with it, they add up to
/// [`CHECKSUM_SUM`].
///
/// ```
/// use intel_regs::eeprom::{CHECKSUM, CHECKSUM_SUM, WORDS, checksum};
///
/// let mut words = [0xffff; WORDS];
/// words[CHECKSUM] = checksum(&words);
/// assert_eq!(words.iter().fold(0u16, |sum, word| sum.wrapping_add(*word)), CHECKSUM_SUM);
/// ```
#[must_use]
pub fn checksum(words: &[u16]) -> u16 {
    let sum = words.iter().take(CHECKSUM).fold(0u16, |sum, word| sum.wrapping_add(*word));
    CHECKSUM_SUM.wrapping_sub(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_completes_the_sum() {
        let mut words = [0x1234u16; WORDS];
        words[CHECKSUM] = checksum(&words);
        assert_eq!(words.iter().fold(0u16, |sum, word| sum.wrapping_add(*word)), CHECKSUM_SUM);
    }
}
