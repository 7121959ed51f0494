//! What a family of chips does in its own way. Everything else is [`crate::NicDriver`].
//!
//! A family is a folder with the same files as its neighbours: `mod.rs` says what it is made of,
//! `initialise.rs` how it is brought up, `interrupt.rs` how it interrupts.

use crate::descriptors::DescriptorFormat;
use crate::{Causes, InterruptMode, NicError, NicHost, NicRegisters};
use base::time::Duration;
use intel_regs::Ctrl;
use intel_regs::queue::{ReceiveQueue, TransmitQueue};

/// A family of chips.
pub trait NicChip: BringUp + InterruptControl {
    /// Its name in the log: that of the driver which other systems have for it.
    const NAME: &'static str;
    /// The format of its descriptors.
    type Descriptors: DescriptorFormat;
    /// The registers of the receive queue that is used.
    const RECEIVE: ReceiveQueue;
    /// The registers of the transmit queue that is used.
    const TRANSMIT: TransmitQueue;
}

/// Where a NIC keeps its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// In its EEPROM or flash, read through EERD.
    Nvm,
    /// In RAL0 and RAH0, which the NIC loads from there.
    ReceiveAddress,
}

/// How a family lays EERD out, and where the station address stands.
#[derive(Clone, Copy, Debug)]
pub struct NvmLayout {
    /// Position of `ADDR`.
    pub address_shift: u32,
    /// `DONE`.
    pub done: u32,
}

/// The steps of bringing a NIC up that differ. Those with nothing to do in a family are empty there.
pub trait BringUp {
    /// What is set in CTRL so that the MAC follows the PHY.
    const LINK_CONTROL: Ctrl;
    /// How EERD is laid out.
    const NVM: NvmLayout;
    /// Where the station address is looked for, in this order.
    const ADDRESS_SOURCES: [AddressSource; 2];

    /// Ends the transactions on the bus before a reset.
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

    /// Takes the PHY from the NIC's firmware.
    ///
    /// # Errors
    /// [`NicError::PhyBusy`].
    fn take_phy<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError>;

    /// Gives the PHY back.
    fn release_phy<R: NicRegisters>(registers: &mut R);

    /// Sets what a receive queue needs beside its ring.
    fn prepare_receive<R: NicRegisters>(registers: &mut R, buffer: usize, max_frame: usize);

    /// Enables the receive queue once it has its ring.
    ///
    /// # Errors
    /// [`NicError::QueueTimeout`].
    fn enable_receive<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError>;

    /// Sets what a transmit queue needs beside its ring.
    fn prepare_transmit<R: NicRegisters>(registers: &mut R);

    /// Enables the transmit queue once it has its ring.
    ///
    /// # Errors
    /// [`NicError::QueueTimeout`].
    fn enable_transmit<H: NicHost>(host: &mut H, registers: &mut H::Registers) -> Result<(), NicError>;
}

/// Interrupts: which way they go, what they mean, which are let through, and how often.
pub trait InterruptControl {
    /// Whether the family is trusted to send messages, MSI and MSI-X, when its PCI header offers them.
    const MESSAGES: bool;

    /// Has the NIC interrupt in this way. Called with all causes masked.
    fn route<R: NicRegisters>(registers: &mut R, mode: InterruptMode);

    /// Masks all causes.
    fn mask<R: NicRegisters>(registers: &mut R);

    /// Lets through what is always of interest, and completed transmissions when `transmit` says so.
    fn unmask<R: NicRegisters>(registers: &mut R, mode: InterruptMode, transmit: bool);

    /// Masks completed transmissions.
    fn mask_transmit<R: NicRegisters>(registers: &mut R, mode: InterruptMode);

    /// Takes the causes, which clears them; `None` when nothing answers at the NIC's address.
    fn causes<R: NicRegisters>(registers: &mut R, mode: InterruptMode) -> Option<Causes>;

    /// Sets the least time between two interrupts; zero sets no limit.
    fn throttle<R: NicRegisters>(registers: &mut R, mode: InterruptMode, interval: Duration);
}
