//! The two formats of descriptors. The rings do not know which one they hold.

mod advanced;
mod format;
mod legacy;

pub use advanced::AdvancedFormat;
pub use format::{CutPlan, DescriptorFormat, FramePart, Offload, ReceivedBuffer};
pub use legacy::LegacyFormat;

pub(crate) use format::{TX_STATUS, WRITE_BACK};
