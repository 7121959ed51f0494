//! Bits of the registers that control reception and its filters.

use bitflags::bitflags;

bitflags! {
    /// Receive Control, `RCTL` [8254x 13.4.22, table 13-67].
    ///
    /// ```
    /// use intel_regs::Rctl;
    ///
    /// let control = Rctl::for_buffer_size(4096).unwrap() | Rctl::EN | Rctl::BAM;
    /// assert_eq!(control.bits(), 0x0203_8002);
    /// assert_eq!(control.buffer_size(), Some(4096));
    /// ```
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Rctl: u32 {
        /// Receiver enable.
        const EN = 1 << 1;
        /// Store bad packets.
        const SBP = 1 << 2;
        /// Unicast promiscuous enabled.
        const UPE = 1 << 3;
        /// Multicast promiscuous enabled.
        const MPE = 1 << 4;
        /// Long packet reception enable.
        const LPE = 1 << 5;
        /// Loopback mode 01b: MAC loopback; low bit of `LBM`.
        const LBM_MAC = 1 << 6;
        /// High bit of `LBM`.
        const LBM_HIGH = 1 << 7;
        /// Low bit of `RDMTS`, see [`Rctl::minimum_threshold_divisor`].
        const RDMTS_LOW = 1 << 8;
        /// High bit of `RDMTS`.
        const RDMTS_HIGH = 1 << 9;
        /// Low bit of `MO`, see [`Rctl::multicast_offset`].
        const MO_LOW = 1 << 12;
        /// High bit of `MO`.
        const MO_HIGH = 1 << 13;
        /// Broadcast accept mode.
        const BAM = 1 << 15;
        /// Low bit of `BSIZE`, see [`Rctl::buffer_size`].
        const BSIZE_LOW = 1 << 16;
        /// High bit of `BSIZE`.
        const BSIZE_HIGH = 1 << 17;
        /// VLAN filter enable.
        const VFE = 1 << 18;
        /// Canonical form indicator enable: tagged frames must carry `CFI`.
        const CFIEN = 1 << 19;
        /// The canonical form indicator that tagged frames must carry.
        const CFI = 1 << 20;
        /// Discard pause frames.
        const DPF = 1 << 22;
        /// Pass MAC control frames.
        const PMCF = 1 << 23;
        /// Buffer size extension: `BSIZE` is multiplied by 16.
        const BSEX = 1 << 25;
        /// Strip the Ethernet CRC of incoming frames.
        const SECRC = 1 << 26;
    }

    /// The bits of Receive Address High other than the address [8254x 13.5.3, table 13-91].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Rah: u32 {
        /// Address select 01b: compare with the source address; low bit of `AS`.
        const AS_SOURCE = 1 << 16;
        /// High bit of `AS`.
        const AS_HIGH = 1 << 17;
        /// Address valid.
        const AV = 1 << 31;
    }

    /// Receive Checksum Control, `RXCSUM` [8254x 13.4.47].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Rxcsum: u32 {
        /// IP checksum offload enable.
        const IPOFL = 1 << 8;
        /// TCP/UDP checksum offload enable.
        const TUOFL = 1 << 9;
        /// IPv6 checksum offload enable.
        const IPV6OFL = 1 << 10;
    }
}

impl Rctl {
    /// The size of every receive buffer, in bytes, from `BSIZE` and `BSEX`; `None` for the reserved
    /// combination [8254x 3.2.2, 13.4.22].
    #[must_use]
    pub const fn buffer_size(self) -> Option<u32> {
        match ((self.bits() >> 16) & 3, self.contains(Self::BSEX)) {
            (0, false) => Some(2048),
            (1, false) => Some(1024),
            (2, false) => Some(512),
            (_, false) => Some(256),
            (0, true) => None,
            (1, true) => Some(16384),
            (2, true) => Some(8192),
            (_, true) => Some(4096),
        }
    }

    /// `BSIZE` and `BSEX` for buffers of `bytes` bytes; `None` for a size that the controller lacks.
    #[must_use]
    pub const fn for_buffer_size(bytes: u32) -> Option<Self> {
        let bits = match bytes {
            2048 => 0,
            1024 => 1 << 16,
            512 => 2 << 16,
            256 => 3 << 16,
            16384 => 1 << 16 | 1 << 25,
            8192 => 2 << 16 | 1 << 25,
            4096 => 3 << 16 | 1 << 25,
            _ => return None,
        };
        Some(Self::from_bits_retain(bits))
    }

    /// The divisor from `RDMTS`: `RXDMT0` is raised when the free descriptors are the ring's length divided by it.
    /// `None` for the reserved combination [8254x 13.4.22].
    #[must_use]
    pub const fn minimum_threshold_divisor(self) -> Option<u32> {
        match (self.bits() >> 8) & 3 {
            0 => Some(2),
            1 => Some(4),
            2 => Some(8),
            _ => None,
        }
    }

    /// The lowest bit of the 48-bit destination address (first octet lowest) that is part of the multicast hash,
    /// from `MO`: 36, 35, 34 or 32 [8254x 13.4.22, 13.5.1].
    #[must_use]
    pub const fn multicast_offset(self) -> u32 {
        match (self.bits() >> 12) & 3 {
            0 => 36,
            1 => 35,
            2 => 34,
            _ => 32,
        }
    }
}

impl Rah {
    /// Mask of the last two octets of the address, bits 15:0.
    pub const ADDRESS_MASK: u32 = 0xffff;
}

impl Rxcsum {
    /// Mask of `PCSS`, the byte at which the packet checksum starts, bits 7:0.
    pub const PCSS_MASK: u32 = 0xff;
}

/// Longest frame, CRC included, that is not oversized without `RCTL.LPE` [8254x 13.7.36].
pub const MAX_FRAME: usize = 1522;
/// Longest frame, CRC included, that is not oversized with `RCTL.LPE` [8254x 13.7.36].
pub const MAX_LONG_FRAME: usize = 16384;
/// Shortest legal frame, CRC included [8254x 13.7.34].
pub const MIN_FRAME: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_size_survives_the_round_trip() {
        for size in [256, 512, 1024, 2048, 4096, 8192, 16384] {
            assert_eq!(Rctl::for_buffer_size(size).and_then(Rctl::buffer_size), Some(size));
        }
        assert_eq!(Rctl::for_buffer_size(3000), None);
        assert_eq!(Rctl::BSEX.buffer_size(), None);
    }

    #[test]
    fn multicast_offset_is_that_of_the_manual() {
        assert_eq!(Rctl::empty().multicast_offset(), 36);
        assert_eq!((Rctl::MO_LOW | Rctl::MO_HIGH).multicast_offset(), 32);
    }
}
