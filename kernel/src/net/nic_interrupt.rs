//! How a physical NIC interrupts the boot core: by MSI-X if possible, else by MSI, else by its line; else it is
//! polled.

use crate::hardware::acpi::MachineInfo;
use crate::hardware::interrupt::io_apic;
use crate::hardware::interrupt::local_apic;
use crate::hardware::pci::PciFunction;
use crate::memory::PageFrames;
use crate::memory::window::{self, WindowError};
use base::Duration;
use core::fmt;
use nic::{Family, InterruptMode};
use pci::MsiMessage;

/// How often a NIC is polled for link, transmit hang and statistics, and for interrupt causes if it cannot
/// interrupt.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How a NIC interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InterruptRoute {
    /// By messages, which raise this vector.
    Messages(InterruptMode, u8),
    /// By its line, which other NICs may share and which raises this vector.
    Line { line: u8, vector: u8 },
    /// Not at all: it is polled.
    Polled,
}

impl InterruptRoute {
    /// The vector that it raises.
    pub(super) fn vector(self) -> Option<u8> {
        match self {
            Self::Messages(_, vector) | Self::Line { vector, .. } => Some(vector),
            Self::Polled => None,
        }
    }

    /// Makes a NIC of this family send messages that raise `vector`; `None` if it has no message interrupts.
    ///
    /// # Errors
    /// When its table cannot be mapped.
    pub(super) fn by_messages(
        frames: &mut PageFrames,
        function: &PciFunction,
        family: Family,
        vector: u8,
    ) -> Result<Option<Self>, WindowError> {
        function.send_none();
        let message = MsiMessage::to_processor(local_apic::id(), vector).filter(|_| family.has_messages());
        let Some(message) = message else { return Ok(None) };
        let mode = if let Some((at, bytes)) = function.msix_table(nic::MSIX_ENTRIES as u64) {
            let mut table = window::map(frames, at, bytes)?;
            function.send_msix(message, nic::MSIX_ENTRIES, |offset, value| table.write(offset, value));
            InterruptMode::Msix
        } else if function.send_msi(message) {
            InterruptMode::Msi
        } else {
            return Ok(None);
        };
        Ok(Some(Self::Messages(mode, vector)))
    }

    /// Routes a NIC's interrupt line, with the vector of the line if one of `others` is on it already.
    pub(super) fn by_line(
        machine: &MachineInfo,
        function: &PciFunction,
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
        log::warn!("interrupt line {line} of NIC {function} is wired to no IO-APIC");
        Self::Polled
    }
}

impl fmt::Display for InterruptRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(mode, _) => write!(f, "{mode}"),
            Self::Line { line, .. } => write!(f, "{} line {line}", InterruptMode::Intx),
            Self::Polled => write!(f, "none, polled every {} ms", POLL_INTERVAL.as_millis()),
        }
    }
}
