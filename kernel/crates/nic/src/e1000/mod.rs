//! The 82540EM and 82545EM, on PCI and PCI-X.

mod chip;
mod initialise;
mod interrupt;

pub use chip::E1000Chip;
