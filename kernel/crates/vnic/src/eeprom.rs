//! The EEPROM: 64 words behind `EERD` and behind the Microwire pins of `EECD` [8254x 5.3, 5.6].

use base::MacAddress;
use intel_regs::eeprom::{self as layout, microwire};
use intel_regs::{Eecd, Eerd, pci};

/// The state of the serial protocol. Bits are counted in the order in which they are shifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MicrowireState {
    /// Waiting for the start bit.
    Idle,
    /// Shifting in opcode and address, start bit included.
    Command { bits: u32, shift: u16 },
    /// Shifting out words, starting at `address`; `bits` of the current word are out.
    Output { address: usize, bits: u32 },
    /// Shifting in the word for `address`, or for all words.
    Input { address: Option<usize>, bits: u32, shift: u16 },
    /// The command is complete; the chip select must fall.
    Done,
}

/// Bits of a command: opcode with its start bit, and address.
const COMMAND_BITS: u32 = microwire::OPCODE_BITS + microwire::ADDRESS_BITS;

/// The EEPROM of one vNIC.
pub(crate) struct Eeprom {
    words: [u16; layout::WORDS],
    state: MicrowireState,
    write_enabled: bool,
    /// The write-protect pin is wired: no write changes a word.
    protected: bool,
    pins: Eecd,
}

impl Eeprom {
    /// The EEPROM of a desktop adapter with this address, with a valid checksum.
    pub(crate) fn new(mac: MacAddress, protected: bool) -> Self {
        let mut words = [0xffff; layout::WORDS];
        let [a, b, c, d, e, f] = mac.0;
        words[layout::ETHERNET_ADDRESS] = u16::from_le_bytes([a, b]);
        words[layout::ETHERNET_ADDRESS + 1] = u16::from_le_bytes([c, d]);
        words[layout::ETHERNET_ADDRESS + 2] = u16::from_le_bytes([e, f]);
        words[layout::COMPATIBILITY] = 0;
        words[layout::INITIALIZATION_CONTROL_1] = layout::SIGNATURE_VALID;
        words[layout::SUBSYSTEM_ID] = pci::SUBSYSTEM_PRO_1000_MT;
        words[layout::SUBSYSTEM_VENDOR_ID] = pci::VENDOR_INTEL;
        words[layout::DEVICE_ID] = pci::DEVICE_82540EM;
        words[layout::VENDOR_ID] = pci::VENDOR_INTEL;
        // No flow control by default, since no PAUSE frame crosses a virtual wire, and no wake-up.
        words[layout::INITIALIZATION_CONTROL_2] = 0;
        words[layout::INITIALIZATION_CONTROL_3] = 0;
        words[layout::CHECKSUM] = layout::checksum(&words);
        Self { words, state: MicrowireState::Idle, write_enabled: false, protected, pins: Eecd::DO }
    }

    /// Powers the EEPROM off and on. The words persist, as in any EEPROM.
    pub(crate) fn power_cycle(&mut self) {
        (self.state, self.write_enabled, self.pins) = (MicrowireState::Idle, false, Eecd::DO);
    }

    /// The Ethernet address that hardware loads into receive address 0 after reset.
    pub(crate) fn address(&self) -> MacAddress {
        let [[a, b], [c, d], [e, f]] =
            [0, 1, 2].map(|word| self.words[layout::ETHERNET_ADDRESS + word].to_le_bytes());
        MacAddress([a, b, c, d, e, f])
    }

    /// The value of `EERD` after `value` was written to it: reads complete at once [8254x 13.4.4].
    pub(crate) fn read_by_register(&self, value: u32) -> u32 {
        let address = (value >> Eerd::ADDR_SHIFT) & 0xff;
        let kept = address << Eerd::ADDR_SHIFT;
        if !Eerd::from_bits_retain(value).contains(Eerd::START) {
            return kept;
        }
        let word = self.words[address as usize % layout::WORDS];
        u32::from(word) << Eerd::DATA_SHIFT | kept | Eerd::DONE.bits()
    }

    /// The value of `EECD` [8254x 13.4.3].
    pub(crate) fn control(&self) -> u32 {
        let granted = if self.pins.contains(Eecd::EE_REQ) { Eecd::EE_GNT } else { Eecd::empty() };
        (self.pins | granted | Eecd::EE_PRES).bits()
    }

    /// Writes `EECD`, which drives the pins. The EEPROM samples `DI` and updates `DO` on a rising edge of `SK`
    /// while `CS` is high [8254x 5.3].
    pub(crate) fn write_control(&mut self, value: u32) {
        let driven = Eecd::SK | Eecd::CS | Eecd::DI | Eecd::FWE_DIS | Eecd::FWE_EN | Eecd::EE_REQ;
        let before = self.pins;
        self.pins = before & Eecd::DO | Eecd::from_bits_retain(value) & driven;
        if !self.pins.contains(Eecd::CS) {
            self.state = MicrowireState::Idle;
            // Between commands, DO high means ready.
            self.pins.insert(Eecd::DO);
        } else if self.pins.contains(Eecd::SK) && !before.contains(Eecd::SK) {
            self.clock(self.pins.contains(Eecd::DI));
        }
    }

    fn clock(&mut self, input: bool) {
        let bit = u16::from(input);
        self.state = match self.state {
            MicrowireState::Idle if input => MicrowireState::Command { bits: 1, shift: 1 },
            MicrowireState::Idle => MicrowireState::Idle,
            MicrowireState::Command { bits, shift } if bits + 1 < COMMAND_BITS => {
                MicrowireState::Command { bits: bits + 1, shift: shift << 1 | bit }
            }
            MicrowireState::Command { shift, .. } => self.execute(shift << 1 | bit),
            MicrowireState::Output { address, bits } => {
                let word = self.words[address];
                self.pins.set(Eecd::DO, word >> (15 - bits) & 1 == 1);
                if bits < 15 {
                    MicrowireState::Output { address, bits: bits + 1 }
                } else {
                    MicrowireState::Output { address: (address + 1) % layout::WORDS, bits: 0 }
                }
            }
            MicrowireState::Input { address, bits, shift } if bits < 15 => {
                MicrowireState::Input { address, bits: bits + 1, shift: shift << 1 | bit }
            }
            MicrowireState::Input { address, shift, .. } => {
                self.store(address, shift << 1 | bit);
                MicrowireState::Done
            }
            MicrowireState::Done => MicrowireState::Done,
        };
    }

    fn execute(&mut self, command: u16) -> MicrowireState {
        let address = usize::from(command) % layout::WORDS;
        match command >> microwire::ADDRESS_BITS {
            microwire::READ => {
                // A dummy 0 precedes the data.
                self.pins.remove(Eecd::DO);
                MicrowireState::Output { address, bits: 0 }
            }
            microwire::WRITE => MicrowireState::Input { address: Some(address), bits: 0, shift: 0 },
            microwire::ERASE => {
                self.store(Some(address), 0xffff);
                MicrowireState::Done
            }
            _ => {
                // The two highest address bits select the extended command.
                match address >> (microwire::ADDRESS_BITS - 2) {
                    microwire::WRITE_ENABLE => self.write_enabled = true,
                    microwire::WRITE_DISABLE => self.write_enabled = false,
                    microwire::WRITE_ALL => {
                        return MicrowireState::Input { address: None, bits: 0, shift: 0 };
                    }
                    // `ERASE_ALL`.
                    _ => self.store(None, 0xffff),
                }
                MicrowireState::Done
            }
        }
    }

    /// Stores a word at `address`, or at all addresses, if that is allowed.
    fn store(&mut self, address: Option<usize>, word: u16) {
        if self.write_enabled && !self.protected {
            match address {
                Some(address) => self.words[address] = word,
                None => self.words.fill(word),
            }
        }
        self.pins.insert(Eecd::DO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: MacAddress = MacAddress([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    /// Drives the pins as a driver does.
    struct MicrowirePins<'a>(&'a mut Eeprom);

    impl MicrowirePins<'_> {
        fn select(&mut self) {
            self.0.write_control((Eecd::EE_REQ).bits());
            assert!(Eecd::from_bits_retain(self.0.control()).contains(Eecd::EE_GNT));
            self.0.write_control((Eecd::EE_REQ | Eecd::CS).bits());
        }

        fn release(&mut self) {
            self.0.write_control(Eecd::EE_REQ.bits());
        }

        fn exchange(&mut self, input: bool) -> bool {
            let mut pins = Eecd::EE_REQ | Eecd::CS;
            pins.set(Eecd::DI, input);
            self.0.write_control(pins.bits());
            self.0.write_control((pins | Eecd::SK).bits());
            let output = Eecd::from_bits_retain(self.0.control()).contains(Eecd::DO);
            self.0.write_control(pins.bits());
            output
        }

        fn send(&mut self, value: u16, bits: u32) {
            for bit in (0..bits).rev() {
                self.exchange(value >> bit & 1 == 1);
            }
        }

        fn read_word(&mut self) -> u16 {
            (0..16).fold(0, |word, _| word << 1 | u16::from(self.exchange(false)))
        }

        fn read(&mut self, address: u16) -> u16 {
            self.select();
            self.send(microwire::READ, 3);
            self.send(address, 6);
            let word = self.read_word();
            self.release();
            word
        }

        fn command(&mut self, opcode: u16, address: u16) {
            self.select();
            self.send(opcode, 3);
            self.send(address, 6);
            self.release();
        }

        fn write(&mut self, address: u16, word: u16) {
            self.select();
            self.send(microwire::WRITE, 3);
            self.send(address, 6);
            self.send(word, 16);
            self.release();
        }
    }

    #[test]
    fn both_interfaces_read_the_same_words_with_a_valid_checksum() {
        let mut eeprom = Eeprom::new(MAC, false);
        let by_register: alloc::vec::Vec<u16> = (0..64)
            .map(|address| {
                let value = eeprom.read_by_register(address << Eerd::ADDR_SHIFT | Eerd::START.bits());
                assert_ne!(value & Eerd::DONE.bits(), 0);
                (value >> Eerd::DATA_SHIFT) as u16
            })
            .collect();
        let by_pins: alloc::vec::Vec<u16> =
            (0..64).map(|address| MicrowirePins(&mut eeprom).read(address)).collect();
        assert_eq!(by_register, by_pins);
        assert_eq!(by_pins.iter().fold(0u16, |sum, word| sum.wrapping_add(*word)), layout::CHECKSUM_SUM);
        assert_eq!(by_pins[0..3], [0x5452, 0x1200, 0x5634]);
    }

    #[test]
    fn a_read_continues_with_the_next_words() {
        let mut eeprom = Eeprom::new(MAC, false);
        let mut pins = MicrowirePins(&mut eeprom);
        pins.select();
        pins.send(microwire::READ, 3);
        pins.send(0, 6);
        assert_eq!([pins.read_word(), pins.read_word(), pins.read_word()], [0x5452, 0x1200, 0x5634]);
    }

    #[test]
    fn writes_take_effect_only_while_enabled() {
        let mut eeprom = Eeprom::new(MAC, false);
        let mut pins = MicrowirePins(&mut eeprom);
        pins.write(5, 0x1234);
        assert_eq!(pins.read(5), 0xffff);
        pins.command(microwire::EXTENDED, 0b11_0000);
        pins.write(5, 0x1234);
        assert_eq!(pins.read(5), 0x1234);
        pins.command(microwire::ERASE, 5);
        assert_eq!(pins.read(5), 0xffff);
        pins.command(microwire::EXTENDED, 0);
        pins.write(5, 0x1234);
        assert_eq!(pins.read(5), 0xffff);
    }

    #[test]
    fn the_whole_array_is_erased_and_written_by_one_command_unless_it_is_protected() {
        for protected in [false, true] {
            let mut eeprom = Eeprom::new(MAC, protected);
            let mut pins = MicrowirePins(&mut eeprom);
            pins.command(microwire::EXTENDED, 0b11_0000);
            pins.command(microwire::EXTENDED, 0b10_0000);
            assert_eq!(pins.read(0), if protected { 0x5452 } else { 0xffff });
            pins.select();
            pins.send(microwire::EXTENDED, 3);
            pins.send(0b01_0000, 6);
            pins.send(0xabcd, 16);
            pins.release();
            assert_eq!(pins.read(0), if protected { 0x5452 } else { 0xabcd });
            pins.write(1, 7);
            assert_eq!(pins.read(1), if protected { 0x1200 } else { 7 });
            eeprom.power_cycle();
            assert_eq!(eeprom.address() == MAC, protected, "an EEPROM keeps its words without power");
        }
    }

    proptest! {
        #[test]
        fn any_sequence_of_pin_changes_is_survived(writes in proptest::collection::vec(any::<u32>(), 0..2000)) {
            let mut eeprom = Eeprom::new(MAC, false);
            for value in writes {
                eeprom.write_control(value);
                prop_assert_eq!(eeprom.control() & Eecd::EE_PRES.bits(), Eecd::EE_PRES.bits());
            }
            let mut pins = MicrowirePins(&mut eeprom);
            let sum = (0..64).fold(0u16, |sum, address| sum.wrapping_add(pins.read(address)));
            // Only an enabled write can have changed a word, and random pins may have made one.
            prop_assert!(sum == layout::CHECKSUM_SUM || eeprom.write_enabled);
        }
    }
}
