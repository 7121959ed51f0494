//! Finding the functions on a bus.

use crate::{BusFunction, MOST_CAPABILITIES, PciAccess};
use pci_types::capability::PciCapability;
use pci_types::{EndpointHeader, PciAddress, PciHeader};

/// The vendor that a function has which is not there [PCI 3.0 6.1].
const NO_VENDOR: u16 = 0xffff;

/// Shows every function on a bus of segment 0.
pub fn scan_bus<A: PciAccess>(access: A, bus: u8, see: &mut dyn FnMut(BusFunction<A>)) {
    for device in 0..32 {
        let first = PciHeader::new(PciAddress::new(0, bus, device, 0));
        if first.id(access).0 == NO_VENDOR {
            continue;
        }
        let functions = if first.has_multiple_functions(access) { 8 } else { 1 };
        for function in 0..functions {
            look_at(access, PciAddress::new(0, bus, device, function)).into_iter().for_each(&mut *see);
        }
    }
}

fn look_at<A: PciAccess>(access: A, address: PciAddress) -> Option<BusFunction<A>> {
    let header = PciHeader::new(address);
    let (vendor, device) = header.id(access);
    if vendor == NO_VENDOR {
        return None;
    }
    let (_, base, sub, _) = header.revision_and_class(access);
    let mut function = BusFunction {
        access,
        address,
        vendor,
        device,
        class: (base, sub),
        interrupt_pin: 0,
        interrupt_line: 0xff,
        message_interrupts: (false, false),
    };
    if let Some(endpoint) = EndpointHeader::from_header(header, access) {
        (function.interrupt_pin, function.interrupt_line) = endpoint.interrupt(access);
        for capability in endpoint.capabilities(access).take(MOST_CAPABILITIES) {
            match capability {
                PciCapability::Msi(_) => function.message_interrupts.0 = true,
                PciCapability::MsiX(_) => function.message_interrupts.1 = true,
                _ => {}
            }
        }
    }
    Some(function)
}
