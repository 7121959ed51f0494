//! Bits of the registers that control transmission.

bitflags::bitflags! {
    /// Transmit Control, `TCTL` [8254x 13.4.33, table 13-76].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Tctl: u32 {
        /// Transmit enable.
        const EN = 1 << 1;
        /// Pad short packets to 64 bytes.
        const PSP = 1 << 3;
        /// Software XOFF transmission, self-clearing.
        const SWXOFF = 1 << 22;
        /// Re-transmit on late collision.
        const RTLC = 1 << 24;
    }
}

impl Tctl {
    /// Position of `CT`, collision threshold, bits 11:4.
    pub const CT_SHIFT: u32 = 4;
    /// Mask of `CT`, in place.
    pub const CT_MASK: u32 = 0xff << Self::CT_SHIFT;
    /// Position of `COLD`, collision distance, bits 21:12.
    pub const COLD_SHIFT: u32 = 12;
    /// Mask of `COLD`, in place.
    pub const COLD_MASK: u32 = 0x3ff << Self::COLD_SHIFT;
    /// `CT` recommended by the manual.
    pub const CT_RECOMMENDED: u32 = 0x0f << Self::CT_SHIFT;
    /// `COLD` recommended by the manual for full duplex.
    pub const COLD_FULL_DUPLEX: u32 = 0x40 << Self::COLD_SHIFT;
}

/// Maximum number of bytes in one transmit descriptor [8254x 3.3.3].
pub const MAX_DESCRIPTOR_LENGTH: usize = 16288;
