//! Building a VM from its configuration.

use super::Life;
use super::start::Images;
use crate::hardware::rtc;
use crate::log::view;
use crate::meeting::directory;
use crate::meeting::vnic_slot::VnicSlot;
use crate::memory::guest::GuestRam;
use crate::memory::table_frames::TableFrames;
use crate::memory::{PageFrameError, PageFrames};
use crate::processor::clock;
use crate::virt::{VirtError, VirtualCpu, offer};
use crate::vm::machine::{Identity, Vm};
use crate::vm::nics::Nics;
use crate::vm::statistics::Statistics;
use crate::vm::virtual_processor::{BOOT_VCPU, VirtualProcessor};
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::{Effects, GuestPhysical, Instant};
use config::{Bundle, Restart};
use host_memory::{GuestMap, MemoryShortage};
use nested_paging::{Format, NestedPages, PagingError};
use platform::boot::{DmiIdentity, LoadError};
use platform::layout::{self, MemoryLayout};
use platform::pc::{Pc, PcConfig};
use platform::pci::FIRST_NIC_SLOT;
use schedule::restart::{BackOff, RestartPolicy};
use shell::{Console, VmState};
use vnic::VnicFront;

/// Why a VM cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// There is not enough memory for it.
    #[error(transparent)]
    Memory(#[from] MemoryShortage),
    /// There is not enough memory for what manages it.
    #[error(transparent)]
    Frames(#[from] PageFrameError),
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
    /// Builds a VM, with its images loaded if it starts at boot: ready for its guest's first instruction then. `tag`
    /// tells its translations from those of other VMs.
    ///
    /// # Errors
    /// [`VmError`]. Other VMs get the memory that this one would have had.
    pub fn new(
        frames: &mut PageFrames,
        tag: u16,
        number: usize,
        config: &config::VmConfig,
        bundle: &Bundle<'static>,
    ) -> Result<Self, VmError> {
        let images = images(config, bundle);
        // Before anything is allocated, and whether or not it starts at boot: errors in the images are reported now.
        let entry = images.check()?;
        let address_bits = u32::from(offer::physical_bits()).min(52);
        let mut nested = NestedPages::<V::Tables>::new(&mut TableFrames(frames), address_bits)?;
        let mut cpu = V::new(frames, tag, &nested, offer::offered_cr4())?;
        let (memory, runs) = frames.with_guest_memory(config.memory_bytes, |frames, runs| {
            let map = GuestMap::new(&MemoryLayout::new(config.memory_bytes).backing(), runs);
            map_memory::<V>(frames, &mut nested, &map)?;
            Ok::<_, VmError>((GuestRam::new(map), runs.len()))
        })?;
        if config.autostart {
            images.load(&memory)?;
            cpu.set_boot_state(&entry);
        }
        log_built(config, &images, runs, entry.rip);
        let identity = Identity { number, name: config.name.clone(), shares: config.shares };
        let vnics = vnics(number, config, &memory);
        Ok(Self::assemble(identity, cpu, memory, vnics, images, policy(config.restart)))
    }

    /// Assembles a VM from its parts.
    pub(in crate::vm) fn assemble(
        identity: Identity,
        cpu: V,
        memory: GuestRam,
        vnics: (Vec<Arc<VnicSlot>>, Vec<VnicFront>),
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
                prepared: 0,
            },
            vcpu: VirtualProcessor::new(BOOT_VCPU, cpu),
            nics: Nics::new(vnics),
            memory,
            console: Console::new(view::current()),
            effects: Effects::empty(),
            statistics: Statistics::default(),
            held: None,
            unwoken_until: Instant::ZERO,
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
    let identity = &config.identity;
    Images {
        kernel: bundle.file(config.kernel),
        initrd: config.initrd.map_or(&[], |file| bundle.file(file)),
        command_line: config.command_line.clone(),
        acpi: platform::acpi::build(1),
        identity: DmiIdentity::new(identity.uuid, &identity.serial, &identity.asset_tag),
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

fn vnics(guest: usize, config: &config::VmConfig, memory: &GuestRam) -> (Vec<Arc<VnicSlot>>, Vec<VnicFront>) {
    let slots = (FIRST_NIC_SLOT..).zip(&config.vnics);
    slots.map(|(slot, vnic)| VnicSlot::new(guest, slot, vnic, memory.clone())).unzip()
}

fn log_built(config: &config::VmConfig, images: &Images, runs: usize, entry: u64) {
    if runs > 1 {
        log::info!("{}: its memory is in {runs} pieces of the machine's", config.name);
    }
    log::info!(
        "{}: {} MiB, {} {}, kernel {} KiB, initrd {} KiB, entry {entry:#x}, {} shares{}",
        config.name,
        config.memory_bytes >> 20,
        config.vnics.len(),
        if config.vnics.len() == 1 { "vNIC" } else { "vNICs" },
        images.kernel.len() >> 10,
        images.initrd.len() >> 10,
        config.shares,
        if config.autostart { "" } else { ", not started" }
    );
}

fn map_memory<V: VirtualCpu>(
    frames: &mut PageFrames,
    nested: &mut NestedPages<V::Tables>,
    memory: &GuestMap,
) -> Result<(), PagingError> {
    let (largest, kind) = (V::largest_page(), V::Tables::GUEST_MEMORY);
    // The firmware is also where the processor starts after a reset: guests jump there.
    let firmware = memory.seen_again(GuestPhysical(layout::FIRMWARE.start), layout::RESET_WINDOW);
    memory.pieces().iter().copied().chain(firmware).try_for_each(|piece| {
        nested.map(&mut TableFrames(frames), piece.guest, piece.host, piece.bytes, kind, largest)
    })
}
