//! The machine's registers, as a parameter.

use crate::fadt::Register;
use base::HostPhysical;

/// Ports, registers in memory, PCI configuration space of bus 0, and the time-stamp counter.
pub trait MachineIo {
    /// Reads 8 bits from a port.
    fn in8(&mut self, port: u16) -> u8;
    /// Writes 8 bits to a port.
    fn out8(&mut self, port: u16, value: u8);
    /// Reads 16 bits from a port.
    fn in16(&mut self, port: u16) -> u16;
    /// Writes 16 bits to a port.
    fn out16(&mut self, port: u16, value: u16);
    /// Reads 32 bits from a port.
    fn in32(&mut self, port: u16) -> u32;
    /// Reads the 32 bits at an address, a multiple of 4; all ones if it cannot be reached.
    fn read(&mut self, at: HostPhysical) -> u32;
    /// Writes the 32 bits at an address, a multiple of 4.
    fn write(&mut self, at: HostPhysical, value: u32);
    /// Reads 32 bits of the configuration space of a function on bus 0.
    fn read_pci(&mut self, device: u8, function: u8, offset: u8) -> u32;
    /// Writes 32 bits of the configuration space of a function on bus 0.
    fn write_pci(&mut self, device: u8, function: u8, offset: u8, value: u32);
    /// Reads the time-stamp counter.
    fn tsc(&mut self) -> u64;
    /// Waits for so many microseconds. Before the time-stamp counter's frequency is known it does not wait.
    fn wait(&mut self, micros: u64);
}

/// Changes `bits` of a register, 8 or 16: what `new` makes of the old ones. In memory and in configuration space the 32
/// bits around them are written; a port is not read if it has 8 bits, as those are written as a whole.
pub(crate) fn change(io: &mut dyn MachineIo, at: Register, bits: u32, new: &dyn Fn(u32) -> u32) {
    let mask = (1u32 << bits) - 1;
    let within = |old: u32, shift: u32| old & !(mask << shift) | (new(old >> shift & mask) & mask) << shift;
    match at {
        Register::Port(port) if bits == 8 => io.out8(port, base::bits::low_u8(new(0).into())),
        Register::Port(port) => {
            let old = io.in16(port);
            io.out16(port, base::bits::low_u16(new(old.into()).into()));
        }
        Register::Memory(at) => {
            let (aligned, shift) = (HostPhysical(at.0 & !3), 8 * u32::from(at.0.to_le_bytes()[0] & 3));
            let old = io.read(aligned);
            io.write(aligned, within(old, shift));
        }
        Register::PciConfiguration { device, function, offset } => {
            let old = io.read_pci(device, function, offset & !3);
            io.write_pci(device, function, offset & !3, within(old, 8 * u32::from(offset & 3)));
        }
    }
}
