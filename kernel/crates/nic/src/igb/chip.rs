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
}
