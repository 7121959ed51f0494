//! PCI: every function on every bus, through configuration mechanism #1 [PCI 3.0 3.2.2.3.2].

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use pci::PciAccess;
use pci_types::{ConfigRegionAccess, PciAddress};
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
    for number in 0..=u8::MAX {
        let mut any = false;
        pci::scan_bus(PciConfiguration, number, &mut |function| {
            any = true;
            if !matches!(function.class.0, CLASS_DISPLAY | CLASS_BRIDGE) {
                function.quiesce();
            }
        });
        if any {
            BUSES[usize::from(number / 64)].fetch_or(1 << (number % 64), Ordering::Relaxed);
        }
    }
}

/// The buses on which [`quiesce_all`] has found functions, one bit each. It looks at all 256, since a machine may have
/// several root buses, and nothing but AML would tell their numbers. Those that are empty are not looked at again.
static BUSES: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Every function of PCI segment 0, in bus order.
pub fn enumerate() -> Vec<PciFunction> {
    let holds =
        |number: &u8| BUSES[usize::from(number / 64)].load(Ordering::Relaxed) & 1 << (number % 64) != 0;
    let mut found = Vec::new();
    for number in (0..=u8::MAX).filter(holds) {
        pci::scan_bus(PciConfiguration, number, &mut |function| found.push(function));
    }
    found
}
