//! Starts a guest, for the first time or again: clears memory, loads the images, and resets everything else.
//!
//! Clearing and loading take long, so the scheduler carries out a start in steps, in the guest's own turns, and
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
use platform::boot::{BootImages, DmiIdentity, EntryState, LoadError, LoadStep};
use platform::pc::{Pc, PcConfig};
use shell::VmState;

/// Memory cleared in one turn: a fraction of a slice, even if a hypervisor below has to find each page first. What a guest
/// that wakes is credited comes on top.
const CLEARED: u64 = 512 << 10;
/// Bytes of images copied in one turn: fewer, because a processor may take them one by one.
const LOADED: u64 = 64 << 10;

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

    /// As [`load`](Self::load), one step of it: see [`platform::boot::load_step`].
    fn load_step(&self, memory: &GuestRam, from: u64) -> Result<LoadStep, LoadError> {
        platform::boot::load_step(memory, self.board.memory_bytes, &self.parts(), from, LOADED)
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
    pub(in crate::vm) fn begin_start(&mut self, now: Instant) {
        self.life.start_at = None;
        self.life.prepared = 0;
        self.held = None;
        // Frames of its life before may still be read from its memory, for as long as a NIC takes to be reset.
        self.nics.slots().iter().for_each(|slot| slot.await_kept());
        self.hold_for_frames(now);
        directory::forget_typed(self.identity.number);
        self.set_state(VmState::Starting);
    }

    /// One step of a start. The virtual processor must not be active.
    pub fn start_step(&mut self, now: Instant) {
        if self.nics.are_awaited() {
            return;
        }
        let prepared = self.life.prepared;
        if let Some(next) = self.memory.clear(prepared, CLEARED) {
            self.life.prepared = next;
            return;
        }
        self.life.started = now;
        match self.life.images.load_step(&self.memory, prepared - self.memory.bytes()) {
            Ok(LoadStep::Loaded(bytes)) => self.life.prepared = self.memory.bytes() + bytes,
            Ok(LoadStep::Complete(entry)) => {
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
        self.keep_console();
        self.pc = Pc::new(&self.life.images.board);
        self.nics.power_cycle();
        self.effects = Effects::empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::virt::fake::FakeCpu;
    use crate::vm::exits::tests::vm;
    use base::{GuestMemory, GuestPhysical, HostPhysical};
    use host_memory::MemoryPiece;
    use shell::VmAction;

    const MEMORY: usize = 8 << 20;
    const INITRD: usize = 5 << 20;

    /// A static executable of `hlt` and a jump back to it.
    fn kernel() -> &'static [u8] {
        const START: u64 = 0x10_0000;
        let file_header = [0x1_003e_0002, START, 64, 0, 64 << 32 | 56 << 48, 1];
        let segment = [5 << 32 | 1, 120, START, START, 3, 3, 0x1000];
        let mut kernel = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        kernel.extend(file_header.into_iter().chain(segment).flat_map(u64::to_le_bytes));
        kernel.extend([0xf4, 0xeb, 0xfd]);
        kernel.leak()
    }

    /// A VM with a large initial RAM disk, and its memory.
    fn loaded() -> (Vm<FakeCpu>, GuestRam) {
        let host = HostPhysical(vec![0_u8; MEMORY].leak().as_mut_ptr() as u64);
        let piece = MemoryPiece { guest: GuestPhysical(0), host, bytes: MEMORY as u64 };
        let memory = GuestRam::new([piece].into_iter().collect());
        let mut vm = vm();
        vm.memory = memory.clone();
        vm.life.images.kernel = kernel();
        vm.life.images.initrd = vec![7; INITRD].leak();
        vm.life.images.board.memory_bytes = MEMORY as u64;
        (vm, memory)
    }

    /// Bytes of the guest's memory that are neither 0 nor 7, and those that are 7.
    fn contents(memory: &GuestRam) -> (Vec<(usize, u8)>, usize) {
        let mut bytes = vec![0; MEMORY];
        memory.read(GuestPhysical(0), &mut bytes).unwrap();
        let initrd = bytes.iter().filter(|byte| **byte == 7).count();
        (bytes.into_iter().enumerate().filter(|(_, byte)| !matches!(byte, 0 | 7)).collect(), initrd)
    }

    fn finish(vm: &mut Vm<FakeCpu>) -> usize {
        let mut steps = 0;
        while vm.state() == VmState::Starting {
            vm.start_step(Instant::ZERO);
            steps += 1;
        }
        steps
    }

    #[test]
    fn a_start_that_is_interrupted_begins_anew() {
        let (mut vm, memory) = loaded();
        vm.begin_start(Instant::ZERO);
        assert_eq!(finish(&mut vm), 16 + 81);
        assert_eq!(vm.state(), VmState::Running);
        let whole = contents(&memory);
        assert!(whole.1 >= INITRD && !whole.0.is_empty());

        for interrupted in [1, 16, 17, 18, 96] {
            memory.write(GuestPhysical(0x20_0000), &[9; 100]).unwrap();
            vm.act(VmAction::Restart, Instant::ZERO);
            (0..interrupted).for_each(|_| vm.start_step(Instant::ZERO));
            assert_eq!(vm.state(), VmState::Starting);
            vm.act(VmAction::Stop, Instant::ZERO);
            assert_eq!(vm.state(), VmState::Stopped);
            // As if it had got further than it has.
            memory.write(GuestPhysical(0x20_0000), &[9; 100]).unwrap();
            vm.act(VmAction::Start, Instant::ZERO);
            finish(&mut vm);
            assert_eq!(vm.state(), VmState::Running);
            assert!(contents(&memory) == whole, "after {interrupted} steps");
        }
    }
}
