//! A function and its DMA.

use crate::FunctionRegisters;
use core::fmt;
use pci_types::capability::PciCapability;
use pci_types::{CommandRegister, ConfigRegionAccess, EndpointHeader, PciAddress, PciHeader};

/// A limit because a damaged list could be circular: the 192 bytes for capabilities have no room for more.
pub const MOST_CAPABILITIES: usize = 48;

/// Base class and subclass of a bridge to another PCI bus [PCI Code and ID 1.11].
const CLASS_PCI_BRIDGE: (u8, u8) = (0x06, 0x04);

/// Access to configuration space, as the kernel has it.
pub trait PciAccess: ConfigRegionAccess + Copy {
    /// Reads a register of the standard header or of a capability, which has no side effects.
    fn read_register(self, function: PciAddress, offset: u8) -> u32;

    /// Writes a register of the standard header or of a capability, with a value that gives the function no memory that
    /// it did not have, unless its decode is off.
    fn write_register(self, function: PciAddress, offset: u8, value: u32);
}

/// A function found on a bus.
#[derive(Clone, Copy)]
pub struct BusFunction<A> {
    /// Access to its configuration space.
    pub access: A,
    /// Its bus, device and function numbers.
    pub address: PciAddress,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Base class and subclass.
    pub class: (u8, u8),
    /// Its interrupt pin: 1 is INTA#, 0 means none.
    pub interrupt_pin: u8,
    /// IO-APIC input or ISA interrupt that its pin is wired to, as firmware recorded it; 255 means none.
    pub interrupt_line: u8,
    /// Whether it has MSI, and whether it has MSI-X.
    pub message_interrupts: (bool, bool),
}

impl<A: PciAccess> BusFunction<A> {
    fn endpoint(&self) -> Option<EndpointHeader> {
        EndpointHeader::from_header(PciHeader::new(self.address), self.access)
    }

    /// True unless it is a bridge, or does not answer: it has the registers of a type 0 header.
    pub(crate) fn is_endpoint(&self) -> bool {
        self.endpoint().is_some()
    }

    /// The first capability for which `pick` returns a value.
    pub fn find_capability<T>(&self, pick: impl FnMut(PciCapability) -> Option<T>) -> Option<T> {
        self.endpoint()?.capabilities(self.access).take(MOST_CAPABILITIES).find_map(pick)
    }

    /// True for a bridge to another PCI bus.
    pub fn is_bridge(&self) -> bool {
        self.class == CLASS_PCI_BRIDGE
    }

    /// Its bus, device and function numbers, for display.
    pub fn place(&self) -> PciPlace {
        PciPlace(self.address)
    }

    /// Enables the function's memory windows and its interrupt, but not its DMA; its I/O windows if they are used. One
    /// that firmware has given no address would else answer at ports of other devices.
    pub fn enable(&self, ports: bool) {
        PciHeader::new(self.address).update_command(self.access, |mut command| {
            command.insert(CommandRegister::MEMORY_ENABLE);
            command.set(CommandRegister::IO_ENABLE, ports);
            command - CommandRegister::BUS_MASTER_ENABLE - CommandRegister::INTERRUPT_DISABLE
        });
    }

    /// Enables or disables the function's DMA.
    pub fn allow_dma(&self, allowed: bool) {
        PciHeader::new(self.address).update_command(self.access, |mut command| {
            command.set(CommandRegister::BUS_MASTER_ENABLE, allowed);
            command
        });
    }

    /// Disables the function's DMA, and its interrupt, which it may share with others.
    pub fn quiesce(&self) {
        PciHeader::new(self.address).update_command(self.access, |command| {
            (command - CommandRegister::BUS_MASTER_ENABLE) | CommandRegister::INTERRUPT_DISABLE
        });
    }
}

impl<A: PciAccess> FunctionRegisters for BusFunction<A> {
    fn read(&self, offset: u8) -> u32 {
        self.access.read_register(self.address, offset)
    }

    fn write(&self, offset: u8, value: u32) {
        self.access.write_register(self.address, offset, value);
    }
}

impl<A: PciAccess> fmt::Display for BusFunction<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{:04x}:{:04x}]", self.place(), self.vendor, self.device)
    }
}

/// Bus, device and function numbers in the notation of the configuration.
#[derive(Clone, Copy)]
pub struct PciPlace(PciAddress);

impl fmt::Display for PciPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}:{:02x}.{}", self.0.bus(), self.0.device(), self.0.function())
    }
}
