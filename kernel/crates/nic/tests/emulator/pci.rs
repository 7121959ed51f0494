//! The NIC in PCI configuration space, and its interrupt modes [PCI 3.0 6.1, 6.8].

use super::Emulator;
use nic::{InterruptMode, PciId};

/// Address that a test gives BAR 0 of the NIC, the registers.
pub const REGISTERS: u64 = 0xe000_0000;
/// Address that a test gives the I/O window.
const PORTS: u32 = 0xc000;
/// Address that a test gives the BAR with the MSI-X table.
const TABLE: u64 = 0xe010_0000;
/// Configuration address of the NIC, which is in slot 4 of bus 0.
const ADDRESS: u32 = 0x8000_0000 | 4 << 11;

/// Capability identifiers [PCI 3.0 H].
const MSI: u32 = 0x05;
const MSIX: u32 = 0x11;

/// The data of message `entry`, as the test configures it.
pub fn message(entry: u64) -> u32 {
    0x5aa5_1110 | entry as u32
}

impl Emulator {
    pub fn configuration(&mut self, register: u32) -> u32 {
        self.qtest(&format!("outl 0xcf8 {:#x}", ADDRESS | register));
        self.number("inl 0xcfc") as u32
    }

    pub fn configure(&mut self, register: u32, value: u32) {
        self.qtest(&format!("outl 0xcf8 {:#x}", ADDRESS | register));
        self.qtest(&format!("outl 0xcfc {value:#x}"));
    }

    /// Gives the BARs of memory and I/O their addresses, and enables decode [PCI 3.0 6.2.2, 6.2.5].
    pub fn enable(&mut self) {
        self.configure(0x10, REGISTERS as u32);
        let ports = (0x14..0x28).step_by(4).find(|register| self.configuration(*register) & 1 != 0);
        self.configure(ports.expect("an I/O window"), PORTS);
        self.configure(0x04, 0x0003);
    }

    /// Sets or clears COMMAND.BME.
    pub fn allow_dma(&mut self, allowed: bool) {
        self.configure(0x04, if allowed { 0x0007 } else { 0x0003 });
    }

    /// Writes to the I/O window.
    pub fn write_io(&mut self, at: u32, value: u32) {
        self.qtest(&format!("outl {:#x} {value:#x}", PORTS + at));
    }

    pub fn id(&mut self) -> PciId {
        let id = self.configuration(0);
        PciId { vendor: id as u16, device: (id >> 16) as u16 }
    }

    /// True while the NIC asserts its interrupt line [PCI 3.0 6.2.3].
    pub fn line(&mut self) -> bool {
        self.configuration(0x04) & 1 << 19 != 0
    }

    /// Configures the NIC to write its messages to memory, where a test finds them, and returns that address.
    /// The line needs no configuration.
    pub fn route(&mut self, mode: InterruptMode) -> u64 {
        let place = self.allocate(64, 64);
        match mode {
            InterruptMode::Intx => {}
            InterruptMode::Msi => {
                let capability = self.capability(MSI);
                let control = self.configuration(capability);
                self.configure(capability + 4, place as u32);
                self.configure(capability + 8, 0);
                // With a 64-bit address the 16 bits of data are 12 bytes after the start.
                assert!(control & 1 << 23 != 0, "64-bit addresses");
                self.configure(capability + 12, message(0) & 0xffff);
                self.configure(capability, control | 1 << 16);
            }
            InterruptMode::Msix => {
                let capability = self.capability(MSIX);
                let table = self.configuration(capability + 4);
                self.configure(0x10 + 4 * (table & 7), TABLE as u32);
                for entry in 0..nic::MSIX_ENTRIES as u64 {
                    let at = TABLE + u64::from(table & !7) + 16 * entry;
                    self.qtest(&format!("writel {at:#x} {:#x}", place + 4 * entry));
                    self.qtest(&format!("writel {:#x} 0", at + 4));
                    self.qtest(&format!("writel {:#x} {:#x}", at + 8, message(entry)));
                    self.qtest(&format!("writel {:#x} 0", at + 12));
                }
                let control = self.configuration(capability);
                self.configure(capability, control | 1 << 31);
            }
        }
        place
    }

    fn capability(&mut self, wanted: u32) -> u32 {
        let mut at = self.configuration(0x34) & 0xfc;
        while at != 0 {
            let header = self.configuration(at);
            if header & 0xff == wanted {
                return at;
            }
            at = header >> 8 & 0xfc;
        }
        panic!("no capability {wanted:#x}")
    }
}
