//! PCI: every function on every bus, through configuration mechanism #1 [PCI 3.0 3.2.2.3.2].

use alloc::vec::Vec;
use pci::{MOST_CAPABILITIES, PciAccess};
use pci_types::capability::PciCapability;
use pci_types::{ConfigRegionAccess, EndpointHeader, HeaderType, PciAddress, PciHeader, PciPciBridgeHeader};
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

impl PciAccess for PciConfiguration {
    fn read_register(self, function: PciAddress, offset: u8) -> u32 {
        // SAFETY: the caller's contract.
        unsafe { self.read(function, offset.into()) }
    }

    fn write_register(self, function: PciAddress, offset: u8, value: u32) {
        // SAFETY: the caller's contract.
        unsafe { self.write(function, offset.into(), value) }
    }
}

/// A function found on a bus.
pub type PciFunction = pci::BusFunction<PciConfiguration>;

/// Ethernet controllers [PCI Code and ID 1.11, class 02h].
pub const CLASS_ETHERNET: (u8, u8) = (0x02, 0x00);
/// Base classes of display controllers and bridges [PCI Code and ID 1.11].
const CLASS_DISPLAY: u8 = 0x03;
const CLASS_BRIDGE: u8 = 0x06;

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
        access: PciConfiguration,
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
