//! The I/O APIC, for interrupts that are not connected to the 8259s [82093AA 3].

use crate::{apic, mmio};

/// Address of the first I/O APIC of every PC.
const BASE: u64 = 0xfec0_0000;
const INDEX: u64 = BASE;
const DATA: u64 = BASE + 0x10;
/// The first redirection register; each input has two.
const REDIRECTION: u32 = 0x10;
/// Level-triggered and active low, as PCI interrupts are.
const LEVEL_LOW: u32 = 1 << 15 | 1 << 13;

fn write(register: u32, value: u32) {
    mmio::write_dword(INDEX, register);
    mmio::write_dword(DATA, value);
}

/// Makes each edge at an input an NMI of this processor.
pub fn route_nmi(input: u8) {
    write(REDIRECTION + 2 * u32::from(input), 0b100 << 8);
}

/// Masks an input.
pub fn mask(input: u8) {
    write(REDIRECTION + 2 * u32::from(input), 1 << 16);
}

/// Routes an input's interrupts to this processor, whose local APIC must be in xAPIC mode.
pub fn route(input: u8, vector: u8) {
    let register = REDIRECTION + 2 * u32::from(input);
    write(register + 1, apic::read(apic::Register::Id) & 0xff00_0000);
    write(register, LEVEL_LOW | u32::from(vector));
}
