//! The way by which a physical NIC interrupts the boot core: MSI-X, else MSI, else its line, else none.

use super::uplink::CHECK_EVERY;
use crate::hardware::acpi::Machine;
use crate::hardware::io_apic;
use crate::hardware::messages::Message;
use crate::hardware::pci::Function;
use crate::memory::Frames;
use crate::memory::window::WindowError;
use core::fmt;
use nic::{Family, InterruptMode};

/// How a card says that something has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// It raises this vector by messages.
    Messages(InterruptMode, u8),
    /// Its line, which others may share, raises this vector.
    Line { line: u8, vector: u8 },
    /// It cannot: it is asked.
    Polled,
}

impl Interrupt {
    /// The vector that it raises.
    pub fn vector(self) -> Option<u8> {
        match self {
            Self::Messages(_, vector) | Self::Line { vector, .. } => Some(vector),
            Self::Polled => None,
        }
    }

    /// Has a card of this family send messages that raise `vector`; `None` when it has none to send.
    ///
    /// # Errors
    /// When its table cannot be mapped.
    pub fn by_messages(
        frames: &mut Frames,
        function: &Function,
        family: Family,
        vector: u8,
    ) -> Result<Option<Self>, WindowError> {
        function.send_none();
        let message = Message::to_this_processor(vector).filter(|_| family.has_messages());
        let Some(message) = message else { return Ok(None) };
        let mode = if function.send_msix(frames, message, nic::MSIX_ENTRIES as u64)? {
            InterruptMode::Msix
        } else if function.send_msi(message) {
            InterruptMode::Msi
        } else {
            return Ok(None);
        };
        Ok(Some(Self::Messages(mode, vector)))
    }

    /// Routes a card's line, with the vector that it has already if one of `others` is on it.
    pub fn by_line(
        machine: &Machine,
        function: &Function,
        others: impl Iterator<Item = Self>,
        vector: u8,
    ) -> Self {
        let line = function.interrupt_line;
        let mut shared =
            others.filter(|other| matches!(other, Self::Line { line: theirs, .. } if *theirs == line));
        if let Some(shared) = shared.next() {
            return shared;
        }
        if io_apic::route_pci(machine, line, vector) {
            return Self::Line { line, vector };
        }
        log::warn!("interrupt line {line} of NIC {function} leads to no IO-APIC");
        Self::Polled
    }
}

impl fmt::Display for Interrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(mode, _) => write!(f, "{mode}"),
            Self::Line { line, .. } => write!(f, "{} line {line}", InterruptMode::Intx),
            Self::Polled => write!(f, "none, polled every {} ms", CHECK_EVERY.as_millis()),
        }
    }
}
