//! What is specific to a family of chips. Everything else is in [`crate::NicDriver`].
//!
//! Each family is a folder with the same files: `chip.rs` lists what it consists of, `initialise.rs` brings it
//! up, `interrupt.rs` handles its interrupts.

use crate::descriptors::DescriptorFormat;
use crate::{Causes, InterruptMode, NicError, NicHost, NicRegisters};
use base::time::Duration;
use intel_regs::Ctrl;
use intel_regs::queue::{ReceiveQueue, TransmitQueue};

/// A family of chips.
pub trait NicChip: BringUp + InterruptControl {
    /// Name of the driver in the log, which is also its name in other systems.
    const NAME: &'static str;
    /// The format of its descriptors.
    type Descriptors: DescriptorFormat;
    /// Registers of the receive queue that is used.
    const RECEIVE: ReceiveQueue;
    /// Registers of the transmit queue that is used.
    const TRANSMIT: TransmitQueue;
}

/// Where a NIC holds its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// In its EEPROM or flash, read through EERD.
    Nvm,
    /// In RAL0 and RAH0, which the NIC loads from its EEPROM or flash.
    ReceiveAddress,
}

/// Layout of EERD in a family.
#[derive(Clone, Copy, Debug)]
pub struct NvmLayout {
    /// Position of `ADDR`.
    pub address_shift: u32,
    /// `DONE`.
    pub done: u32,
}

/// The steps of the initialisation that differ between families. A step that a family does not need is empty
/// there.
pub trait BringUp {
    /// Bits set in CTRL so that the MAC follows the PHY.
    const LINK_CONTROL: Ctrl;
    /// Layout of EERD.
    const NVM: NvmLayout;
    /// Sources of the station address, in the order in which they are tried.
    const ADDRESS_SOURCES: [AddressSource; 2];

    /// Ends bus transactions before a reset.
    fn quiesce<H: NicHost>(host: &mut H, registers: &mut H::Registers);

    /// Waits, after a reset, until the NIC has read its non-volatile memory.
    ///
    /// # Errors
    /// [`NicError::AutoReadTimeout`].
    fn await_nvm<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError>;

    /// Tells the NIC's firmware that a driver has taken over.
    fn announce<R: NicRegisters>(registers: &mut R);

    /// The first word of this port's part of the non-volatile memory.
    fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16;

    /// Acquires the PHY from the NIC's firmware.
    ///
    /// # Errors
    /// [`NicError::PhyBusy`].
    fn take_phy<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError>;

    /// Releases the PHY.
    fn release_phy<R: NicRegisters>(registers: &mut R);

    /// Sets up a receive queue, except for its ring, for buffers and frames of these lengths in bytes.
    fn prepare_receive<R: NicRegisters>(registers: &mut R, buffer: u16, max_frame: u16);

    /// Enables the receive queue after its ring is set up.
    ///
    /// # Errors
    /// [`NicError::QueueTimeout`].
    fn enable_receive<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError>;

    /// Sets up a transmit queue, except for its ring.
    fn prepare_transmit<R: NicRegisters>(registers: &mut R);

    /// Enables the transmit queue after its ring is set up.
    ///
    /// # Errors
    /// [`NicError::QueueTimeout`].
    fn enable_transmit<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError>;
}

/// Interrupts: how they are delivered, what they mean, which causes are unmasked, and how often they may occur.
pub trait InterruptControl {
    /// True when the family is trusted with MSI and MSI-X if its PCI header offers them.
    const MESSAGES: bool;

    /// Sets how the NIC interrupts. Called with all causes masked.
    fn route<R: NicRegisters>(registers: &mut R, mode: InterruptMode);

    /// Masks all causes.
    fn mask<R: NicRegisters>(registers: &mut R);

    /// Unmasks the causes that are always wanted, and completed transmissions when `transmit` is true.
    fn unmask<R: NicRegisters>(registers: &mut R, mode: InterruptMode, transmit: bool);

    /// Masks the cause for completed transmissions.
    fn mask_transmit<R: NicRegisters>(registers: &mut R, mode: InterruptMode);

    /// Reads and clears the causes; `None` when the NIC does not answer.
    fn causes<R: NicRegisters>(registers: &mut R, mode: InterruptMode) -> Option<Causes>;

    /// Sets the minimum interval between two interrupts; zero sets no limit.
    fn throttle<R: NicRegisters>(registers: &mut R, mode: InterruptMode, interval: Duration);
}
