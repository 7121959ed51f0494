//! PCI configuration space, through configuration mechanism 1 [PCI 3.0 3.2.2.3.2].

use crate::ports;

const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;

/// A function of a device on bus 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    device: u32,
    number: u32,
}

impl Function {
    /// Reads the 32-bit register at an offset.
    #[must_use]
    pub fn read(self, offset: u32) -> u32 {
        ports::write_dword(ADDRESS, 1 << 31 | self.device << 11 | self.number << 8 | (offset & 0xfc));
        ports::read_dword(DATA)
    }

    /// Writes the 32-bit register at an offset.
    pub fn write(self, offset: u32, value: u32) {
        ports::write_dword(ADDRESS, 1 << 31 | self.device << 11 | self.number << 8 | (offset & 0xfc));
        ports::write_dword(DATA, value);
    }

    /// Enables memory and I/O decoding and bus mastering [PCI 3.0 6.2.2].
    pub fn enable(self) {
        self.write(0x04, self.read(0x04) & 0xffff | 0b111);
    }

    /// Start of a 32- or 64-bit memory BAR below 4 GiB.
    #[must_use]
    pub fn memory_bar(self, index: u32) -> u64 {
        u64::from(self.read(0x10 + 4 * index) & !0xf)
    }

    /// The interrupt line that firmware wrote [PCI 3.0 6.2.4].
    #[must_use]
    pub fn interrupt_line(self) -> u8 {
        self.read(0x3c).to_le_bytes()[0]
    }
}

/// Finds the functions on bus 0 with these ids, in the order of their addresses.
pub fn find(vendor: u16, device: u16) -> impl Iterator<Item = Function> {
    let wanted = u32::from(device) << 16 | u32::from(vendor);
    (0..32)
        .flat_map(|device| (0..8).map(move |number| Function { device, number }))
        .filter(move |function| function.read(0) == wanted)
}
