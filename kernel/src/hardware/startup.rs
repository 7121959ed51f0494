//! Starting the other processors: INIT, start-up, and what each does first in Rust [SDM3A 9.4].
//!
//! They start one after the other: the boot core fills a page below 1 MiB with code and parameters, wakes the
//! processor, and waits until it has come up. A processor that does not come up is reset again, reported in the
//! log, and not used. All of them are reset first, so that the wait after INIT is needed once.

use super::acpi::MachineInfo;
use super::{counters, start_page};
use crate::hardware::interrupt::{idt, local_apic};
use crate::memory::{PAGE, PageFrames, physical, stack};
use crate::processor::cores::{self, PerCore, per_core};
use crate::processor::cpu::ThisProcessor;
use crate::processor::{clock, cpu, descriptors};
use base::{Duration, HostPhysical};
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use platform::msr::IA32_PAT;
use silicon::threads::{self, Use};
use spin::{Mutex, Once};
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0, Cr4, Cr4Flags};

/// Bytes of a core's stack: device models are built on it when a guest is started again.
const STACK: u64 = 256 * 1024;
/// Bytes of the stack of a processor that only sleeps.
const SLEEPING_STACK: u64 = 16 * 1024;
/// Waits between INIT and start-up, and after a start-up that may have been lost [SDM3A 9.4.4.1].
const AFTER_INIT: Duration = Duration::from_millis(10);
const AFTER_STARTUP: Duration = Duration::from_millis(1);
/// Time limit for each step of a processor that has shown itself; long, as an emulator may give it little time.
pub(super) const CORE_START_TIMEOUT: Duration = Duration::from_secs(2);
/// Processors that do not start and are named; of more, only the number is.
const NAMED: usize = 4;
/// The entry point of a core that has come up. It receives the core's number and the argument of [`start_others`].
pub type CoreMain = extern "C" fn(core: usize, argument: *const ()) -> !;

/// Stages of a core's start.
const ABSENT: u8 = 0;
const ALIVE: u8 = 1;
const READY: u8 = 2;
const FAILED: u8 = 3;

static STAGE: PerCore<AtomicU8> = per_core!(AtomicU8::new(ABSENT));
/// Processors that sleep.
static PARKED: AtomicU64 = AtomicU64::new(0);
/// Exception stacks of the core that is being started.
static EXCEPTION_STACKS: AtomicU64 = AtomicU64::new(0);
/// Register values that all cores copy from the boot core.
static BOOT_REGISTERS: Once<BootRegisters> = Once::new();

/// Why a processor could not be used as a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum StartError {
    #[error("has no memory for its stacks")]
    NoMemory,
    #[error("does not start")]
    Silent,
    #[error("cannot host guests (see the line above)")]
    Unfit,
    #[error("does not come up in time")]
    Late,
    #[error("has a time-stamp counter that is {0} ticks off and cannot be corrected")]
    Counter(i64),
}

struct BootRegisters {
    cr0: u64,
    cr4: u64,
    pat: u64,
}

/// Memory for a processor that has not shown itself: the next one has it, since firmware may list hundreds that are absent.
#[derive(Default)]
struct Spare {
    /// The top of a core's stack, and its stacks for exceptions.
    core: Option<(VirtAddr, HostPhysical)>,
    /// The top of the stack of a processor that sleeps.
    sleeper: Option<VirtAddr>,
}

/// What has become of the other processors.
#[derive(Default)]
struct Tally {
    /// They have not shown themselves.
    silent: usize,
    /// They sleep, since another thread of their core runs.
    threads: usize,
    /// There are no numbers of cores left for them.
    surplus: usize,
}

impl Tally {
    fn note_asleep(&mut self, role: Use) {
        match role {
            Use::Park => self.threads += 1,
            Use::Run => self.surplus += usize::from(cores::count() >= cores::MAX_CORES),
        }
    }
}

/// Starts every processor that the firmware lists, except this one. Each runs `entry` with `argument`, but only one
/// thread of a core unless `smt` is set: the others sleep, and so do those that cannot be cores. `entry` must first call
/// [`settle`], and then [`ready`] or [`failed`] in time.
pub fn start_others(
    machine: &MachineInfo,
    frames: &Mutex<PageFrames>,
    (entry, argument): (CoreMain, *const ()),
    smt: bool,
) {
    let (me, bits) = (local_apic::id(), threads::thread_bits(&ThisProcessor));
    let reached = machine.madt.processors.iter().copied().filter(|id| local_apic::reaches(*id));
    let unreached = machine.madt.processors.len() - reached.clone().count();
    if unreached != 0 {
        log::warn!("{unreached} processors stay off: xAPIC mode does not reach ids above 254");
    }
    let others = threads::plan(reached, me, bits, smt);
    if others.is_empty() {
        return;
    }
    let low = frames.lock().low();
    let Some(page) = low else {
        log::warn!("no free memory below 640 KiB: the other processors stay off");
        return;
    };
    BOOT_REGISTERS.call_once(|| BootRegisters {
        cr0: Cr0::read_raw(),
        cr4: Cr4::read_raw(),
        pat: cpu::rdmsr(IA32_PAT),
    });
    others.iter().for_each(|(id, _)| local_apic::send_init(*id));
    wait(AFTER_INIT, || false);
    let (mut more, mut tally, mut spare) = (true, Tally::default(), Spare::default());
    for (id, role) in others.iter().copied() {
        if role == Use::Run && more && cores::count() < cores::MAX_CORES {
            let core = (cores::count(), id);
            let started = start(page, (frames, &mut spare), core, (entry, argument), tally.silent);
            let Err(error) = started.map(|()| cores::note_running(cores::count(), id)) else { continue };
            if error == StartError::Silent {
                give_up(id, &mut tally.silent);
                continue;
            }
            // What another one would need is used up or still in use.
            more = !matches!(error, StartError::NoMemory | StartError::Late);
            let others = if more { "" } else { ", and neither are further ones" };
            log::error!("processor {id} {error}: it is not used{others}");
            if error == StartError::Late {
                // It may hold a lock, which INIT would leave taken. It comes up and sleeps: no guest is given to it.
                continue;
            }
            // Whatever it is executing, from now on it waits for another start-up.
            local_apic::send_init(id);
            wait(AFTER_INIT, || false);
        }
        match park(page, (frames, &mut spare), id, tally.silent) {
            Ok(()) => tally.note_asleep(role),
            Err(StartError::Silent) => give_up(id, &mut tally.silent),
            Err(error) => log::warn!("processor {id} {error}: a machine check may reset the machine"),
        }
    }
    report(others.len(), &tally);
}

/// Says what has become of the other processors.
fn report(others: usize, &Tally { silent, threads, surplus }: &Tally) {
    if silent != 0 {
        log::warn!(
            "{silent} of {others} processors do not start: if they exist, a machine check may reset the machine"
        );
    }
    match cores::count() {
        1 => log::info!("1 core runs"),
        count => log::info!("{count} cores run"),
    }
    if surplus != 0 {
        log::warn!("{surplus} more are not used: Weir uses at most {} cores", cores::MAX_CORES);
    }
    if threads != 0 {
        log::info!("{threads} threads of theirs stay unused, unless smt = true in [host]");
    }
}

/// Leaves a processor alone that has not shown itself, one of so many.
fn give_up(id: u32, silent: &mut usize) {
    // Whatever it is executing, from now on it waits for another start-up.
    local_apic::send_init(id);
    *silent += 1;
    if *silent <= NAMED {
        log::warn!("processor {id} {}", StartError::Silent);
    }
}

/// Starts a processor that is not used, so that a machine check does not find it waiting for its start-up. It needs
/// nothing that belongs to a core: there may be any number of them.
fn park(
    page: HostPhysical,
    (frames, spare): (&Mutex<PageFrames>, &mut Spare),
    id: u32,
    silent: usize,
) -> Result<(), StartError> {
    let top = match spare.sleeper.take() {
        Some(top) => top,
        None => stack::make(&mut frames.lock(), SLEEPING_STACK).map_err(|_| StartError::NoMemory)?.1,
    };
    start_page::fill(page, top, cores::BOOT_CORE, sleep, core::ptr::null());
    let before = PARKED.load(Ordering::Relaxed);
    let awake = wake(page, id, silent, || PARKED.load(Ordering::Acquire) != before);
    spare.sleeper = awake.is_err().then_some(top);
    awake
}

/// The entry point of a processor that is not used. Machine checks reach it, too, and it goes on sleeping then.
extern "C" fn sleep(_: usize, _: *const ()) -> ! {
    set_up(cores::BOOT_CORE, true);
    PARKED.fetch_add(1, Ordering::Release);
    cpu::halt_forever()
}

/// Sends the start-up, again if it seems lost, and waits until the processor shows itself; less long if others have been
/// silent.
fn wake(page: HostPhysical, id: u32, silent: usize, alive: impl Fn() -> bool) -> Result<(), StartError> {
    local_apic::send_startup(id, page);
    if !wait(AFTER_STARTUP, &alive) {
        local_apic::send_startup(id, page);
    }
    if wait(threads::start_wait(silent), alive) { Ok(()) } else { Err(StartError::Silent) }
}

fn start(
    page: HostPhysical,
    (frames, spare): (&Mutex<PageFrames>, &mut Spare),
    (core, id): (usize, u32),
    (entry, argument): (CoreMain, *const ()),
    silent: usize,
) -> Result<(), StartError> {
    let Some(stage) = STAGE.of(core) else { return Err(StartError::NoMemory) };
    stage.store(ABSENT, Ordering::Relaxed);
    counters::prepare();
    let memory = match spare.core.take() {
        Some(memory) => memory,
        None => core_memory(&mut frames.lock()).ok_or(StartError::NoMemory)?,
    };
    EXCEPTION_STACKS.store(physical::pointer(memory.1) as u64, Ordering::Relaxed);
    start_page::fill(page, memory.0, core, entry, argument);
    wake(page, id, silent, || stage.load(Ordering::Acquire) != ABSENT)
        .inspect_err(|_| spare.core = Some(memory))?;
    counters::compare(id).map_err(StartError::Counter)?;
    let settled = wait(CORE_START_TIMEOUT, || stage.load(Ordering::Acquire) >= READY);
    match stage.load(Ordering::Acquire) {
        READY => Ok(()),
        _ if settled => Err(StartError::Unfit),
        _ => Err(StartError::Late),
    }
}

/// The top of a new stack, and stacks for exceptions.
fn core_memory(frames: &mut PageFrames) -> Option<(VirtAddr, HostPhysical)> {
    let (_, top) = stack::make(frames, STACK).ok()?;
    Some((top, frames.allocate(descriptors::STACK_BYTES, PAGE).ok()?))
}

/// Waits until `holds` returns true, but no longer than `limit`. Returns whether it did.
pub(super) fn wait(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = clock::now() + limit;
    loop {
        if holds() {
            return true;
        }
        if clock::now() >= end {
            return false;
        }
        core::hint::spin_loop();
    }
}

/// The first steps of a core in Rust: sets up the per-core state as on the boot core.
pub fn settle(core: usize) {
    set_up(core, false);
    local_apic::switch_on();
    if let Some(stage) = STAGE.of(core) {
        stage.store(ALIVE, Ordering::Release);
    }
    if !counters::answer() {
        failed();
    }
}

/// Tables and control registers.
fn set_up(core: usize, asleep: bool) {
    descriptors::load(core, VirtAddr::new(EXCEPTION_STACKS.load(Ordering::Relaxed)), asleep);
    if let Some(boot) = BOOT_REGISTERS.get() {
        // SAFETY: the values that the boot core runs with, on the same page tables. VMXE is left out: the vendor's
        // code in `virt` enables virtualization.
        unsafe {
            Cr0::write_raw(boot.cr0);
            Cr4::write_raw(boot.cr4 & !Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS.bits());
            cpu::wrmsr(IA32_PAT, boot.pat);
        }
    }
    idt::load(asleep);
}

/// Reports that this core can host guests.
pub fn ready() {
    STAGE.here().store(READY, Ordering::Release);
}

/// Reports that this core cannot host guests, for the reason in the log, and halts it.
pub fn failed() -> ! {
    STAGE.here().store(FAILED, Ordering::Release);
    cpu::halt_forever()
}
