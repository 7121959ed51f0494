//! From the loader's hand-over to the first guest instruction. The only file that names the loader.

use crate::hardware::{acpi, clock, cpu, descriptors, interrupt_controllers, interrupts, pci, power};
use crate::log::serial;
use crate::memory::{Frames, copy, heap, physical};
use crate::net::Network;
use crate::scheduler::Scheduler;
use crate::self_test;
use crate::usage;
use crate::virt::{extended, vmx};
use crate::vm::Vm;
use ::log::LevelFilter;
use alloc::vec::Vec;
use bootloader_api::config::{BootloaderConfig, Mapping};
use bootloader_api::{BootInfo, entry_point};
use config::{Bundle, LogLevel};

/// Weir's own heap: models, switch tables and batches.
const HEAP: u64 = 16 << 20;
/// Models are made on the stack before they move to the heap; a guard page follows.
const STACK: u64 = 512 * 1024;

static LOADER: BootloaderConfig = {
    let mut config = BootloaderConfig::new_default();
    config.mappings.physical_memory = Some(Mapping::Dynamic);
    config.kernel_stack_size = STACK;
    config
};

entry_point!(start, config = &LOADER);

/// Why Weir cannot start. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
enum BootError {
    #[error("the loader mapped no physical memory")]
    NoDirectMap,
    #[error(transparent)]
    Memory(#[from] crate::memory::FrameError),
    #[error(transparent)]
    Window(#[from] crate::memory::window::WindowError),
    #[error(transparent)]
    Acpi(#[from] acpi::MachineError),
    #[error("the firmware's FADT names no PM timer: Weir has nothing to measure the TSC with")]
    NoPmTimer,
    #[error(transparent)]
    Clock(#[from] clock::ClockError),
    #[error("no configuration: build the image with `boot image FILE`, which adds it as the ramdisk")]
    NoBundle,
    #[error("the configuration in the ramdisk is damaged: {0}")]
    Bundle(#[from] config::BundleError),
    #[error(transparent)]
    Virtualization(#[from] crate::virt::VirtError),
    #[error(transparent)]
    Network(#[from] crate::net::NetworkError),
    #[error(transparent)]
    Vm(#[from] crate::vm::VmError),
}

fn start(info: &'static mut BootInfo) -> ! {
    usage::begin();
    crate::log::init();
    descriptors::load();
    interrupts::load();
    match boot(info) {
        Ok(mut scheduler) => {
            scheduler.run();
            self_test::run();
        }
        Err(error) => ::log::error!("{error}"),
    }
    power::off()
}

fn boot(info: &'static mut BootInfo) -> Result<Scheduler<vmx::Vcpu>, BootError> {
    let offset = info.physical_memory_offset.into_option().ok_or(BootError::NoDirectMap)?;
    // SAFETY: the loader mapped all of physical memory there, and nothing has used the map before.
    unsafe { physical::set_direct_map(offset) };
    copy::init();
    let mut frames = Frames::new(&info.memory_regions);
    heap::init(&mut frames, HEAP)?;
    let machine = acpi::discover(info.rsdp_addr.into_option())?;
    let tsc_hz = clock::calibrate(machine.pm_timer.ok_or(BootError::NoPmTimer)?)?;
    ::log::info!("Weir {} on {}", env!("CARGO_PKG_VERSION"), processor_name().as_str());
    ::log::info!(
        "memory {} MiB usable, {} processors, TSC {}.{:03} MHz",
        frames.total() >> 20,
        machine.processors.len(),
        tsc_hz / 1_000_000,
        tsc_hz / 1000 % 1000
    );
    power::init(&machine);
    interrupt_controllers::init_local(&mut frames)?;
    let mut io_apics = interrupt_controllers::IoApics::new(&machine, &mut frames)?;
    io_apics.route_isa(&machine, serial::ISA_IRQ, interrupts::SERIAL_VECTOR);
    let functions = pci::enumerate();
    for function in &functions {
        let (msi, msix) = function.message_interrupts;
        ::log::info!(
            target: "weir::hardware::pci",
            "{function} class {:02x}{:02x} line {}{}{}",
            function.class.0,
            function.class.1,
            function.interrupt_line,
            if msi { " MSI" } else { "" },
            if msix { " MSI-X" } else { "" }
        );
    }
    extended::init();
    vmx::enter_operation(&mut frames)?;
    mmio::prepare();

    let bundle = Bundle::parse(ramdisk(info)?)?;
    let system = bundle.system();
    self_test::prepare(system.host.self_test);
    ::log::set_max_level(match system.host.log_level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
    });
    let mut vms = Vec::new();
    for (number, vm) in system.vms.iter().enumerate() {
        vms.push(Vm::new(&mut frames, number, vm, &bundle)?);
    }
    let mut network = Network::new(&mut frames, &machine, &mut io_apics, &functions, system)?;
    network.attach(&vms)?;
    log_memory(&frames, vms.iter().map(Vm::memory_bytes).sum(), info.ramdisk_len);
    ::log::info!("booted in {} ms", clock::now().as_nanos() / 1_000_000);
    Ok(Scheduler::new(vms, network))
}

/// Says who has the machine's memory.
fn log_memory(frames: &Frames, guests: u64, images: u64) {
    let (used, size) = heap::usage();
    ::log::info!(
        "memory: guests {} KiB, images {} KiB, kernel and loader {} KiB, Weir's tables, rings and heap {} KiB, left {} KiB; of the heap {} of {} KiB used",
        guests >> 10,
        images >> 10,
        (frames.loader().saturating_sub(images)) >> 10,
        (frames.total() - frames.left() - guests) >> 10,
        frames.left() >> 10,
        used >> 10,
        size >> 10
    );
}

fn ramdisk(info: &BootInfo) -> Result<&'static [u8], BootError> {
    let address = info.ramdisk_addr.into_option().ok_or(BootError::NoBundle)?;
    // SAFETY: the loader mapped the ramdisk there, reported its memory as not usable, and leaves it alone.
    Ok(unsafe { core::slice::from_raw_parts(address as *const u8, info.ramdisk_len as usize) })
}

/// The brand string [SDM2A CPUID, leaves 80000002h to 80000004h].
fn processor_name() -> heapless::String<48> {
    let mut name = heapless::String::new();
    if cpu::cpuid(0x8000_0000, 0).eax < 0x8000_0004 {
        return name;
    }
    for leaf in 0x8000_0002..=0x8000_0004u32 {
        let part = cpu::cpuid(leaf, 0);
        for byte in [part.eax, part.ebx, part.ecx, part.edx].into_iter().flat_map(u32::to_le_bytes) {
            if byte != 0 && !(byte == b' ' && (name.is_empty() || name.ends_with(' '))) {
                let _ = name.push(char::from(byte));
            }
        }
    }
    name
}
