//! Fields that the PCI Express families (82574; 82576, I210 and I350) share and the 8254x lacks.

use bitflags::bitflags;

bitflags! {
    /// Device Control, the bits of `CTRL` that only PCI Express controllers have [82574 10.2.2.1, I210 8.2.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct CtrlPcie: u32 {
        /// GIO master disable: the controller starts no more transactions on the bus.
        const GIO_MASTER_DISABLE = 1 << 2;
    }

    /// Device Status, the bits of `STATUS` that only PCI Express controllers have [82574 10.2.2.2, I210 8.2.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct StatusPcie: u32 {
        /// GIO master enable status: the controller may start transactions, or has some in progress.
        const GIO_MASTER_ENABLE = 1 << 19;
    }

    /// Extended Device Control, the bits of `CTRL_EXT` that only PCI Express controllers have
    /// [82574 10.2.2.5, I210 8.2.3].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct CtrlExtPcie: u32 {
        /// Driver loaded: informs the NIC's firmware that a driver is in control.
        const DRV_LOAD = 1 << 28;
        /// Writing the mask of a cause clears its MSI-X pending bit; 82574 only.
        const PBA_CLR = 1 << 31;
    }

    /// EEPROM/Flash Control, `EEC`, at the offset of `EECD` [82574 10.2.2.3, I210 8.4.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Eec: u32 {
        /// After a reset, the controller has finished reading its non-volatile memory.
        const AUTO_RD = 1 << 9;
    }

    /// EEPROM Read, `EERD`, in the layout of PCI Express controllers [82574 10.2.2.4, I210 8.4.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct EerdPcie: u32 {
        /// Start a read of the word at `ADDR`.
        const START = 1 << 0;
        /// The read is complete.
        const DONE = 1 << 1;
    }
}

impl StatusPcie {
    /// Position of `LAN ID`, bits 3:2: the number of this function's port on a multi-port NIC.
    pub const LAN_ID_SHIFT: u32 = 2;
    /// Mask of `LAN ID`, before the shift.
    pub const LAN_ID_MASK: u32 = 3;
}

impl EerdPcie {
    /// Position of `ADDR`, bits 15:2: the word to read.
    pub const ADDR_SHIFT: u32 = 2;
    /// Position of `DATA`, bits 31:16: the word read.
    pub const DATA_SHIFT: u32 = 16;
}

/// Start of each port's section of the non-volatile memory, in words, by `LAN ID`. Its first three words are the
/// station address [I350 6.2.1].
pub const LAN_BASE: [u16; 4] = [0x00, 0x80, 0xc0, 0x100];
