//! What the family of the 82540EM and 82545EM consists of.

use crate::chip::NicChip;
use crate::descriptors::LegacyFormat;
use intel_regs::queue::{ReceiveQueue, TransmitQueue};
use intel_regs::reg;

/// The family of 82540EM and 82545EM.
pub enum E1000Chip {}

impl NicChip for E1000Chip {
    const NAME: &'static str = "e1000";
    type Descriptors = LegacyFormat;
    const RECEIVE: ReceiveQueue = ReceiveQueue::at(reg::RDBAL);
    const TRANSMIT: TransmitQueue = TransmitQueue::at(reg::TDBAL);
    /// PBA.TXA as it is after a reset [8254x 13.4.16].
    const TRANSMIT_FIFO: usize = 16 << 10;
}
