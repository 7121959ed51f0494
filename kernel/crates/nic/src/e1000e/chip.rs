//! What the family of the 82574 consists of.

use crate::chip::NicChip;
use crate::descriptors::LegacyFormat;
use intel_regs::e1000e;
use intel_regs::queue::{ReceiveQueue, TransmitQueue};

/// The family of the 82574.
pub enum E1000eChip {}

impl NicChip for E1000eChip {
    const NAME: &'static str = "e1000e";
    type Descriptors = LegacyFormat;
    const RECEIVE: ReceiveQueue = e1000e::receive_queue(0);
    const TRANSMIT: TransmitQueue = e1000e::transmit_queue(0);
    /// The packet buffer, which received frames share [82574 10.2].
    const TRANSMIT_FIFO: usize = 40 << 10;
}
