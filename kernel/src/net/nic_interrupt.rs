//! How a physical NIC interrupts the boot core: by MSI-X if possible, else by MSI, else by its line; else it is
//! polled.

use crate::hardware::acpi::{self, MachineInfo};
use crate::hardware::interrupt::io_apic;
use crate::hardware::interrupt::local_apic;
use crate::hardware::pci::PciFunction;
use crate::memory::PageFrames;
use crate::memory::window::{self, WindowError};
use base::Duration;
use config::MAX_NICS;
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
    Line { gsi: u32, vector: u8 },
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
        (function, functions): (&PciFunction, &[PciFunction]),
        others: impl Iterator<Item = Self>,
        vector: u8,
    ) -> Self {
        let others: heapless::Vec<Self, MAX_NICS> = others.collect();
        for wire in acpi::wires(machine, function, functions) {
            let on_it = |other: &&Self| matches!(other, Self::Line { gsi, .. } if *gsi == wire.gsi);
            if let Some(shared) = others.iter().find(on_it) {
                return *shared;
            }
            if io_apic::route(wire, vector) {
                return Self::Line { gsi: wire.gsi, vector };
            }
        }
        log::warn!(
            "NIC {function} has no interrupt: pin {}, line {} lead to no input of an IO-APIC",
            function.interrupt_pin,
            function.interrupt_line
        );
        Self::Polled
    }
}

impl fmt::Display for InterruptRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(mode, _) => write!(f, "{mode}"),
            Self::Line { gsi, .. } => write!(f, "{} on GSI {gsi}", InterruptMode::Intx),
            Self::Polled => write!(f, "none, polled every {} ms", POLL_INTERVAL.as_millis()),
        }
    }
}
