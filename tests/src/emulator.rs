//! A running machine, independent of the emulator that runs it.

use crate::backend::{Backend, Need};
use crate::bochs::Bochs;
use crate::faults::NicFault;
use crate::machine::EmulatedMachine;
use crate::qemu::Qemu;
use crate::{Failure, Outcome};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

/// A running machine. Dropping it kills the emulator.
pub enum Emulator {
    /// In Bochs.
    Bochs(Bochs),
    /// In QEMU.
    Qemu(Qemu),
}

impl Emulator {
    /// Boots a machine from an image, in a folder of its own that is kept afterwards, and returns it with its
    /// serial line. The calling thread must have entered its network namespace already.
    ///
    /// # Errors
    /// A file cannot be written, or the emulator does not start.
    pub fn start(
        backend: Backend,
        machine: &EmulatedMachine,
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

    /// Unplugs the cable of a NIC, or plugs it in.
    ///
    /// # Errors
    /// The emulator does not support it, or refuses.
    pub fn set_link(&mut self, nic: usize, up: bool) -> Outcome {
        self.qemu(Need::Cable)?.set_link(nic, up)
    }

    /// Unplugs the cable of a NIC, at the moment of a RARP from each NIC with its own address.
    ///
    /// # Errors
    /// The emulator does not support it, or refuses.
    pub fn unplug_at_mark(&mut self, nic: usize) -> Outcome {
        self.qemu(Need::Cable)?.unplug_at_mark(nic)
    }

    /// Makes a NIC faulty, or sound again. It must be on bus 0.
    ///
    /// # Errors
    /// The emulator does not support it, or refuses.
    pub fn set_fault(&mut self, nic: usize, fault: Option<NicFault>) -> Outcome {
        self.qemu(Need::NicFaults)?.set_fault(nic, fault)
    }

    /// Takes a NIC from the machine, a 440FX, while Weir drives it.
    ///
    /// # Errors
    /// The emulator does not support it, or refuses.
    pub fn remove_nic(&mut self, nic: usize) -> Outcome {
        self.qemu(Need::NicFaults)?.remove_nic(nic)
    }

    /// QEMU, for what Bochs lacks.
    fn qemu(&mut self, need: Need) -> Outcome<&mut Qemu> {
        match self {
            Self::Bochs(_) => Err(Failure::Wrong(Backend::BochsVtx.lacks(need).unwrap_or_default().into())),
            Self::Qemu(qemu) => Ok(qemu),
        }
    }

    /// Raises a machine check on a processor, with these values of IA32_MC1_STATUS and IA32_MCG_STATUS.
    ///
    /// # Errors
    /// The emulator does not support it, or refuses.
    pub fn machine_check(&mut self, cpu: u32, status: u64, global: u64) -> Outcome {
        self.qemu(Need::MachineCheck)?.machine_check(cpu, status, global)
    }

    /// Writes the contents of the screen to a file, as a portable pixmap.
    ///
    /// # Errors
    /// The emulator does not support it, or refuses.
    pub fn screenshot(&mut self, file: &Path) -> Outcome {
        self.qemu(Need::Screen)?.screenshot(file)
    }

    /// Waits until the emulated machine has powered off.
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
