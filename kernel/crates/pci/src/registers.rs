//! Registers of a PCI function's configuration space that are set up before its driver: power, bus and link
//! [PCI 3.0 6, PCIe 5.0 7.5].

/// Command and status.
pub(crate) const COMMAND: u8 = 0x04;
/// Cache line size, latency timer, header type.
pub(crate) const CACHE_LINE: u8 = 0x0c;
/// The first of six base address registers.
pub(crate) const BAR: u8 = 0x10;
/// Bus numbers of a bridge: the bus below it is in bits 15:8.
pub(crate) const BUS_NUMBERS: u8 = 0x18;
/// Pointer to the first capability.
pub(crate) const CAPABILITIES: u8 = 0x34;
/// Interrupt line and pin.
pub(crate) const INTERRUPT: u8 = 0x3c;

/// Bit of the status half of [`COMMAND`]: there are capabilities.
pub(crate) const HAS_CAPABILITIES: u32 = 1 << 20;

/// Bits of the command half of [`COMMAND`].
pub(crate) mod command {
    /// The function answers at the addresses of its I/O and memory windows.
    pub(crate) const DECODE: u32 = 3;
}

/// A base address register [PCI 3.0 6.2.5.1].
pub(crate) mod bar {
    /// The window is of ports.
    pub(crate) const IO: u32 = 1;
    /// Ports: the bits of the address.
    pub(crate) const IO_ADDRESS: u32 = !3;
    /// Memory: the bits of the type.
    pub(crate) const TYPE: u32 = 3 << 1;
    /// An address of 32 bits.
    pub(crate) const TYPE_32: u32 = 0 << 1;
    /// An address of 64 bits, whose upper half is in the next register.
    pub(crate) const TYPE_64: u32 = 2 << 1;
    /// Memory: the bits of the address.
    pub(crate) const MEMORY_ADDRESS: u32 = !0xf;
}

/// Capability identifiers [PCI 3.0 H].
pub(crate) mod capability {
    /// Power management.
    pub(crate) const POWER: u8 = 0x01;
    /// PCI-X.
    pub(crate) const PCI_X: u8 = 0x07;
    /// PCI Express.
    pub(crate) const PCI_EXPRESS: u8 = 0x10;
}

/// Power Management Control and Status, `PMCSR`, 4 bytes into its capability [PCIe 5.0 7.5.2.2].
pub(crate) mod pmcsr {
    /// Offset in the capability.
    pub(crate) const OFFSET: u8 = 4;
    /// Power state: D0 is zero.
    pub(crate) const STATE: u32 = 3;
    /// Wake-up enabled.
    pub(crate) const PME_EN: u32 = 1 << 8;
    /// Wake-up event; cleared by writing 1.
    pub(crate) const PME_STATUS: u32 = 1 << 15;
}

/// Command of a PCI-X function, in the upper half of its capability's first register.
pub(crate) mod pci_x {
    /// Position of the maximum memory read byte count: 512 bytes shifted by its value.
    pub(crate) const READ_COUNT_SHIFT: u32 = 18;
    /// Mask of it, before the shift.
    pub(crate) const READ_COUNT_MASK: u32 = 3;
    /// 2048 bytes.
    pub(crate) const READ_COUNT_2048: u32 = 2;
}

/// PCI Express capability [PCIe 5.0 7.5.3].
pub(crate) mod express {
    /// Device Control and Status.
    pub(crate) const DEVICE: u8 = 0x08;
    /// Link Control and Status.
    pub(crate) const LINK: u8 = 0x10;
    /// The control half of [`DEVICE`], [`LINK`] and [`DEVICE_2`]: the status half is cleared by writing 1.
    pub(crate) const CONTROL: u32 = 0xffff;
    /// ASPM L0s and L1.
    pub(crate) const ASPM: u32 = 3;
    /// Device Control 2, of capabilities of version 2 and later.
    pub(crate) const DEVICE_2: u8 = 0x28;
    /// Position of the version in the capability's first register.
    pub(crate) const VERSION_SHIFT: u32 = 16;
    /// Mask of the version, before the shift.
    pub(crate) const VERSION_MASK: u32 = 0xf;
    /// Completion timeout: zero for 50 us to 50 ms.
    pub(crate) const COMPLETION_TIMEOUT: u32 = 0xf;
    /// Completion timeout of 16 to 55 ms.
    pub(crate) const COMPLETION_16_MS: u32 = 5;
}
