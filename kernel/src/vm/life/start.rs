//! Starts a guest, for the first time or again: clears memory, loads the images, and resets everything else.
//!
//! Clearing memory takes long, so the scheduler carries out a start in steps, in the guest's own turns, and
//! charges them to the guest. No page frame is allocated: memory, nested tables and the models of the vNICs are
//! kept. A few KiB of heap are used for firmware tables and freed at once.

use super::StopReason;
use crate::meeting::directory;
use crate::memory::guest::GuestRam;
use crate::virt::VirtualCpu;
use crate::vm::Vm;
use alloc::string::String;
use base::{Effects, Instant};
use platform::acpi::AcpiTables;
use platform::boot::{BootImages, DmiIdentity, EntryState, LoadError};
use platform::pc::{Pc, PcConfig};
use shell::VmState;

/// Memory cleared in one turn: a fraction of a slice.
const STEP: u64 = 2 << 20;

/// What a guest is loaded from. The images stay in the bundle, where the loader put them.
pub struct Images {
    pub(in crate::vm) kernel: &'static [u8],
    pub(in crate::vm) initrd: &'static [u8],
    pub(in crate::vm) command_line: String,
    pub(in crate::vm) acpi: AcpiTables,
    pub(in crate::vm) identity: DmiIdentity,
    pub(in crate::vm) board: PcConfig,
}

impl Images {
    /// Puts the images into a guest's memory, which must be zero.
    pub(super) fn load(&self, memory: &GuestRam) -> Result<EntryState, LoadError> {
        platform::boot::load(memory, self.board.memory_bytes, &self.parts())
    }

    /// What [`load`](Self::load) will return.
    pub(super) fn check(&self) -> Result<EntryState, LoadError> {
        platform::boot::check(self.board.memory_bytes, &self.parts())
    }

    fn parts(&self) -> BootImages<'_> {
        BootImages {
            kernel: self.kernel,
            initrd: self.initrd,
            command_line: &self.command_line,
            acpi: &self.acpi,
            identity: &self.identity,
        }
    }
}

impl<V: VirtualCpu> Vm<V> {
    /// Begins a start, which the guest's next turns carry out.
    pub(in crate::vm) fn begin_start(&mut self) {
        self.life.start_at = None;
        self.life.cleared = 0;
        self.held = None;
        directory::forget_typed(self.identity.number);
        self.set_state(VmState::Starting);
    }

    /// One step of a start. The virtual processor must not be active.
    pub fn start_step(&mut self, now: Instant) {
        if let Some(next) = self.memory.clear(self.life.cleared, STEP) {
            self.life.cleared = next;
            return;
        }
        self.life.started = now;
        match self.life.images.load(&self.memory) {
            Ok(entry) => {
                self.reset(&entry);
                directory::count_start(self.identity.number);
                self.set_state(VmState::Running);
                log::info!("{}: started", self.identity.name);
            }
            Err(error) => self.stop(&StopReason::Images(error), now),
        }
    }

    /// Resets everything except memory to its state after power-on.
    fn reset(&mut self, entry: &EntryState) {
        self.vcpu.reset(entry);
        self.pc = Pc::new(&self.life.images.board);
        self.nics.power_cycle();
        self.effects = Effects::empty();
    }
}
