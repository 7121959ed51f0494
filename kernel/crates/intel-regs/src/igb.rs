//! Registers and fields that the 82576 and its relatives, I210 and I350, add to those of the 8254x.
//!
//! Sources: Intel, *82576 Gigabit Ethernet Controller Datasheet*, *I210 Datasheet*, *I350 Datasheet*. Where
//! the three agree, the I210's section is cited, as `[I210 section]`. These controllers have ICR, IMS, IMC and
//! others at two offsets: new ones, and those of the 8254x. QEMU's model of the 82576 implements only the latter.

use crate::queue::{ReceiveQueue, TransmitQueue};
use bitflags::bitflags;

/// Internal PHY Configuration, [`mod@ipcnfg`]; not on 82576 [I210 8].
pub const IPCNFG: u32 = 0x0e38;
/// Energy Efficient Ethernet, [`mod@eeer`]; not on 82576 [I210 8].
pub const EEER: u32 = 0x0e30;
/// Management EEPROM Control, [`cfg_done`]; not on I210 [82576 8, I350 8].
pub const EEMNGCTL: u32 = 0x1010;
/// [`EEMNGCTL`] of the I210 and I211, among their other registers for the non-volatile memory [I210 8]. Drivers of other
/// systems disagree about it, and some read the old offset; read at the wrong one, it costs a reset 100 ms.
pub const EEMNGCTL_I210: u32 = 0x1_2030;
/// PCIe Control, [`mod@gcr`] [82576 8].
pub const GCR: u32 = 0x5b00;
/// General Purpose Interrupt Enable, [`Gpie`] [I210 8.8.17].
pub const GPIE: u32 = 0x1514;
/// Extended Interrupt Cause Set [I210 8.8.4].
pub const EICS: u32 = 0x1520;
/// Extended Interrupt Mask Set/Read [I210 8.8.5].
pub const EIMS: u32 = 0x1524;
/// Extended Interrupt Mask Clear [I210 8.8.6].
pub const EIMC: u32 = 0x1528;
/// Extended Interrupt Auto Clear: the causes that an MSI-X message clears automatically [I210 8.8.7].
pub const EIAC: u32 = 0x152c;
/// Extended Interrupt Auto Mask [I210 8.8.8].
pub const EIAM: u32 = 0x1530;
/// Extended Interrupt Cause Read [I210 8.8.3].
pub const EICR: u32 = 0x1580;
/// Interrupt Vector Allocation for the causes that belong to no queue, [`mod@ivar`] [I210 8.8.16].
pub const IVAR_MISC: u32 = 0x1740;
/// Receive Long Packet Maximum Length: with `RCTL.LPE`, the longest frame in bytes, CRC included
/// [I210 7.1.1.4].
pub const RLPML: u32 = 0x5004;
/// Software Semaphore, [`Swsm`] [I210 8.7.1].
pub const SWSM: u32 = 0x5b50;
/// Software-Firmware Synchronization, [`sw_fw_sync`] [I210 8.7.3].
pub const SW_FW_SYNC: u32 = 0x5b5c;

/// Interrupt Throttle of MSI-X entry `vector`, [`eitr_interval`] [I210 8.8.14].
#[must_use]
pub const fn eitr(vector: u32) -> u32 {
    0x1680 + 4 * vector
}

/// Interrupt Vector Allocation register `index`: for queues `2 * index` and `2 * index + 1` on I210, for queues
/// `index` and `index + 8` on 82576 [I210 8.8.15].
#[must_use]
pub const fn ivar(index: u32) -> u32 {
    0x1700 + 4 * index
}

/// Receive queue `queue`: 0 to 3 on I210, 0 to 7 on I350, 0 to 15 on 82576 [I210 8.10.4].
#[must_use]
pub const fn receive_queue(queue: u32) -> ReceiveQueue {
    ReceiveQueue::at(0xc000 + 0x40 * queue)
}

/// Transmit queue `queue`; there are as many transmit as receive queues [I210 8.12].
#[must_use]
pub const fn transmit_queue(queue: u32) -> TransmitQueue {
    TransmitQueue::at(0xe000 + 0x40 * queue)
}

/// The value of `EITR` for an interval in microseconds: `INTERVAL` is bits 14:2 [I210 8.8.14].
#[must_use]
pub const fn eitr_interval(microseconds: u32) -> u32 {
    const MOST: u32 = 0x1fff;
    (if microseconds > MOST { MOST } else { microseconds }) << 2
}

bitflags! {
    /// General Purpose Interrupt Enable, `GPIE` [I210 8.8.17].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Gpie: u32 {
        /// Every read of `ICR` clears the register.
        const NSICR = 1 << 0;
        /// Causes are sent as messages of several MSI-X entries, selected by `IVAR`.
        const MULTIPLE_MSIX = 1 << 4;
        /// Extended interrupt auto mask enable.
        const EIAME = 1 << 30;
        /// The MSI-X pending bits are kept.
        const PBA_SUPPORT = 1 << 31;
    }

    /// Extended causes in `EICR`, `EICS`, `EIMS` and `EIMC` without [`Gpie::MULTIPLE_MSIX`]; with it a bit
    /// stands for an entry of the MSI-X table [I210 8.8.3].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct ExtendedInterrupt: u32 {
        /// A cause in `ICR` that `IMS` enables.
        const OTHER = 1 << 31;
    }

    /// Software Semaphore, `SWSM` [I210 8.7.1].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct Swsm: u32 {
        /// Software/software semaphore: a read sets it.
        const SMBI = 1 << 0;
        /// Software/firmware semaphore: acquired when it reads as set after software set it.
        const SWESMBI = 1 << 1;
    }
}

/// `EEMNGCTL.CFG_DONE` of the port with this `LAN ID`: firmware has configured the PHY [82576 8, I210 8].
#[must_use]
pub const fn cfg_done(lan_id: u32) -> u32 {
    1 << (18 + (lan_id & 3))
}

/// Fields of `IPCNFG`: Energy Efficient Ethernet in the advertisement.
pub mod ipcnfg {
    /// At 100 Mb/s.
    pub const EEE_100M_AN: u32 = 1 << 2;
    /// At 1000 Mb/s.
    pub const EEE_1G_AN: u32 = 1 << 3;
}

/// Fields of `EEER`: low power idle.
pub mod eeer {
    /// Of the transmitter.
    pub const TX_LPI_EN: u32 = 1 << 16;
    /// Of the receiver.
    pub const RX_LPI_EN: u32 = 1 << 17;
    /// While flow control pauses.
    pub const LPI_FC: u32 = 1 << 18;
}

/// Fields of `GCR` of the 82576 [82576 8].
pub mod gcr {
    /// Completion timeout; zero for 50 us to 50 ms.
    pub const CMPL_TMOUT_MASK: u32 = 0xf000;
    /// Completion timeout of 10 ms and more.
    pub const CMPL_TMOUT_10MS: u32 = 0x1000;
    /// A request whose completion timed out is sent again.
    pub const CMPL_TMOUT_RESEND: u32 = 1 << 16;
    /// The PCI Express capability has version 2, whose Device Control 2 holds the timeout instead.
    pub const CAP_VER2: u32 = 1 << 18;
}

/// Fields of `IVAR` and `IVAR_MISC` [I210 8.8.15, 8.8.16].
pub mod ivar {
    /// Position, in `IVAR` 0, of the entry for receive queue 0.
    pub const RXQ0_SHIFT: u32 = 0;
    /// Position, in `IVAR` 0, of the entry for transmit queue 0.
    pub const TXQ0_SHIFT: u32 = 8;
    /// Position, in `IVAR_MISC`, of the entry for the other causes.
    pub const OTHER_SHIFT: u32 = 8;
    /// The entry next to this bit is valid.
    pub const VALID: u32 = 1 << 7;
}

/// Fields of `SRRCTL` [I210 8.10.2].
pub mod srrctl {
    /// Mask of `BSIZEPACKET`, bits 6:0: the size of a packet buffer, in KiB.
    pub const BSIZEPACKET_MASK: u32 = 0x7f;
    /// `DESCTYPE` 001b: advanced descriptor, one buffer.
    pub const DESCTYPE_ONE_BUFFER: u32 = 1 << 25;
    /// `Drop_En`: a frame without a free descriptor is dropped instead of blocking the receive FIFO.
    pub const DROP_EN: u32 = 1 << 31;
}

/// `RXDCTL.ENABLE` and `TXDCTL.ENABLE`: the queue is enabled once the bit reads as set
/// [I210 8.10.9, 4.5.9, 4.5.10].
pub const DCTL_ENABLE: u32 = 1 << 25;

/// Bits of `SW_FW_SYNC` [I210 8.7.3].
pub mod sw_fw_sync {
    /// Software owns the PHY of the port with this `LAN ID`.
    #[must_use]
    pub const fn software_phy(lan_id: u32) -> u32 {
        match lan_id & 3 {
            0 => 1 << 1,
            1 => 1 << 2,
            2 => 1 << 5,
            _ => 1 << 6,
        }
    }

    /// Firmware owns the PHY of the port with this `LAN ID`.
    #[must_use]
    pub const fn firmware_phy(lan_id: u32) -> u32 {
        software_phy(lan_id) << 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_too_long_interval_is_clamped() {
        assert_eq!((eitr_interval(50), eitr_interval(u32::MAX)), (200, 0x7ffc));
    }
}
