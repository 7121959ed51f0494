//! Making a guest from its configuration.

use super::console::Console;
use super::memory::{GuestRam, Piece};
use super::start::Images;
use super::vnic_slot::VnicSlot;
use super::{ExitCounts, State, Vm, directory};
use crate::hardware::{clock, rtc};
use crate::memory::{FrameError, Frames};
use crate::virt::nested::Tables;
use crate::virt::{VirtError, VirtualCpu};
use alloc::sync::Arc;
use alloc::vec::Vec;
use base::{Duration, Effects, GuestPhysical, Instant};
use config::{Bundle, Restart};
use nested_paging::{Attributes, NestedPages, PagingError};
use platform::boot::LoadError;
use platform::layout::MemoryLayout;
use platform::msr::Msrs;
use platform::pc::{Pc, PcConfig};
use platform::pci::FIRST_NIC_SLOT;
use schedule::restart::{BackOff, Policy};

/// Guest memory is handed out at multiples of this, so that large pages can map it.
const LARGE_PAGE: u64 = 2 << 20;

/// Why a guest cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// Its memory cannot be had.
    #[error("guest {name}: {error}")]
    Memory {
        /// Which guest.
        name: alloc::string::String,
        /// What is missing.
        error: FrameError,
    },
    /// Its tables cannot be made.
    #[error("guest {name}: {error}")]
    Tables {
        /// Which guest.
        name: alloc::string::String,
        /// What is wrong.
        error: PagingError,
    },
    /// Its virtual processor cannot be made.
    #[error("guest {name}: {error}")]
    Processor {
        /// Which guest.
        name: alloc::string::String,
        /// What is wrong.
        error: VirtError,
    },
    /// Its images do not fit or are no images.
    #[error("guest {name}: {error}")]
    Load {
        /// Which guest.
        name: alloc::string::String,
        /// What is wrong.
        error: LoadError,
    },
}

impl<V: VirtualCpu> Vm<V> {
    /// Makes a guest, loaded and ready for its first instruction.
    ///
    /// # Errors
    /// [`VmError`], with the guest's name.
    pub fn new(
        frames: &mut Frames,
        number: usize,
        config: &config::VmConfig,
        bundle: &Bundle<'static>,
    ) -> Result<Self, VmError> {
        let name = config.name.clone();
        let bytes = config.memory_bytes;
        let memory =
            guest_ram(frames, bytes).map_err(|error| VmError::Memory { name: name.clone(), error })?;
        let nested = nested_tables::<V>(frames, &memory)
            .map_err(|error| VmError::Tables { name: name.clone(), error })?;
        let mut vcpu = V::new(frames, number as u16, &nested, super::cpuid::offered_cr4())
            .map_err(|error| VmError::Processor { name: name.clone(), error })?;
        let images = Images {
            kernel: bundle.file(config.kernel),
            initrd: config.initrd.map_or(&[], |file| bundle.file(file)),
            command_line: config.command_line.clone(),
            acpi: platform::acpi::build(1),
            board: PcConfig {
                memory_bytes: bytes,
                vcpus: 1,
                nics: config.vnics.len() as u8,
                tsc_hz: clock::hz(),
                wall_clock_unix_seconds: rtc::unix_seconds(),
            },
        };
        // Loaded once at boot in any case: what is wrong with the images is said now, not at a start later.
        let entry = images.load(&memory).map_err(|error| VmError::Load { name: name.clone(), error })?;
        vcpu.set_boot_state(&entry);
        log::info!(
            "{name}: {} MiB, {} vNICs, kernel {} KiB, initrd {} KiB, entry {:#x}, {} shares{}",
            bytes >> 20,
            config.vnics.len(),
            images.kernel.len() >> 10,
            images.initrd.len() >> 10,
            entry.rip,
            config.shares,
            if config.autostart { "" } else { ", not started" }
        );
        Ok(Self {
            number,
            name,
            state: State::Stopped,
            halted: false,
            policy: policy(config.restart),
            back_off: BackOff::default(),
            started: Instant::ZERO,
            start_at: None,
            cleared: 0,
            shares: config.shares,
            run_time: Duration::ZERO,
            vcpu,
            vnics: vnic_slots(number, config, &memory),
            memory,
            pc: Pc::new(&images.board),
            images,
            msrs: Msrs::new(super::cpuid::policy(), super::cpuid::host_msrs()),
            tsc_moved: 0,
            console: Console::new(),
            console_due: false,
            fault: None,
            effects: Effects::empty(),
            kicks: 0,
            exits: ExitCounts([(0, ""); crate::virt::exit::KINDS]),
            unmapped: 0,
            injected: 0,
            ticks_outside: 0,
            ticks_inside: 0,
            last_switch: 0,
        })
    }

    /// Switches a guest on that is loaded and was never started.
    pub fn switch_on(&mut self, now: Instant) {
        self.started = now;
        directory::count_start(self.number);
        self.set_state(State::Running);
    }
}

fn policy(restart: Restart) -> Policy {
    match restart {
        Restart::Never => Policy::Never,
        Restart::OnCrash => Policy::OnCrash,
    }
}

fn vnic_slots(guest: usize, config: &config::VmConfig, memory: &GuestRam) -> Vec<Arc<VnicSlot>> {
    let slots = (FIRST_NIC_SLOT..).zip(&config.vnics);
    slots.map(|(slot, vnic)| Arc::new(VnicSlot::new(guest, slot, vnic, memory.clone()))).collect()
}

/// One piece of the machine's memory for each range of the guest's.
fn guest_ram(frames: &mut Frames, bytes: u64) -> Result<GuestRam, FrameError> {
    let layout = MemoryLayout::new(bytes);
    let mut pieces = heapless::Vec::new();
    for range in layout.ram().into_iter().filter(|range| !range.is_empty()) {
        let length = range.end - range.start;
        // Ranges above 1 MiB begin inside a large page of the guest's; the host's piece is laid so that
        // their large pages meet.
        let skew = range.start % LARGE_PAGE;
        let host = frames.allocate(length + skew, if length < LARGE_PAGE { 4096 } else { LARGE_PAGE })?;
        let host = base::HostPhysical(host.0 + skew);
        // As many pieces as ranges.
        let _ = pieces.push(Piece { guest: GuestPhysical(range.start), host, bytes: length });
    }
    Ok(GuestRam::new(pieces))
}

fn nested_tables<V: VirtualCpu>(
    frames: &mut Frames,
    memory: &GuestRam,
) -> Result<NestedPages<V::Tables>, PagingError> {
    let address_bits = u32::from(super::cpuid::physical_bits());
    let mut pages = NestedPages::<V::Tables>::new(&mut Tables(frames), address_bits.min(52))?;
    for piece in memory.pieces() {
        pages.map(
            &mut Tables(frames),
            piece.guest,
            piece.host,
            piece.bytes,
            Attributes::MEMORY,
            V::largest_page(),
        )?;
    }
    Ok(pages)
}
