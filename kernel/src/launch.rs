//! From an initialised machine to running guests: starts the other cores, builds the VMs, and gives each core its
//! own.

use crate::hardware::acpi::MachineInfo;
use crate::hardware::interrupt::local_apic;
use crate::hardware::{pci, startup};
use crate::meeting::directory;
use crate::meeting::ending::End;
use crate::memory::{PageFrames, heap};
use crate::net::{Network, discover};
use crate::processor::{clock, cores, cpu};
use crate::shell::{MachineSummary, Shell};
use crate::virt::state::extended;
use crate::virt::{self, VirtError, VirtualCpu, guards};
use crate::vm::Vm;
use crate::{boot_core, scheduler};
use alloc::boxed::Box;
use alloc::vec::Vec;
use config::{Bundle, VmConfig};
use path::PathError;
use schedule::placement::{self, PlacementRequest};
use spin::Mutex;

/// Why nothing can run.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The processor cannot host guests.
    #[error(transparent)]
    Virtualization(#[from] VirtError),
    /// The switches cannot be made.
    #[error("the network cannot be set up: {0}")]
    Network(#[from] PathError),
}

/// The machine, ready for guests.
pub struct Guests {
    /// Its memory.
    pub frames: PageFrames,
    /// What its firmware describes.
    pub machine: MachineInfo<'static>,
    /// False when an IOMMU that cannot be switched off may block the DMA of NICs.
    pub nics_reach_memory: bool,
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
    /// Guests share a core's threads.
    smt: bool,
}

impl virt::Task for Guests {
    type Output = Result<End, LaunchError>;

    fn run<V: VirtualCpu>(mut self) -> Self::Output {
        let smt = self.bundle.system().host.smt;
        guards::settle(smt);
        V::enter_operation(&mut self.frames)?;
        let parcels = [const { Mutex::new(None) }; cores::MAX_CORES];
        let shared: &'static Shared<V> =
            Box::leak(Box::new(Shared { frames: Mutex::new(self.frames), parcels, smt }));
        let entry = (enter_core::<V> as startup::CoreMain, core::ptr::from_ref(shared).cast());
        startup::start_others(&self.machine, &shared.frames, entry, smt);
        let frames = &mut shared.frames.lock();
        let system = self.bundle.system();
        // NICs first: guests may take all memory that is left.
        let mut functions = pci::enumerate();
        functions.iter().for_each(log_function);
        if !self.nics_reach_memory {
            log::error!("no NIC is used: an IOMMU may block what they read and write");
            functions.clear();
        }
        let mut uplinks = discover::find_uplinks(frames, &self.machine, &functions, system);
        let vms = build_vms::<V>(frames, &self.bundle);
        discover::await_uplinks(&mut uplinks);
        let vnics = vms.iter().flat_map(|vm| vm.nics.slots().iter().cloned()).collect();
        let network: &'static Network = Box::leak(Box::new(Network::new(uplinks, vnics, system)?));
        network.note();
        log_memory(frames, vms.iter().map(|vm| vm.memory.bytes()).sum(), self.bundle.size());
        log::info!("booted in {} ms", clock::now().as_nanos() / 1_000_000);
        let shell = Shell::new(
            system.vms.iter().map(|vm| vm.name.clone()).collect(),
            vms.first().map(Vm::number),
            MachineSummary {
                memory: frames.total(),
                memory_left: frames.left(),
                processors: self.machine.madt.processors.len().max(1),
            },
            network,
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

/// Builds the VMs of the configuration, chooses a core for each, and switches on those with autostart. A VM that cannot
/// be built is entered as unusable, and costs the others nothing.
fn build_vms<V: VirtualCpu>(frames: &mut PageFrames, bundle: &Bundle<'static>) -> Vec<Vm<V>> {
    let configs = &bundle.system().vms;
    let mut vms: Vec<Vm<V>> = Vec::new();
    for (number, config) in configs.iter().enumerate() {
        #[expect(clippy::cast_possible_truncation, reason = "there are at most MAX_VMS")]
        let tag = vms.len() as u16;
        match Vm::new(frames, tag, number, config, bundle) {
            Ok(vm) => vms.push(vm),
            Err(error) => {
                log::error!("{}: unusable: {error}", config.name);
                directory::enter_unusable(number, config, &error);
            }
        }
    }
    place(&vms, configs);
    vms.iter_mut().filter(|vm| configs[vm.number()].autostart).for_each(|vm| vm.switch_on(clock::now()));
    vms
}

/// Chooses a core for each VM, and enters it into the directory.
fn place<V: VirtualCpu>(vms: &[Vm<V>], configs: &[VmConfig]) {
    let request = |vm: &VmConfig| PlacementRequest { core: vm.cpu.map(usize::from), shares: vm.shares };
    let requests: Vec<PlacementRequest> = vms.iter().map(|vm| request(&configs[vm.number()])).collect();
    placement::place(&requests, cores::count(), |index, place| {
        let number = vms[index].number();
        let config = &configs[number];
        if let Some(missing) = place.missing {
            log::warn!("{}: core {missing} does not exist, using core {}", config.name, place.core);
        }
        directory::enter(number, config, place.core);
    });
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
    if !guards::settle(shared.smt) {
        log::error!("core {core}: another processor had this number, and has other flaws");
        startup::failed();
    }
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
