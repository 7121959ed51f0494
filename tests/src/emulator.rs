//! A running machine, whichever emulator runs it.

use crate::backend::{Backend, Need};
use crate::bochs::Bochs;
use crate::machine::Machine;
use crate::qemu::Qemu;
use crate::{Failure, Outcome};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// A running machine. Dropping it ends it.
pub enum Emulator {
    /// In Bochs.
    Bochs(Bochs),
    /// In QEMU.
    Qemu(Qemu),
}

impl Emulator {
    /// Starts a machine from an image, in a folder of its own that is kept afterwards, and returns it with its
    /// serial line. The calling thread must have its network already.
    ///
    /// # Errors
    /// A file cannot be written, or the emulator does not start.
    pub fn start(
        backend: Backend,
        machine: &Machine,
        image: &Path,
        folder: &Path,
    ) -> Outcome<(Self, TcpStream)> {
        let cpu_model = machine.cpu_model.unwrap_or(backend.cpu_model());
        match backend.accelerator() {
            None => Bochs::start(machine, cpu_model, image, folder)
                .map(|(bochs, serial)| (Self::Bochs(bochs), serial)),
            Some(accelerator) => Qemu::start(machine, accelerator, cpu_model, image, folder)
                .map(|(qemu, serial)| (Self::Qemu(qemu), serial)),
        }
    }

    /// Pulls the cable of a card, or puts it back.
    ///
    /// # Errors
    /// The emulator cannot, or refuses.
    pub fn set_link(&mut self, card: usize, up: bool) -> Outcome {
        match self {
            Self::Bochs(_) => {
                Err(Failure::Wrong(Backend::BochsVtx.lacks(Need::Cable).unwrap_or_default().into()))
            }
            Self::Qemu(qemu) => qemu.set_link(card, up),
        }
    }

    /// Writes what the screen shows into a file, as a portable pixmap.
    ///
    /// # Errors
    /// The emulator cannot, or refuses.
    pub fn screenshot(&mut self, file: &Path) -> Outcome {
        match self {
            Self::Bochs(_) => {
                Err(Failure::Wrong(Backend::BochsVtx.lacks(Need::Screen).unwrap_or_default().into()))
            }
            Self::Qemu(qemu) => qemu.screenshot(file),
        }
    }

    /// Waits until the emulated machine has switched itself off.
    ///
    /// # Errors
    /// It still runs after `limit`, or the emulator ended for another reason.
    pub fn wait_for_power_off(&mut self, limit: Duration) -> Outcome {
        match self {
            Self::Bochs(bochs) => bochs.wait_for_power_off(limit),
            Self::Qemu(qemu) => qemu.wait_for_power_off(limit),
        }
    }
}
