//! Which device responds at which port and address. Wide port accesses are split into bytes, as on the ISA
//! bus; the one register that must not be split is the PCI configuration address register.

use super::Pc;
use crate::{layout, power, rtc};
use base::bits::low_u32;
use base::{Effects, GuestPhysical, Instant, Width};

/// A bus that no device drives reads as all ones.
const FLOATING: u8 = 0xff;
/// Registers of the keyboard controller, of which this board has only the reset line.
const KEYBOARD_DATA: u16 = 0x60;
const KEYBOARD_COMMAND: u16 = 0x64;
const PCI_CONFIG_ADDRESS: u16 = 0xcf8;
const PCI_CONFIG_DATA: u16 = 0xcfc;

impl Pc {
    /// True if a device at a fixed place decodes `port`. These decoders come before the bus, so that a guest that
    /// lays a base address register over them loses neither its serial port nor the way to move the register away.
    #[must_use]
    pub fn has_port(&self, port: u16) -> bool {
        decoder(port).is_some()
    }

    /// IN from `port`. An unclaimed port reads as all ones.
    pub fn port_read(&mut self, port: u16, width: Width, now: Instant) -> (u32, Effects) {
        let (mut value, mut effects) = (0, Effects::empty());
        for index in (0..4u16).take(width.bytes()) {
            let (byte, more) = match port.checked_add(index) {
                Some(port) => self.read_byte(port, width, now),
                None => (FLOATING, Effects::empty()),
            };
            value |= u32::from(byte) << (8 * index);
            effects |= more;
        }
        (value, self.follow(effects))
    }

    /// OUT to `port`. A write to an unclaimed port has no effect.
    pub fn port_write(&mut self, port: u16, width: Width, value: u32, now: Instant) -> Effects {
        if port == PCI_CONFIG_ADDRESS && width == Width::Dword {
            self.pci.write_address(value);
            return Effects::empty();
        }
        let mut effects = Effects::empty();
        for (byte, index) in value.to_le_bytes().into_iter().zip((0..4u16).take(width.bytes())) {
            if let Some(port) = port.checked_add(index) {
                effects |= self.write_byte(port, byte, now);
            }
        }
        self.follow(effects)
    }

    /// Reads memory-mapped registers of the board for processor `vcpu`; None where there are none.
    pub fn mmio_read(
        &mut self,
        vcpu: u8,
        address: GuestPhysical,
        width: Width,
        now: Instant,
    ) -> Option<(u64, Effects)> {
        if let Some(offset) = ecam_offset(address) {
            let byte = |index: u32| u64::from(self.pci.read_ecam(offset + index)) << (8 * index);
            return Some(((0..8).take(width.bytes()).map(byte).sum(), Effects::empty()));
        }
        // The controllers' own registers change no device's line, so there is nothing to wire.
        self.interrupts.mmio_read(vcpu, address, width, now)
    }

    /// Writes memory-mapped registers of the board for processor `vcpu`; None where there are none.
    pub fn mmio_write(
        &mut self,
        vcpu: u8,
        address: GuestPhysical,
        width: Width,
        value: u64,
        now: Instant,
    ) -> Option<Effects> {
        if let Some(offset) = ecam_offset(address) {
            let bytes = value.to_le_bytes().into_iter().take(width.bytes()).zip(offset..);
            let effects =
                bytes.fold(Effects::empty(), |effects, (byte, at)| effects | self.pci.write_ecam(at, byte));
            return Some(self.wire(effects));
        }
        self.interrupts.mmio_write(vcpu, address, width, value, now)
    }

    fn read_byte(&mut self, port: u16, width: Width, now: Instant) -> (u8, Effects) {
        let quiet = |value| (value, Effects::empty());
        match decoder(port) {
            Some(Decoder::Interrupts) => self.interrupts.port_read(port),
            Some(Decoder::Pit) => quiet(self.pit.read(port, now)),
            Some(Decoder::Rtc) => self.rtc.read(port, now),
            Some(Decoder::Uart) => self.uart.read(offset_in(layout::COM1, port), now),
            Some(Decoder::Power) => self.power.read(offset_in(PM_FIRST, port), now),
            // A narrow access to the address register's ports is not for PCI.
            Some(Decoder::Pci) if port < PCI_CONFIG_DATA && width != Width::Dword => {
                quiet(if port == power::RESET_PORT { 0 } else { FLOATING })
            }
            Some(Decoder::Pci) => quiet(self.pci.read_port(port)),
            Some(Decoder::Port92) => quiet(power::A20_ENABLED),
            Some(Decoder::Keyboard) | None => quiet(FLOATING),
        }
    }

    fn write_byte(&mut self, port: u16, value: u8, now: Instant) -> Effects {
        match decoder(port) {
            Some(Decoder::Interrupts) => self.interrupts.port_write(port, value),
            Some(Decoder::Pit) => self.pit.write(port, value, now),
            Some(Decoder::Keyboard) if port == KEYBOARD_DATA => self.power.write_keyboard_data(value),
            Some(Decoder::Keyboard) => self.power.write_keyboard_command(value),
            Some(Decoder::Port92) => self.power.write_port_92(value),
            Some(Decoder::Rtc) => self.rtc.write(port, value, now),
            Some(Decoder::Uart) => self.uart.write(offset_in(layout::COM1, port), value, now),
            Some(Decoder::Power) => self.power.write(offset_in(PM_FIRST, port), value, now),
            Some(Decoder::Pci) if port == power::RESET_PORT => self.power.write_reset(value),
            Some(Decoder::Pci) if port >= PCI_CONFIG_DATA => self.pci.write_data(port, value),
            // Port 0x80 among them: writing there is how a guest waits a microsecond.
            Some(Decoder::Pci) | None => Effects::empty(),
        }
    }
}

/// What decodes a port at a fixed place.
#[derive(Clone, Copy)]
enum Decoder {
    Interrupts,
    Pit,
    Keyboard,
    Rtc,
    Uart,
    Power,
    Pci,
    Port92,
}

/// The one table of these ports: whatever is served is also kept clear of base address registers.
fn decoder(port: u16) -> Option<Decoder> {
    Some(match port {
        0x20..=0x21 | 0xa0..=0xa1 | 0x4d0..=0x4d1 => Decoder::Interrupts,
        0x40..=0x43 | 0x61 => Decoder::Pit,
        KEYBOARD_DATA | KEYBOARD_COMMAND => Decoder::Keyboard,
        rtc::INDEX_PORT | rtc::DATA_PORT => Decoder::Rtc,
        power::PORT_92 => Decoder::Port92,
        layout::COM1..=COM1_LAST => Decoder::Uart,
        PM_FIRST..=PM_LAST => Decoder::Power,
        PCI_CONFIG_ADDRESS..=0xcff => Decoder::Pci,
        _ => return None,
    })
}

const COM1_LAST: u16 = layout::COM1 + 7;
const PM_FIRST: u16 = layout::PM_BASE;
const PM_LAST: u16 = layout::PM_BASE + 15;

/// Offset of `port` in a block of at most 256 ports that begins at `first`.
fn offset_in(first: u16, port: u16) -> u8 {
    (port - first).to_le_bytes()[0]
}

fn ecam_offset(address: GuestPhysical) -> Option<u32> {
    let offset = address.0.checked_sub(layout::ECAM.start)?;
    (address.0 < layout::ECAM.end).then_some(low_u32(offset))
}
