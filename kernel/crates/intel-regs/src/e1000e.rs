//! Registers and fields that the 82574 adds to those of the 8254x.
//!
//! Source: Intel, *82574 GbE Controller Family Datasheet*, cited as `[82574 section]`.

use crate::queue::{ReceiveQueue, TransmitQueue};
use bitflags::bitflags;

/// Extended Interrupt Auto Clear: the causes that an MSI-X message clears automatically [82574 10.2.4.7].
pub const EIAC: u32 = 0x00dc;
/// Interrupt Acknowledge Auto-Mask [82574 10.2.4.8].
pub const IAM: u32 = 0x00e0;
/// Interrupt Vector Allocation: the MSI-X table entry that each cause uses, [`ivar`] [82574 10.2.4.9].
pub const IVAR: u32 = 0x00e4;
/// Extended Configuration Control, [`ExtcnfCtrl`] [82574 10.2.2].
pub const EXTCNF_CTRL: u32 = 0x0f00;

/// Transmit Arbitration Counter of queue 0, [`tarc`] [82574 10.2.6].
pub const TARC0: u32 = 0x3840;
/// 3GIO Control, [`gcr`] [82574 10.2.2].
pub const GCR: u32 = 0x5b00;
/// 3GIO Control 2, [`GCR2_COMPLETIONS`] [82574 10.2.2].
pub const GCR2: u32 = 0x5b64;

/// Extended Interrupt Throttle of MSI-X entry `vector`, 0 to 4, in units of 256 ns [82574 10.2.4.3].
#[must_use]
pub const fn eitr(vector: u32) -> u32 {
    0x00e8 + 4 * vector
}

/// Receive queue 0 or 1 [82574 10.2.5].
#[must_use]
pub const fn receive_queue(queue: u32) -> ReceiveQueue {
    ReceiveQueue::at(0x2800 + 0x100 * queue)
}

/// Transmit queue 0 or 1 [82574 10.2.6].
#[must_use]
pub const fn transmit_queue(queue: u32) -> TransmitQueue {
    TransmitQueue::at(0x3800 + 0x100 * queue)
}

bitflags! {
    /// The causes in `ICR`, `ICS`, `IMS` and `IMC` that the 82574 adds to [`crate::Interrupt`]
    /// [82574 10.2.4.1]. Only these are sent as MSI-X messages.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct QueueInterrupt: u32 {
        /// Receive queue 0.
        const RXQ0 = 1 << 20;
        /// Receive queue 1.
        const RXQ1 = 1 << 21;
        /// Transmit queue 0.
        const TXQ0 = 1 << 22;
        /// Transmit queue 1.
        const TXQ1 = 1 << 23;
        /// A cause that belongs to no queue: link, overrun, management.
        const OTHER = 1 << 24;
    }

    /// Extended Configuration Control, `EXTCNF_CTRL` [82574 10.2.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
    pub struct ExtcnfCtrl: u32 {
        /// Software owns the MDI bus: granted when the bit reads as set.
        const MDIO_SW_OWNERSHIP = 1 << 5;
    }
}

/// Fields of `IVAR` [82574 10.2.4.9].
pub mod ivar {
    /// Position of the entry for receive queue 0.
    pub const RXQ0_SHIFT: u32 = 0;
    /// Position of the entry for transmit queue 0.
    pub const TXQ0_SHIFT: u32 = 8;
    /// Position of the entry for the other causes.
    pub const OTHER_SHIFT: u32 = 16;
    /// The entry next to this bit is valid.
    pub const VALID: u32 = 1 << 3;
    /// Every write-back raises the transmit queue's cause.
    pub const EVERY_WRITE_BACK: u32 = 1 << 31;
}

/// Bits of `GCR`. The first is reserved in the register's description; the specification update asks for it.
pub mod gcr {
    /// With [`super::GCR2_COMPLETIONS`]: completions that arrive unreliably, above all with ASPM, are waited for.
    pub const COMPLETIONS: u32 = 1 << 22;
    /// Enters L1 although the receiver is not in L0s.
    pub const L1_ACT_WITHOUT_L0S_RX: u32 = 1 << 27;
}

/// The bit of `GCR2` that belongs to [`gcr::COMPLETIONS`].
pub const GCR2_COMPLETIONS: u32 = 1 << 0;

/// Bits of `TARC0` that the specification update names.
pub mod tarc {
    /// Must be set.
    pub const ONE: u32 = 1 << 26;
    /// Must be clear.
    pub const ZERO: u32 = 0xf << 27;
}

/// The reserved bit of `CTRL` that must be clear [82574 10.2.2.1].
pub const CTRL_ZERO: u32 = 1 << 29;

/// Reserved bits of `CTRL_EXT`: one must be set and one clear [82574 10.2.2.5].
pub mod ctrl_ext {
    /// Must be set.
    pub const ONE: u32 = 1 << 22;
    /// Must be clear.
    pub const ZERO: u32 = 1 << 23;
}

/// `TXDCTL.COUNT_DESC`: the manual requires it to be set [82574 10.2.6].
pub const TXDCTL_COUNT_DESC: u32 = 1 << 22;
