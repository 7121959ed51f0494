//! Functions on buses of which nothing is known but that they can be read.

use pci::{PciAccess, scan_bus};
use pci_types::{ConfigRegionAccess, PciAddress};

/// A NIC as device 3 of bus 0x41, a device with three functions as device 0 of bus 0x40, and nothing else.
#[derive(Clone, Copy)]
struct Machine;

impl ConfigRegionAccess for Machine {
    unsafe fn read(&self, at: PciAddress, offset: u16) -> u32 {
        match ((at.bus(), at.device(), at.function()), offset) {
            ((0x41, 3, 0) | (0x40, 0, 0 | 2 | 7), 0x00) => 0x10d3_8086,
            ((0x41, 3, 0), 0x04) => 0x0010_0000,
            ((0x41, 3, 0), 0x08) => 0x0200_0000,
            ((0x41, 3, 0), 0x34) => 0x40,
            // A list of capabilities in a circle.
            ((0x41, 3, 0), 0x40) => 0x0000_4005,
            ((0x41, 3, 0), 0x3c) => 0x0000_020b,
            // A bridge.
            ((0x40, 0, _), 0x0c) => 0x0081_0000,
            ((0x41, 3, 0) | (0x40, 0, 0 | 2 | 7), _) => 0,
            _ => u32::MAX,
        }
    }

    unsafe fn write(&self, _: PciAddress, _: u16, _: u32) {}
}

impl PciAccess for Machine {
    fn read_register(self, function: PciAddress, offset: u8) -> u32 {
        // SAFETY: nothing but constants.
        unsafe { self.read(function, offset.into()) }
    }

    fn write_register(self, _: PciAddress, _: u8, _: u32) {}
}

#[test]
fn every_function_of_every_bus_is_found_once() {
    let mut found = Vec::new();
    for bus in 0..=u8::MAX {
        scan_bus(Machine, bus, &mut |function| found.push(function));
    }
    let places: Vec<String> = found.iter().map(|function| function.place().to_string()).collect();
    assert_eq!(places, ["40:00.0", "40:00.2", "40:00.7", "41:03.0"]);
    let nic = found[3];
    assert_eq!((nic.class, nic.interrupt_pin, nic.interrupt_line), ((2, 0), 2, 11));
    assert_eq!(nic.message_interrupts, (true, false));
}
