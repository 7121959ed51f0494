//! PCI: every function on every bus, through configuration mechanism #1 [PCI 3.0 3.2.2.3.2].

use alloc::vec::Vec;
use base::HostPhysical;
use core::fmt;
use pci_types::capability::PciCapability;
use pci_types::{
    Bar, CommandRegister, ConfigRegionAccess, EndpointHeader, HeaderType, PciAddress, PciHeader,
    PciPciBridgeHeader,
};
use spin::Mutex;
use x86_64::instructions::port::Port;

/// Access through ports 0xcf8 and 0xcfc, one at a time: a NIC may be reset on any core.
#[derive(Clone, Copy)]
pub struct PciConfiguration;

static PORTS: Mutex<()> = Mutex::new(());

impl PciConfiguration {
    fn select(address: PciAddress, offset: u16) {
        let selector = 1 << 31
            | u32::from(address.bus()) << 16
            | u32::from(address.device()) << 11
            | u32::from(address.function()) << 8
            | u32::from(offset & 0xfc);
        // SAFETY: the address register of the configuration mechanism only selects, and changes nothing.
        unsafe { Port::<u32>::new(0xcf8).write(selector) }
    }
}

impl ConfigRegionAccess for PciConfiguration {
    unsafe fn read(&self, address: PciAddress, offset: u16) -> u32 {
        let _guard = PORTS.lock();
        Self::select(address, offset);
        // SAFETY: configuration reads have no side effects in the standard header and capabilities.
        unsafe { Port::<u32>::new(0xcfc).read() }
    }

    unsafe fn write(&self, address: PciAddress, offset: u16, value: u32) {
        let _guard = PORTS.lock();
        Self::select(address, offset);
        // SAFETY: the caller's contract.
        unsafe { Port::<u32>::new(0xcfc).write(value) }
    }
}

/// A function found on a bus.
#[derive(Clone, Copy)]
pub struct PciFunction {
    /// Its bus, device and function numbers.
    pub address: PciAddress,
    /// Vendor id.
    pub vendor: u16,
    /// Device id.
    pub device: u16,
    /// Base class and subclass.
    pub class: (u8, u8),
    /// IO-APIC input or ISA interrupt that its pin is wired to, as firmware recorded it; 255 means none.
    pub interrupt_line: u8,
    /// Whether it has MSI, and whether it has MSI-X.
    pub message_interrupts: (bool, bool),
}

/// A limit because a damaged list could be circular: the 192 bytes for capabilities have no room for more.
const MOST_CAPABILITIES: usize = 48;

/// Ethernet controllers [PCI Code and ID 1.11, class 02h].
pub const CLASS_ETHERNET: (u8, u8) = (0x02, 0x00);
/// Base classes of display controllers and bridges [PCI Code and ID 1.11].
const CLASS_DISPLAY: u8 = 0x03;
const CLASS_BRIDGE: u8 = 0x06;
const CLASS_PCI_BRIDGE: (u8, u8) = (CLASS_BRIDGE, 0x04);

impl PciFunction {
    /// The memory window of a base address register: its address and size in bytes. `None` if there is none, or if
    /// firmware has assigned no address to it.
    pub fn memory_bar(&self, index: u8) -> Option<(HostPhysical, u64)> {
        let endpoint = EndpointHeader::from_header(PciHeader::new(self.address), PciConfiguration)?;
        let (address, size) = match endpoint.bar(index, PciConfiguration)? {
            Bar::Memory32 { address, size, .. } => (address.into(), size.into()),
            Bar::Memory64 { address, size, .. } => (address, size),
            Bar::Io { .. } => return None,
        };
        (address != 0).then_some((HostPhysical(address), size))
    }

    /// The first capability for which `pick` returns a value.
    pub fn find_capability<T>(&self, pick: impl FnMut(PciCapability) -> Option<T>) -> Option<T> {
        let endpoint = EndpointHeader::from_header(PciHeader::new(self.address), PciConfiguration)?;
        endpoint.capabilities(PciConfiguration).take(MOST_CAPABILITIES).find_map(pick)
    }

    /// True for a bridge to another PCI bus.
    pub fn is_bridge(&self) -> bool {
        self.class == CLASS_PCI_BRIDGE
    }

    /// Its bus, device and function numbers, for display.
    pub fn place(&self) -> PciPlace {
        PciPlace(self.address)
    }

    /// The first port of its I/O window, if it has one.
    pub fn io_bar(&self) -> Option<u16> {
        let endpoint = EndpointHeader::from_header(PciHeader::new(self.address), PciConfiguration)?;
        (0..6).find_map(|index| match endpoint.bar(index, PciConfiguration) {
            Some(Bar::Io { port }) => u16::try_from(port).ok().filter(|port| *port != 0),
            _ => None,
        })
    }

    /// Enables the function's windows and its interrupt, but not its DMA.
    pub fn enable(&self) {
        PciHeader::new(self.address).update_command(PciConfiguration, |command| {
            (command | CommandRegister::MEMORY_ENABLE | CommandRegister::IO_ENABLE)
                - CommandRegister::BUS_MASTER_ENABLE
                - CommandRegister::INTERRUPT_DISABLE
        });
    }

    /// Enables or disables the function's DMA.
    pub fn allow_dma(&self, allowed: bool) {
        PciHeader::new(self.address).update_command(PciConfiguration, |mut command| {
            command.set(CommandRegister::BUS_MASTER_ENABLE, allowed);
            command
        });
    }

    /// Disables the function's DMA, and its interrupt, which it may share with others.
    pub fn quiesce(&self) {
        PciHeader::new(self.address).update_command(PciConfiguration, |command| {
            (command - CommandRegister::BUS_MASTER_ENABLE) | CommandRegister::INTERRUPT_DISABLE
        });
    }
}

impl nic::FunctionRegisters for PciFunction {
    fn read(&self, offset: u8) -> u32 {
        // SAFETY: reads have no side effects.
        unsafe { PciConfiguration.read(self.address, offset.into()) }
    }

    fn write(&self, offset: u8, value: u32) {
        // SAFETY: the registers that a NIC's set-up writes give a device no memory.
        unsafe { PciConfiguration.write(self.address, offset.into(), value) }
    }
}

impl fmt::Display for PciFunction {
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

/// Stops the DMA of every device that firmware may have left running, such as the NIC that Weir was loaded
/// through: it must not write memory that now belongs to Weir or a guest. Needs no heap, since it runs before
/// there is one. Bridges continue to forward, and displays to show the framebuffer.
pub fn quiesce_all() {
    bus(0, 0, &mut |function| {
        if !matches!(function.class.0, CLASS_DISPLAY | CLASS_BRIDGE) {
            function.quiesce();
        }
    });
}

/// Every function of the machine, in bus order.
pub fn enumerate() -> Vec<PciFunction> {
    let mut found = Vec::new();
    bus(0, 0, &mut |function| found.push(function));
    found
}

fn bus(number: u8, depth: u8, see: &mut dyn FnMut(PciFunction)) {
    for device in 0..32 {
        let first = PciHeader::new(PciAddress::new(0, number, device, 0));
        if first.id(PciConfiguration).0 == 0xffff {
            continue;
        }
        let functions = if first.has_multiple_functions(PciConfiguration) { 8 } else { 1 };
        for function in 0..functions {
            look_at(PciAddress::new(0, number, device, function), depth, see);
        }
    }
}

fn look_at(address: PciAddress, depth: u8, see: &mut dyn FnMut(PciFunction)) {
    let header = PciHeader::new(address);
    let (vendor, device) = header.id(PciConfiguration);
    if vendor == 0xffff {
        return;
    }
    let (_, base, sub, _) = header.revision_and_class(PciConfiguration);
    let mut function = PciFunction {
        address,
        vendor,
        device,
        class: (base, sub),
        interrupt_line: 0xff,
        message_interrupts: (false, false),
    };
    match header.header_type(PciConfiguration) {
        HeaderType::Endpoint => {
            if let Some(endpoint) = EndpointHeader::from_header(header, PciConfiguration) {
                function.interrupt_line = endpoint.interrupt(PciConfiguration).1;
                for capability in endpoint.capabilities(PciConfiguration).take(MOST_CAPABILITIES) {
                    match capability {
                        PciCapability::Msi(_) => function.message_interrupts.0 = true,
                        PciCapability::MsiX(_) => function.message_interrupts.1 = true,
                        _ => {}
                    }
                }
            }
            see(function);
        }
        HeaderType::PciPciBridge => {
            see(function);
            // Buses behind a bridge have higher numbers; the depth limit is for a damaged tree.
            if let Some(bridge) = PciPciBridgeHeader::from_header(header, PciConfiguration)
                && depth < 8
                && bridge.secondary_bus_number(PciConfiguration) > address.bus()
            {
                bus(bridge.secondary_bus_number(PciConfiguration), depth + 1, see);
            }
        }
        _ => see(function),
    }
}
