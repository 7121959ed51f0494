//! From the loader's handover to the first guest instruction. The only file that names the loader.

use crate::hardware::interrupt::{idt, io_apic, local_apic, vectors};
use crate::hardware::{acpi, iommu, pci, power, timers};
use crate::launch::Guests;
use crate::log::{framebuffer, serial};
use crate::meeting::ending::End;
use crate::memory::page_frames::{MemoryRegion, MemoryRegionKind};
use crate::memory::{PageFrames, copy, heap, mapping, physical};
use crate::processor::narrow::to_usize;
use crate::processor::{clock, cores, cpu, descriptors};
use crate::virt::state::extended;
use crate::{panic, self_test, usage, virt};
use ::log::LevelFilter;
use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::info::MemoryRegionKind as LoaderRegionKind;
use bootloader_api::{BootInfo, entry_point};
use config::bundle::Scale;
use config::{Bundle, LogLevel};
use core::fmt::Write;
use raw_cpuid::CpuId;
use screen::FramebufferLayout;
use x86_64::VirtAddr;

/// Bytes of Weir's heap whatever is configured: most of them for the names in the firmware's tables.
const HEAP: u64 = 1600 << 10;
/// Bytes of it for a guest, for a physical NIC with its team and switch, and for a vNIC: somewhat more than each takes.
const HEAP_OF_VM: u64 = 64 << 10;
const HEAP_OF_NIC: u64 = 256 << 10;
const HEAP_OF_VNIC: u64 = 384 << 10;
/// Bytes of the boot core's stack. Device models are built there before they move to the heap; a guard page
/// follows.
const STACK: u64 = 512 * 1024;

static LOADER: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config.kernel_stack_size = STACK;
    config
};

entry_point!(start, config = &LOADER);

/// Why Weir cannot start. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error("the loader mapped no physical memory")]
    NoDirectMap,
    #[error(transparent)]
    Memory(#[from] crate::memory::PageFrameError),
    #[error(transparent)]
    Window(#[from] crate::memory::window::WindowError),
    #[error(transparent)]
    Clock(#[from] timers::NoClock),
    #[error("no configuration: build the image with `boot image FILE`, which adds it as the ramdisk")]
    NoBundle,
    #[error("the configuration in the ramdisk is damaged: {0}")]
    Bundle(#[from] config::BundleError),
    #[error(transparent)]
    Virtualization(#[from] crate::virt::VirtError),
    #[error(transparent)]
    Launch(#[from] crate::launch::LaunchError),
}

fn start(info: &'static mut BootInfo) -> ! {
    usage::begin();
    // Per-core state comes first: everything else may use it.
    descriptors::load(cores::BOOT_CORE, descriptors::boot_stacks(), false);
    idt::report_exceptions_with(panic::exception);
    idt::load(false);
    crate::log::init();
    let screen = show_log(info);
    match boot(info, screen) {
        Ok(end) => {
            self_test::run();
            match end {
                End::AllStopped | End::PowerOff => power::off(),
                End::Reboot => power::reset(),
            }
        }
        Err(error) => {
            // Halt instead of powering off, so that the reason stays readable on the screen.
            ::log::error!("{error}");
            ::log::error!("Weir cannot start: the processor halts here");
            crate::log::output::flush();
            cpu::halt_forever()
        }
    }
}

/// Shows the log on the screen, if the firmware has set one up, and warns if that is the log's only place. Returns
/// the place and the size of video memory.
fn show_log(info: &mut BootInfo) -> Option<(VirtAddr, usize)> {
    let memory = info.framebuffer.take().map(|screen| {
        let layout = screen.info();
        let layout = FramebufferLayout {
            width: layout.width,
            height: layout.height,
            line_bytes: layout.stride * layout.bytes_per_pixel,
            pixel_bytes: layout.bytes_per_pixel,
        };
        let buffer = screen.into_buffer();
        let place = (VirtAddr::from_ptr(buffer.as_ptr()), buffer.len());
        framebuffer::init(buffer, layout);
        place
    });
    if !serial::present() {
        ::log::warn!(
            "no serial port answers at 0x3f8: the log is on the screen only, and no console can be reached"
        );
    }
    memory
}

/// Sets up the machine and runs its guests until the last one has stopped.
fn boot(info: &'static mut BootInfo, screen: Option<(VirtAddr, usize)>) -> Result<End, BootError> {
    pci::quiesce_all();
    let offset = info.physical_memory_offset.into_option().ok_or(BootError::NoDirectMap)?;
    // SAFETY: the loader mapped all of physical memory there, and nothing has used the map before.
    unsafe { physical::set_direct_map(offset) };
    if let Some((start, bytes)) = screen {
        mapping::combine_writes(start, bytes);
    }
    copy::init();
    let mut frames = PageFrames::new(memory_regions(info));
    heap::init(&mut frames, heap_bytes(Scale::read(ramdisk(info).unwrap_or(&[]))))?;
    let bundle = ramdisk(info).and_then(|bytes| Ok(Bundle::parse(bytes)?));
    if let Ok(bundle) = &bundle {
        set_up_log(bundle.system().host.log_level);
    }
    let machine = acpi::discover(info.rsdp_addr.into_option());
    let tsc = timers::tsc_frequency(&machine, &mut frames)?;
    clock::start(tsc.hz);
    // [SDM2A CPUID, leaves 80000002h to 80000004h]
    let brand = CpuId::new().get_processor_brand_string();
    let mut name = heapless::String::<48>::new();
    for word in brand.iter().flat_map(|brand| brand.as_str().split_whitespace()) {
        // The words have room: the string that they come from has 48 bytes.
        let _ = write!(name, "{}{word}", if name.is_empty() { "" } else { " " });
    }
    // Tables that cannot be read list none.
    let processors = machine.madt.processors.len().max(1);
    ::log::info!("Weir {} on {name}", env!("CARGO_PKG_VERSION"));
    ::log::info!(
        "memory {} MiB usable, {} processor{}, TSC {}.{:03} MHz",
        frames.total() >> 20,
        processors,
        if processors == 1 { "" } else { "s" },
        tsc.hz / 1_000_000,
        tsc.hz / 1000 % 1000
    );
    ::log::info!("TSC frequency {tsc}");
    power::init(&machine, &mut frames);
    let nics_reach_memory = iommu::switch_off(&machine, &mut frames);
    local_apic::init_local(&machine, &mut frames)?;
    io_apic::init(&machine, &mut frames)?;
    io_apic::route(machine.isa_wire(serial::ISA_IRQ), vectors::SERIAL_VECTOR);
    extended::init();
    mmio::prepare();
    let bundle = bundle?;
    self_test::prepare(bundle.system().host.self_test);
    Ok(virt::with_this_machine(Guests { frames, machine, nics_reach_memory, bundle })??)
}

/// From here on the log waits for the serial line only if all of it is wanted: then its last line shows where boot stopped.
fn set_up_log(level: LogLevel) {
    ::log::set_max_level(match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    });
    if level != LogLevel::Debug {
        crate::log::hurry();
    }
}

/// What the heap needs for a configuration.
fn heap_bytes(Scale { vms, nics, vnics }: Scale) -> u64 {
    HEAP + HEAP_OF_VM * u64::from(vms) + HEAP_OF_NIC * u64::from(nics) + HEAP_OF_VNIC * u64::from(vnics)
}

/// What the loader's memory map says of the regions that concern Weir.
fn memory_regions(info: &BootInfo) -> impl Iterator<Item = MemoryRegion> {
    info.memory_regions.iter().filter_map(|region| {
        let kind = match region.kind {
            LoaderRegionKind::Usable => MemoryRegionKind::Usable,
            LoaderRegionKind::Bootloader => MemoryRegionKind::Bootloader,
            _ => return None,
        };
        Some(MemoryRegion { start: region.start, end: region.end, kind })
    })
}

fn ramdisk(info: &BootInfo) -> Result<&'static [u8], BootError> {
    let address = info.ramdisk_addr.into_option().ok_or(BootError::NoBundle)?;
    // SAFETY: the loader mapped the ramdisk there, reported its memory as not usable, and never changes it.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, to_usize(info.ramdisk_len)) })
}
