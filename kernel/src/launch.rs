//! From an initialised machine to running guests: starts the other cores, builds the VMs, and gives each core its
//! own.

use crate::hardware::acpi::MachineInfo;
use crate::hardware::interrupt::local_apic;
use crate::hardware::{pci, startup};
use crate::meeting::directory;
use crate::meeting::ending::End;
use crate::memory::{PageFrames, heap};
use crate::net::{Network, NetworkError, discover};
use crate::processor::{clock, cores, cpu};
use crate::shell::{MachineSummary, Shell};
use crate::virt::state::extended;
use crate::virt::{self, VirtError, VirtualCpu};
use crate::vm::{Vm, VmError};
use crate::{boot_core, scheduler};
use alloc::boxed::Box;
use alloc::vec::Vec;
use config::{Bundle, System};
use schedule::placement::{self, PlacementRequest};
use spin::Mutex;

/// Why no guest can run. Each message says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The processor cannot host guests.
    #[error(transparent)]
    Virtualization(#[from] VirtError),
    /// The network cannot be set up.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A VM cannot be built.
    #[error(transparent)]
    Vm(#[from] VmError),
}

/// The machine, ready for guests.
pub struct Guests {
    /// Its memory.
    pub frames: PageFrames,
    /// What its firmware describes.
    pub machine: MachineInfo,
    /// Configuration and images.
    pub bundle: Bundle<'static>,
}

/// What a core receives to run.
struct Parcel<V: VirtualCpu> {
    vms: Vec<Vm<V>>,
    network: &'static Network,
}

/// What the boot core shares with the cores that it starts.
struct Shared<V: VirtualCpu> {
    frames: Mutex<PageFrames>,
    parcels: [Mutex<Option<Parcel<V>>>; cores::MAX_CORES],
}

impl virt::Task for Guests {
    type Output = Result<End, LaunchError>;

    fn run<V: VirtualCpu>(mut self) -> Self::Output {
        V::enter_operation(&mut self.frames)?;
        let parcels = [const { Mutex::new(None) }; cores::MAX_CORES];
        let shared: &'static Shared<V> =
            Box::leak(Box::new(Shared { frames: Mutex::new(self.frames), parcels }));
        startup::start_others(
            &self.machine,
            &shared.frames,
            enter_core::<V>,
            core::ptr::from_ref(shared).cast(),
        );
        let frames = &mut shared.frames.lock();
        let system = self.bundle.system();
        let vms = build_vms::<V>(frames, &self.bundle)?;
        let functions = pci::enumerate();
        functions.iter().for_each(log_function);
        let uplinks = discover::find_uplinks(frames, &self.machine, &functions, system);
        let vnics = vms.iter().flat_map(|vm| vm.nics.slots().iter().cloned()).collect();
        let network: &'static Network = Box::leak(Box::new(Network::new(uplinks, vnics, system)?));
        log_memory(frames, vms.iter().map(|vm| vm.memory.bytes()).sum(), self.bundle.size());
        log::info!("booted in {} ms", clock::now().as_nanos() / 1_000_000);
        let shell = Shell::new(
            system.vms.iter().map(|vm| vm.name.clone()).collect(),
            MachineSummary {
                memory: frames.total(),
                memory_left: frames.left(),
                processors: self.machine.processors.len(),
            },
        );
        let mine = hand_out(shared, vms, network);
        crate::log::leave_to_main_loop();
        Ok(boot_core::run(mine, network, shell))
    }
}

/// Logs how the machine's memory is used.
fn log_memory(frames: &PageFrames, guests: u64, images: u64) {
    let (used, size) = heap::usage();
    log::info!(
        "memory: guests {} KiB, images {} KiB, kernel and loader {} KiB, Weir's tables, rings and heap {} KiB, left {} KiB; of the heap {} of {} KiB used",
        guests >> 10,
        images >> 10,
        frames.loader().saturating_sub(images) >> 10,
        (frames.total() - frames.left() - guests) >> 10,
        frames.left() >> 10,
        used >> 10,
        size >> 10
    );
}

fn log_function(function: &pci::PciFunction) {
    let (msi, msix) = function.message_interrupts;
    log::info!(
        target: "weir::hardware::pci",
        "{function} class {:02x}{:02x} line {}{}{}",
        function.class.0,
        function.class.1,
        function.interrupt_line,
        if msi { " MSI" } else { "" },
        if msix { " MSI-X" } else { "" }
    );
}

/// Builds the VMs of the configuration, chooses a core for each, and switches on those with autostart.
fn build_vms<V: VirtualCpu>(
    frames: &mut PageFrames,
    bundle: &Bundle<'static>,
) -> Result<Vec<Vm<V>>, VmError> {
    let system: &System = bundle.system();
    let requests: Vec<PlacementRequest> = system
        .vms
        .iter()
        .map(|vm| PlacementRequest { core: vm.cpu.map(usize::from), shares: vm.shares })
        .collect();
    placement::place(&requests, cores::count(), |number, place| {
        let config = &system.vms[number];
        if let Some(missing) = place.missing {
            log::warn!("{}: core {missing} does not exist, using core {}", config.name, place.core);
        }
        directory::enter(number, config, place.core);
    });
    let mut vms = Vec::new();
    for (number, config) in system.vms.iter().enumerate() {
        let mut vm = Vm::<V>::new(frames, number, config, bundle)?;
        if config.autostart {
            vm.switch_on(clock::now());
        }
        vms.push(vm);
    }
    Ok(vms)
}

/// Gives each core its VMs, and returns those of this core.
fn hand_out<V: VirtualCpu>(
    shared: &'static Shared<V>,
    vms: Vec<Vm<V>>,
    network: &'static Network,
) -> Vec<Vm<V>> {
    let mut lots: Vec<Vec<Vm<V>>> = (0..cores::count()).map(|_| Vec::new()).collect();
    for mut vm in vms {
        let core = directory::summary(vm.number()).map_or(cores::BOOT_CORE, |known| known.core);
        vm.vcpu.cpu.leave_core();
        lots[core].push(vm);
    }
    let mut lots = lots.into_iter();
    let mine = lots.next().unwrap_or_default();
    for (core, vms) in (cores::BOOT_CORE + 1..).zip(lots) {
        *shared.parcels[core].lock() = Some(Parcel { vms, network });
        local_apic::wake(core);
    }
    mine
}

/// Runs on every core other than the boot core, from its start on.
extern "C" fn enter_core<V: VirtualCpu>(core: usize, argument: *const ()) -> ! {
    startup::settle(core);
    extended::init();
    // SAFETY: the boot core passed a reference of this type to a value that it keeps for ever. The VMs in it are
    // not `Send`, but are handed over whole: no other core keeps any part of them.
    let shared: &'static Shared<V> = unsafe { &*argument.cast() };
    let entered = V::enter_operation(&mut shared.frames.lock());
    if let Err(error) = entered {
        log::error!("core {core}: {error}");
        startup::failed();
    }
    startup::ready();
    let parcel = loop {
        if let Some(parcel) = shared.parcels[core].lock().take() {
            break parcel;
        }
        // The boot core wakes this one when the parcel is there.
        cpu::wait_for_interrupt();
    };
    scheduler::run(parcel.vms, parcel.network);
    cpu::halt_forever()
}
