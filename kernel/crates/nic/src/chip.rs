//! What is specific to a family of chips. Everything else is in [`crate::NicDriver`].
//!
//! Each family is a folder with the same files: `chip.rs` lists what it consists of, `initialise.rs` brings it
//! up, `interrupt.rs` handles its interrupts.

use crate::descriptors::DescriptorFormat;
use crate::{Causes, InterruptMode, NicHost, NicModel, NicRegisters};
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
    /// At least as many bytes as frames to transmit find room in the NIC.
    const TRANSMIT_FIFO: usize;
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
/// there. None of them waits: what takes the NIC time is asked for again in the next turn. The error of such a
/// question is the value of the register that it reads.
pub trait BringUp {
    /// Bits set in CTRL so that the MAC follows the PHY.
    const LINK_CONTROL: Ctrl;
    /// Layout of EERD.
    const NVM: NvmLayout;
    /// Sources of the station address, in the order in which they are tried.
    const ADDRESS_SOURCES: [AddressSource; 2];
    /// Addresses that the NIC reaches by DMA are below this.
    const DMA_LIMIT: u64;
    /// The PHY must belong to software while the NIC is reset.
    const HOLDS_PHY_IN_RESET: bool;
    /// Pause after the NIC has read its non-volatile memory, before anything else.
    const LOAD_PAUSE: Duration;

    /// Ends bus transactions before a reset.
    fn quiesce<R: NicRegisters>(registers: &mut R);

    /// False while STATUS shows transactions on the bus.
    fn is_quiet(status: u32) -> bool;

    /// Resets the NIC.
    fn reset<H: NicHost>(host: &mut H, registers: &mut H::Registers);

    /// False when the NIC, whose CTRL.RST is clear, shows that it has not been reset.
    fn was_reset<R: NicRegisters>(registers: &mut R) -> bool;

    /// Asks whether the NIC has read its non-volatile memory after a reset.
    ///
    /// # Errors
    /// Not yet.
    fn loaded<R: NicRegisters>(registers: &mut R) -> Result<(), u32>;

    /// True when firmware has configured the PHY.
    fn is_configured<R: NicRegisters>(registers: &mut R, model: &NicModel) -> bool;

    /// Sets what the NIC's errata and the platform ask for, after each reset.
    fn correct<R: NicRegisters>(registers: &mut R, model: &NicModel);

    /// Tells the NIC's firmware that a driver has taken over, or that there is none any more.
    fn announce<R: NicRegisters>(registers: &mut R, present: bool);

    /// The first word of this port's part of the non-volatile memory.
    fn nvm_base<R: NicRegisters>(registers: &mut R) -> u16;

    /// Asks the NIC's firmware for the PHY; the answer has been the same for `unchanged`.
    ///
    /// # Errors
    /// Firmware has it, or has the semaphore that guards it.
    fn take_phy<R: NicRegisters>(registers: &mut R, unchanged: Duration) -> Result<(), u32>;

    /// Gives the PHY back; when `forced`, in any case.
    ///
    /// # Errors
    /// Firmware has the semaphore that guards it.
    fn release_phy<R: NicRegisters>(registers: &mut R, forced: bool) -> Result<(), u32>;

    /// Sets up a receive queue, except for its ring, for buffers and frames of these lengths in bytes.
    fn prepare_receive<R: NicRegisters>(registers: &mut R, buffer: u16, max_frame: u16);

    /// Enables the receive queue after its ring is set up.
    fn enable_receive<R: NicRegisters>(registers: &mut R);

    /// Asks whether the receive queue is enabled.
    ///
    /// # Errors
    /// Not yet.
    fn receive_enabled<R: NicRegisters>(registers: &mut R) -> Result<(), u32>;

    /// Sets up a transmit queue, except for its ring.
    fn prepare_transmit<R: NicRegisters>(registers: &mut R);

    /// Enables the transmit queue after its ring is set up.
    fn enable_transmit<R: NicRegisters>(registers: &mut R);

    /// Asks whether the transmit queue is enabled.
    ///
    /// # Errors
    /// Not yet.
    fn transmit_enabled<R: NicRegisters>(registers: &mut R) -> Result<(), u32>;
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
