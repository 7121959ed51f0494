//! Errors of a NIC.

use crate::PciId;
use base::time::Duration;

/// Why a NIC cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NicError {
    /// There is no driver for this NIC.
    #[error("no driver for PCI device {:04x}:{:04x}", .0.vendor, .0.device)]
    UnsupportedDevice(PciId),
    /// There is no memory left for the rings or the buffers.
    #[error("no {bytes} contiguous bytes of DMA memory left")]
    OutOfMemory {
        /// The amount requested.
        bytes: usize,
    },
    /// The registers read as all ones, or as zeros: the NIC was removed, is without power, or has lost its place on the bus.
    #[error("the NIC does not answer: its registers read as all ones or zeros")]
    NoAnswer,
    /// CTRL.RST was still set at the deadline.
    #[error("reset did not end within {waited:?}: CTRL is {control:#010x}")]
    ResetTimeout {
        /// The last value of CTRL.
        control: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// EERD.DONE was still clear at the deadline.
    #[error("EEPROM word {word:#x} was not read within {waited:?}: EERD is {eerd:#010x}")]
    EepromTimeout {
        /// The word that was requested.
        word: u16,
        /// The last value of EERD.
        eerd: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// MDIC.R was still clear at the deadline, or MDIC.E was set.
    #[error("PHY register {register} was not reached within {waited:?}: MDIC is {mdic:#010x}")]
    PhyTimeout {
        /// The PHY register that was requested.
        register: u8,
        /// The last value of MDIC.
        mdic: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// EEC.AUTO_RD or RAH0.AV was still clear at the deadline.
    #[error("the NIC did not read its non-volatile memory within {waited:?}: its register is {value:#010x}")]
    AutoReadTimeout {
        /// The last value of EEC or RAH0.
        value: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// The NIC's firmware did not release the PHY.
    #[error("firmware kept the PHY for {waited:?}: the semaphore register is {semaphore:#010x}")]
    PhyBusy {
        /// The last value of the register that names the PHY's owner.
        semaphore: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// RXDCTL.ENABLE or TXDCTL.ENABLE was still clear at the deadline.
    #[error("a queue was not enabled within {waited:?}: its control register is {control:#010x}")]
    QueueTimeout {
        /// The last value of RXDCTL or TXDCTL.
        control: u32,
        /// How long the driver waited.
        waited: Duration,
    },
    /// Neither the EEPROM nor RAL0 and RAH0 hold a station address.
    #[error("the NIC has no station address: EEPROM and RAL0/RAH0 hold none")]
    NoMacAddress,
}
