//! The 82574L, on PCI Express: the registers of the 8254x, plus messages and two queues each way.

mod chip;
mod initialise;
mod interrupt;

pub use chip::E1000eChip;
