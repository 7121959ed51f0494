//! What the family of the 82576, I210 and I350 consists of.

use crate::chip::NicChip;
use crate::descriptors::AdvancedFormat;
use intel_regs::igb;
use intel_regs::queue::{ReceiveQueue, TransmitQueue};

/// The family of 82576, I210 and I350.
pub enum IgbChip {}

impl NicChip for IgbChip {
    const NAME: &'static str = "igb";
    type Descriptors = AdvancedFormat;
    const RECEIVE: ReceiveQueue = igb::receive_queue(0);
    const TRANSMIT: TransmitQueue = igb::transmit_queue(0);
    /// Of the 82576 it is 40 KiB, of the I210 24 KiB at most; the ports of an I350 share more, by their number [82576 8, I210 8,
    /// I350 8].
    const TRANSMIT_FIFO: usize = 80 << 10;
}
