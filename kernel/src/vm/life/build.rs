//! Building a VM from its configuration.

use super::Life;
use super::start::Images;
use crate::hardware::rtc;
use crate::meeting::directory;
use crate::meeting::state::VmState;
use crate::meeting::vnic_slot::VnicSlot;
use crate::memory::guest::{GuestRam, MemoryPiece};
use crate::memory::table_frames::TableFrames;
use crate::memory::{PAGE, PageFrameError, PageFrames};
use crate::processor::clock;
use crate::virt::{VirtError, VirtualCpu, offer};
use crate::vm::console::Console;
use crate::vm::machine::{Identity, Vm};
use crate::vm::nics::Nics;
use crate::vm::statistics::Statistics;
use crate::vm::virtual_processor::{BOOT_VCPU, VirtualProcessor};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::{Effects, GuestPhysical, HostPhysical, Instant};
use config::{Bundle, Restart};
use nested_paging::{Attributes, NestedPages, PagingError};
use platform::boot::LoadError;
use platform::layout::MemoryLayout;
use platform::pc::{Pc, PcConfig};
use platform::pci::FIRST_NIC_SLOT;
use schedule::restart::{BackOff, RestartPolicy};

/// Guest memory is allocated at multiples of this, so that large pages can map it.
const LARGE_PAGE: u64 = 2 << 20;

/// Why a VM cannot be built.
#[derive(Debug, thiserror::Error)]
#[error("guest {name}: {error}")]
pub struct VmError {
    name: String,
    error: BuildError,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    /// There is not enough memory for it.
    #[error(transparent)]
    Memory(#[from] PageFrameError),
    /// Its nested page tables cannot be built.
    #[error(transparent)]
    Tables(#[from] PagingError),
    /// Its virtual processor cannot be created.
    #[error(transparent)]
    Processor(#[from] VirtError),
    /// Its images do not fit, or are damaged.
    #[error(transparent)]
    Load(#[from] LoadError),
}

impl<V: VirtualCpu> Vm<V> {
    /// Builds a VM with its images loaded, ready for its guest's first instruction.
    ///
    /// # Errors
    /// [`VmError`], with the guest's name.
    pub fn new(
        frames: &mut PageFrames,
        number: usize,
        config: &config::VmConfig,
        bundle: &Bundle<'static>,
    ) -> Result<Self, VmError> {
        Self::build(frames, number, config, bundle)
            .map_err(|error| VmError { name: config.name.clone(), error })
    }

    fn build(
        frames: &mut PageFrames,
        number: usize,
        config: &config::VmConfig,
        bundle: &Bundle<'static>,
    ) -> Result<Self, BuildError> {
        let memory = guest_ram(frames, config.memory_bytes)?;
        let nested = nested_tables::<V>(frames, &memory)?;
        #[expect(clippy::cast_possible_truncation, reason = "there are at most MAX_VMS")]
        let tag = number as u16;
        let mut cpu = V::new(frames, tag, &nested, offer::offered_cr4())?;
        let images = images(config, bundle);
        // Loaded once at boot in any case: errors in the images are reported now, not at a later start.
        let entry = images.load(&memory)?;
        cpu.set_boot_state(&entry);
        log::info!(
            "{}: {} MiB, {} {}, kernel {} KiB, initrd {} KiB, entry {:#x}, {} shares{}",
            config.name,
            config.memory_bytes >> 20,
            config.vnics.len(),
            if config.vnics.len() == 1 { "vNIC" } else { "vNICs" },
            images.kernel.len() >> 10,
            images.initrd.len() >> 10,
            entry.rip,
            config.shares,
            if config.autostart { "" } else { ", not started" }
        );
        let identity = Identity { number, name: config.name.clone(), shares: config.shares };
        let slots = vnic_slots(number, config, &memory);
        Ok(Self::assemble(identity, cpu, memory, slots, images, policy(config.restart)))
    }

    /// Assembles a VM from its parts.
    pub(in crate::vm) fn assemble(
        identity: Identity,
        cpu: V,
        memory: GuestRam,
        slots: Vec<Arc<VnicSlot>>,
        images: Images,
        policy: RestartPolicy,
    ) -> Self {
        Self {
            pc: Pc::new(&images.board),
            life: Life {
                state: VmState::Stopped,
                images,
                policy,
                back_off: BackOff::default(),
                started: Instant::ZERO,
                start_at: None,
                cleared: 0,
            },
            vcpu: VirtualProcessor::new(BOOT_VCPU, cpu),
            nics: Nics::new(slots),
            memory,
            console: Console::new(),
            effects: Effects::empty(),
            statistics: Statistics::default(),
            identity,
        }
    }

    /// Switches on a VM that is loaded and was never started.
    pub fn switch_on(&mut self, now: Instant) {
        self.life.started = now;
        directory::count_start(self.identity.number);
        self.set_state(VmState::Running);
    }
}

/// The images to load, and the board that the guest finds.
fn images(config: &config::VmConfig, bundle: &Bundle<'static>) -> Images {
    #[expect(clippy::cast_possible_truncation, reason = "the configuration gives a VM at most MAX_VNICS")]
    let nics = config.vnics.len() as u8;
    Images {
        kernel: bundle.file(config.kernel),
        initrd: config.initrd.map_or(&[], |file| bundle.file(file)),
        command_line: config.command_line.clone(),
        acpi: platform::acpi::build(1),
        board: PcConfig {
            memory_bytes: config.memory_bytes,
            vcpus: 1,
            nics,
            tsc_hz: clock::hz(),
            wall_clock_unix_seconds: rtc::unix_seconds(),
        },
    }
}

fn policy(restart: Restart) -> RestartPolicy {
    match restart {
        Restart::Never => RestartPolicy::Never,
        Restart::OnCrash => RestartPolicy::OnCrash,
    }
}

fn vnic_slots(guest: usize, config: &config::VmConfig, memory: &GuestRam) -> Vec<Arc<VnicSlot>> {
    let slots = (FIRST_NIC_SLOT..).zip(&config.vnics);
    slots.map(|(slot, vnic)| Arc::new(VnicSlot::new(guest, slot, vnic, memory.clone()))).collect()
}

/// Allocates one piece of the machine's memory for each range of guest memory.
fn guest_ram(frames: &mut PageFrames, bytes: u64) -> Result<GuestRam, PageFrameError> {
    let layout = MemoryLayout::new(bytes);
    let mut pieces = heapless::Vec::new();
    for range in layout.ram().into_iter().filter(|range| !range.is_empty()) {
        let length = range.end - range.start;
        // Ranges above 1 MiB begin inside a large page of the guest. The host's piece is placed so that both have
        // the same offset in a large page.
        let skew = range.start % LARGE_PAGE;
        let host = frames.allocate(length + skew, if length < LARGE_PAGE { PAGE } else { LARGE_PAGE })?;
        let host = HostPhysical(host.0 + skew);
        // There is a place for each range.
        let _ = pieces.push(MemoryPiece { guest: GuestPhysical(range.start), host, bytes: length });
    }
    Ok(GuestRam::new(pieces))
}

fn nested_tables<V: VirtualCpu>(
    frames: &mut PageFrames,
    memory: &GuestRam,
) -> Result<NestedPages<V::Tables>, PagingError> {
    let address_bits = u32::from(offer::physical_bits());
    let mut pages = NestedPages::<V::Tables>::new(&mut TableFrames(frames), address_bits.min(52))?;
    for piece in memory.pieces() {
        pages.map(
            &mut TableFrames(frames),
            piece.guest,
            piece.host,
            piece.bytes,
            Attributes::MEMORY,
            V::largest_page(),
        )?;
    }
    Ok(pages)
}
