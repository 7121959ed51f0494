//! What can be wrong with a card.

use crate::PciId;
use base::time::Duration;

/// Why a card cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NicError {
    /// This driver does not know the card.
    #[error("no driver for PCI device {:04x}:{:04x}", .0.vendor, .0.device)]
    UnsupportedDevice(PciId),
    /// There is no memory for the rings or the buffers.
    #[error("no {bytes} contiguous bytes of DMA memory left")]
    OutOfMemory {
        /// How much was asked for.
        bytes: usize,
    },
    /// CTRL.RST was still set at the deadline.
    #[error("reset did not end within {waited:?}: CTRL is {control:#010x}")]
    ResetTimeout {
        /// The last value of CTRL; all ones when nothing answers at the card's address.
        control: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// EERD.DONE was still clear at the deadline.
    #[error("EEPROM word {word:#x} was not read within {waited:?}: EERD is {eerd:#010x}")]
    EepromTimeout {
        /// The word that was asked for.
        word: u8,
        /// The last value of EERD.
        eerd: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// MDIC.R was still clear at the deadline, or MDIC.E was set.
    #[error("PHY register {register} was not reached within {waited:?}: MDIC is {mdic:#010x}")]
    PhyTimeout {
        /// The PHY register that was asked for.
        register: u8,
        /// The last value of MDIC.
        mdic: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// Neither the EEPROM nor RAL0 and RAH0 hold a station address.
    #[error("the card has no station address: EEPROM and RAL0/RAH0 hold none")]
    NoMacAddress,
}
