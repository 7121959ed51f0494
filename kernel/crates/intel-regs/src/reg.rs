//! Offsets of the registers in the memory-mapped window, in bytes [8254x 13.2, table 13-2].
//!
//! Every register is 32 bits wide. The statistics registers are in [`crate::stats`].

/// Device Control [8254x 13.4.1].
pub const CTRL: u32 = 0x0000;
/// Device Status [8254x 13.4.2].
pub const STATUS: u32 = 0x0008;
/// EEPROM/Flash Control and Data [8254x 13.4.3].
pub const EECD: u32 = 0x0010;
/// EEPROM Read [8254x 13.4.4].
pub const EERD: u32 = 0x0014;
/// Extended Device Control [8254x 13.4.6].
pub const CTRL_EXT: u32 = 0x0018;
/// Flash Access [8254x 13.4.5].
pub const FLA: u32 = 0x001c;
/// MDI Control [8254x 13.4.7].
pub const MDIC: u32 = 0x0020;
/// Flow Control Address Low [8254x 13.4.8].
pub const FCAL: u32 = 0x0028;
/// Flow Control Address High [8254x 13.4.9].
pub const FCAH: u32 = 0x002c;
/// Flow Control Type [8254x 13.4.10].
pub const FCT: u32 = 0x0030;
/// VLAN Ether Type [8254x 13.4.11].
pub const VET: u32 = 0x0038;
/// Interrupt Cause Read [8254x 13.4.17].
pub const ICR: u32 = 0x00c0;
/// Interrupt Throttling, in units of 256 ns [8254x 13.4.18].
pub const ITR: u32 = 0x00c4;
/// Interrupt Cause Set [8254x 13.4.19].
pub const ICS: u32 = 0x00c8;
/// Interrupt Mask Set/Read [8254x 13.4.20].
pub const IMS: u32 = 0x00d0;
/// Interrupt Mask Clear [8254x 13.4.21].
pub const IMC: u32 = 0x00d8;
/// Receive Control [8254x 13.4.22].
pub const RCTL: u32 = 0x0100;
/// Flow Control Transmit Timer Value [8254x 13.4.12].
pub const FCTTV: u32 = 0x0170;
/// Transmit Configuration Word, for controllers with an internal SerDes [8254x 13.4.13].
pub const TXCW: u32 = 0x0178;
/// Receive Configuration Word, for controllers with an internal SerDes [8254x 13.4.14].
pub const RXCW: u32 = 0x0180;
/// Transmit Control [8254x 13.4.33].
pub const TCTL: u32 = 0x0400;
/// Transmit Inter Packet Gap [8254x 13.4.34].
pub const TIPG: u32 = 0x0410;
/// Adaptive IFS Throttle, the register the manual also calls AIT [8254x 13.4.35].
pub const AIFS: u32 = 0x0458;
/// LED Control [8254x 13.4.15].
pub const LEDCTL: u32 = 0x0e00;
/// Packet Buffer Allocation, in KiB [8254x 13.4.16].
pub const PBA: u32 = 0x1000;
/// Flow Control Receive Threshold Low [8254x 13.4.23].
pub const FCRTL: u32 = 0x2160;
/// Flow Control Receive Threshold High [8254x 13.4.24].
pub const FCRTH: u32 = 0x2168;

/// Receive Data FIFO Head [8254x 13.8.1].
pub const RDFH: u32 = 0x2410;
/// Receive Data FIFO Tail [8254x 13.8.2].
pub const RDFT: u32 = 0x2418;
/// Receive Data FIFO Head Saved [8254x 13.8.3].
pub const RDFHS: u32 = 0x2420;
/// Receive Data FIFO Tail Saved [8254x 13.8.4].
pub const RDFTS: u32 = 0x2428;
/// Receive Data FIFO Packet Count [8254x 13.8].
pub const RDFPC: u32 = 0x2430;

/// Receive Descriptor Base Address Low [8254x 13.4.25].
pub const RDBAL: u32 = 0x2800;
/// Receive Descriptor Base Address High [8254x 13.4.26].
pub const RDBAH: u32 = 0x2804;
/// Receive Descriptor Length, in bytes, a multiple of 128 [8254x 13.4.27].
pub const RDLEN: u32 = 0x2808;
/// Receive Descriptor Head [8254x 13.4.28].
pub const RDH: u32 = 0x2810;
/// Receive Descriptor Tail [8254x 13.4.29].
pub const RDT: u32 = 0x2818;
/// Receive Delay Timer, in units of 1.024 us [8254x 13.4.30].
pub const RDTR: u32 = 0x2820;
/// Receive Descriptor Control [8254x 13.4.46].
pub const RXDCTL: u32 = 0x2828;
/// Receive Interrupt Absolute Delay Timer, in units of 1.024 us [8254x 13.4.31].
pub const RADV: u32 = 0x282c;
/// Receive Small Packet Detect Interrupt, in bytes [8254x 13.4.32].
pub const RSRPD: u32 = 0x2c00;

/// Transmit DMA Control; the manual lists it for the 82544GC/EI only [8254x 13.4.42].
pub const TXDMAC: u32 = 0x3000;
/// Transmit Data FIFO Head [8254x 13.8].
pub const TDFH: u32 = 0x3410;
/// Transmit Data FIFO Tail [8254x 13.8].
pub const TDFT: u32 = 0x3418;
/// Transmit Data FIFO Head Saved [8254x 13.8].
pub const TDFHS: u32 = 0x3420;
/// Transmit Data FIFO Tail Saved [8254x 13.8].
pub const TDFTS: u32 = 0x3428;
/// Transmit Data FIFO Packet Count [8254x 13.8].
pub const TDFPC: u32 = 0x3430;

/// Transmit Descriptor Base Address Low [8254x 13.4.36].
pub const TDBAL: u32 = 0x3800;
/// Transmit Descriptor Base Address High [8254x 13.4.37].
pub const TDBAH: u32 = 0x3804;
/// Transmit Descriptor Length, in bytes, a multiple of 128 [8254x 13.4.38].
pub const TDLEN: u32 = 0x3808;
/// Transmit Descriptor Head [8254x 13.4.39].
pub const TDH: u32 = 0x3810;
/// Transmit Descriptor Tail [8254x 13.4.40].
pub const TDT: u32 = 0x3818;
/// Transmit Interrupt Delay Value, in units of 1.024 us [8254x 13.4.41].
pub const TIDV: u32 = 0x3820;
/// Transmit Descriptor Control [8254x 13.4.43].
pub const TXDCTL: u32 = 0x3828;
/// Transmit Absolute Interrupt Delay Value, in units of 1.024 us [8254x 13.4.44].
pub const TADV: u32 = 0x382c;
/// TCP Segmentation Pad and Minimum Threshold [8254x 13.4.45].
pub const TSPMT: u32 = 0x3830;

/// Receive Checksum Control [8254x 13.4.47].
pub const RXCSUM: u32 = 0x5000;
/// Multicast Table Array, [`MTA_COUNT`] registers [8254x 13.5.1].
pub const MTA: u32 = 0x5200;
/// Registers in the multicast table array.
pub const MTA_COUNT: u32 = 128;
/// Receive Address Low of entry 0; entries follow every 8 bytes, see [`ral`] [8254x 13.5.2].
pub const RAL: u32 = 0x5400;
/// Receive Address High of entry 0; entries follow every 8 bytes, see [`rah`] [8254x 13.5.3].
pub const RAH: u32 = 0x5404;
/// Receive address entries.
pub const RAR_COUNT: u32 = 16;
/// VLAN Filter Table Array, [`VFTA_COUNT`] registers [8254x 13.5.4].
pub const VFTA: u32 = 0x5600;
/// Registers in the VLAN filter table array.
pub const VFTA_COUNT: u32 = 128;

/// Wakeup Control [8254x 13.6].
pub const WUC: u32 = 0x5800;
/// Wakeup Filter Control [8254x 13.6].
pub const WUFC: u32 = 0x5808;
/// Wakeup Status; a bit is cleared by writing 1 [8254x 13.6].
pub const WUS: u32 = 0x5810;
/// Management Control [8254x 13.2, table 13-2].
pub const MANC: u32 = 0x5820;
/// IP Address Valid [8254x 13.6].
pub const IPAV: u32 = 0x5838;
/// IPv4 Address Table, [`IP4AT_COUNT`] addresses every 8 bytes [8254x 13.6].
pub const IP4AT: u32 = 0x5840;
/// Addresses in the IPv4 address table.
pub const IP4AT_COUNT: u32 = 4;
/// IPv6 Address Table, [`IP6AT_COUNT`] registers [8254x 13.6].
pub const IP6AT: u32 = 0x5880;
/// Registers in the IPv6 address table.
pub const IP6AT_COUNT: u32 = 4;
/// Wakeup Packet Length [8254x 13.6].
pub const WUPL: u32 = 0x5900;
/// Wakeup Packet Memory, [`WUPM_COUNT`] registers [8254x 13.6].
pub const WUPM: u32 = 0x5a00;
/// Registers in the wakeup packet memory.
pub const WUPM_COUNT: u32 = 32;
/// Flexible Filter Length Table, [`FFLT_COUNT`] registers every 8 bytes [8254x 13.6].
pub const FFLT: u32 = 0x5f00;
/// Registers in the flexible filter length table.
pub const FFLT_COUNT: u32 = 4;
/// Flexible Filter Mask Table, [`FLEXIBLE_FILTER_COUNT`] registers every 8 bytes [8254x 13.6].
pub const FFMT: u32 = 0x9000;
/// Flexible Filter Value Table, [`FLEXIBLE_FILTER_COUNT`] registers every 8 bytes [8254x 13.6].
pub const FFVT: u32 = 0x9800;
/// Registers in each of the flexible filter mask and value tables.
pub const FLEXIBLE_FILTER_COUNT: u32 = 128;

/// Packet Buffer Memory, first register [8254x 13.8].
pub const PBM: u32 = 0x1_0000;

/// Receive Address Low of `entry`: the first four octets of the address, first octet in bits 7:0
/// [8254x 13.5.2].
///
/// A driver gives a NIC a second station address:
///
/// ```
/// use intel_regs::{Rah, reg};
/// use std::collections::BTreeMap;
///
/// let mut registers = BTreeMap::new();
/// let [a, b, c, d, e, f] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
/// registers.insert(reg::ral(1), u32::from_le_bytes([a, b, c, d]));
/// registers.insert(reg::rah(1), u32::from_le_bytes([e, f, 0, 0]) | Rah::AV.bits());
/// assert_eq!(registers, BTreeMap::from([(0x5408, 0x1200_5452), (0x540c, 0x8000_5634)]));
/// // There are 16 entries; a larger number wraps.
/// assert_eq!(reg::ral(16), reg::RAL);
/// ```
#[must_use]
pub const fn ral(entry: u32) -> u32 {
    RAL + 8 * (entry % RAR_COUNT)
}

/// Receive Address High of `entry`: the last two octets in bits 15:0, and [`crate::Rah`] [8254x 13.5.3].
#[must_use]
pub const fn rah(entry: u32) -> u32 {
    RAH + 8 * (entry % RAR_COUNT)
}

/// Multicast Table Array register `index` [8254x 13.5.1].
#[must_use]
pub const fn mta(index: u32) -> u32 {
    MTA + 4 * (index % MTA_COUNT)
}

/// VLAN Filter Table Array register `index` [8254x 13.5.4].
#[must_use]
pub const fn vfta(index: u32) -> u32 {
    VFTA + 4 * (index % VFTA_COUNT)
}

/// Unit of `ITR`, in nanoseconds [8254x 13.4.18].
pub const ITR_UNIT_NS: u64 = 256;
/// Unit of `RDTR`, `RADV`, `TIDV` and `TADV`, in nanoseconds [8254x 13.4.30, 13.4.41].
pub const DELAY_UNIT_NS: u64 = 1024;
/// `RDLEN` and `TDLEN` are multiples of this many bytes [8254x 13.4.27, 13.4.38].
pub const RING_LENGTH_ALIGNMENT: u32 = 128;
/// The significant bits of `RDLEN` and `TDLEN` [8254x 13.4.27, 13.4.38].
pub const RING_LENGTH_MASK: u32 = 0x000f_ff80;

/// `RDTR.FPD`: flush partial descriptor block; ends the delay at once and reads as 0 [8254x 13.4.30].
pub const RDTR_FPD: u32 = 1 << 31;

/// Fields of `RXDCTL` and `TXDCTL` [8254x 13.4.43, 13.4.46].
pub mod dctl {
    /// `PTHRESH`, prefetch threshold, in descriptors (or cache lines without [`GRAN`]).
    pub const PTHRESH_SHIFT: u32 = 0;
    /// `HTHRESH`, host threshold.
    pub const HTHRESH_SHIFT: u32 = 8;
    /// `WTHRESH`, write-back threshold.
    pub const WTHRESH_SHIFT: u32 = 16;
    /// Mask of each threshold, before the shift.
    pub const THRESHOLD_MASK: u32 = 0x3f;
    /// `GRAN`: thresholds are in descriptors instead of cache lines.
    pub const GRAN: u32 = 1 << 24;
    /// `TXDCTL.LWTHRESH`: the low threshold of `TXD_LOW`, in units of eight descriptors.
    pub const LWTHRESH_SHIFT: u32 = 25;
    /// Mask of `LWTHRESH`, before the shift.
    pub const LWTHRESH_MASK: u32 = 0x7f;
}

/// Fields of `TIPG` and the values for copper [8254x 13.4.34].
pub mod tipg {
    /// `IPGT`, back-to-back gap.
    pub const IPGT_SHIFT: u32 = 0;
    /// `IPGR1`, first part of the gap after a deferral.
    pub const IPGR1_SHIFT: u32 = 10;
    /// `IPGR2`, the whole gap after a deferral.
    pub const IPGR2_SHIFT: u32 = 20;
    /// `IPGT` 10, `IPGR1` 8, `IPGR2` 6: the gaps that IEEE 802.3 requires on a copper link [8254x 13.4.34].
    pub const COPPER: u32 = (10 << IPGT_SHIFT) | (8 << IPGR1_SHIFT) | (6 << IPGR2_SHIFT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_end_before_the_next_begins() {
        assert_eq!(mta(MTA_COUNT - 1), 0x53fc);
        assert_eq!(rah(RAR_COUNT - 1), 0x547c);
        assert_eq!(vfta(VFTA_COUNT - 1), 0x57fc);
    }

    #[test]
    fn an_index_beyond_a_table_wraps() {
        assert_eq!(ral(RAR_COUNT), RAL);
        assert_eq!(mta(u32::MAX), mta(MTA_COUNT - 1));
    }
}
