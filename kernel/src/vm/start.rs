//! Starting a guest, for the first time or again: memory cleared, images loaded, everything at reset.
//!
//! Clearing memory takes long, so a start is work that the scheduler does in the guest's own turns, piece by
//! piece, and that counts as the guest's time. No frame is handed out: memory and nested tables stay, and so
//! do the models of the vNICs. What the heap gives meanwhile is a few KiB of firmware tables, given back at once.

use super::Vm;
use super::directory;
use super::lifecycle::State;
use super::stop_reason::StopReason;
use crate::virt::VirtualCpu;
use alloc::string::String;
use base::{Effects, Instant};
use platform::acpi::AcpiTables;
use platform::boot::{BootImages, EntryState, LoadError};
use platform::msr::Msrs;
use platform::pc::{Pc, PcConfig};

/// Memory cleared in one turn: a fraction of a slice.
const STEP: u64 = 2 << 20;

/// What a guest is loaded from; it stays in the bundle, where the loader put it.
pub struct Images {
    pub(super) kernel: &'static [u8],
    pub(super) initrd: &'static [u8],
    pub(super) command_line: String,
    pub(super) acpi: AcpiTables,
    pub(super) board: PcConfig,
}

impl Images {
    /// Puts the images into a guest's memory, which must be zero.
    pub(super) fn load(&self, memory: &super::memory::GuestRam) -> Result<EntryState, LoadError> {
        let images = BootImages {
            kernel: self.kernel,
            initrd: self.initrd,
            command_line: &self.command_line,
            acpi: &self.acpi,
        };
        platform::boot::load(memory, self.board.memory_bytes, &images)
    }
}

impl<V: VirtualCpu> Vm<V> {
    /// From the next turn on the guest is being started.
    pub(super) fn begin_start(&mut self) {
        self.start_at = None;
        self.cleared = 0;
        self.console.forget_typed();
        self.set_state(State::Starting);
    }

    /// One piece of the start. The virtual processor must not be active.
    pub fn start_step(&mut self, now: Instant) {
        if let Some(next) = self.memory.clear(self.cleared, STEP) {
            self.cleared = next;
            return;
        }
        self.started = now;
        match self.images.load(&self.memory) {
            Ok(entry) => {
                self.reset(&entry);
                directory::count_start(self.number);
                self.set_state(State::Running);
                log::info!("{}: started", self.name);
            }
            Err(error) => self.stop(&StopReason::Images(error), now),
        }
    }

    /// Brings everything but memory to where it is after power-on.
    fn reset(&mut self, entry: &EntryState) {
        self.vcpu.reset();
        self.vcpu.set_boot_state(entry);
        self.pc = Pc::new(&self.images.board);
        self.msrs = Msrs::new(super::cpuid::policy(), super::cpuid::host_msrs());
        self.vnics.iter().for_each(|slot| slot.model().power_cycle());
        self.tsc_moved = 0;
        self.halted = false;
        self.fault = None;
        self.effects = Effects::empty();
    }
}
