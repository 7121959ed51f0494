//! The 82576, I210 and I350, on PCI Express: advanced descriptors and up to sixteen queues each way, of which
//! one is used.

mod chip;
mod initialise;
mod interrupt;
mod semaphore;

pub use chip::IgbChip;
