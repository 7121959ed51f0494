//! Starting the other processors: INIT, start-up, and the path from real mode to Rust [SDM3A 9.4].
//!
//! They start one after the other: the boot core fills a page below 1 MiB with code and parameters, wakes the
//! processor, and waits until it has come up. A processor that does not come up is reset again, reported in the
//! log, and not used. All of them are reset first, so that the wait after INIT is needed once.

use super::acpi::MachineInfo;
use super::counters;
use crate::hardware::interrupt::{idt, local_apic};
use crate::memory::{PAGE, PageFrames, physical, stack};
use crate::processor::cores::{self, PerCore, per_core};
use crate::processor::cpu::ThisProcessor;
use crate::processor::narrow::to_usize;
use crate::processor::{clock, cpu, descriptors};
use base::bits::{low_u16, low_u32};
use base::{Duration, HostPhysical};
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use platform::msr::IA32_PAT;
use silicon::threads::{self, Use};
use spin::{Mutex, Once};
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0, Cr3, Cr4, Cr4Flags};
use x86_64::registers::model_specific::{Efer, EferFlags};
use x86_64::structures::paging::PageTableFlags;

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
/// Page-table entries: of a table, and of a large page.
const TABLE: u64 = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).bits();
const LARGE: u64 = TABLE | PageTableFlags::HUGE_PAGE.bits();

/// Offset of [`Parameters`] in the start page; the code there contains it as well.
const PARAMETERS: u64 = 0xf00;

/// The entry point of a core that has come up. It receives the core's number and the argument of [`start_others`].
pub type CoreMain = extern "C" fn(core: usize, argument: *const ()) -> !;

/// What a processor finds in its start page. The code there depends on this layout.
// More than 12 fields: the layout is that of the code in assembly, padding included.
#[repr(C)]
struct Parameters {
    gdt_limit: u16,
    gdt_base: [u16; 2],
    _padding: [u16; 5],
    /// The temporary page tables, which map the start page at its physical address.
    cr3_low: u32,
    efer: u32,
    far_offset: u32,
    far_selector: u32,
    _padding_2: u64,
    stack: u64,
    core: u64,
    argument: u64,
    cr3: u64,
    entry: u64,
    high: u64,
    gdt: [u64; 3],
}

const _: () = assert!(offset_of!(Parameters, cr3_low) == 0x10 && offset_of!(Parameters, far_offset) == 0x18);
const _: () = assert!(offset_of!(Parameters, stack) == 0x28 && offset_of!(Parameters, high) == 0x50);
const _: () = assert!(PARAMETERS + size_of::<Parameters>() as u64 <= PAGE);

global_asm!(
    ".code16",
    "weir_startup_first:",
    "  cli",
    "  cld",
    "  movw %cs, %ax",
    "  movw %ax, %ds",
    "  lgdtl 0xf00",
    "  movl %cr4, %eax",
    "  orl $0x20, %eax", // PAE
    "  movl %eax, %cr4",
    "  movl 0xf10, %eax",
    "  movl %eax, %cr3",
    "  movl $0xc0000080, %ecx", // IA32_EFER
    "  rdmsr",
    "  orl 0xf14, %eax",
    "  wrmsr",
    "  movl %cr0, %eax",
    "  orl $0x80000001, %eax", // PG, PE: into 64-bit mode in one step
    "  movl %eax, %cr0",
    "  ljmpl *0xf18",
    ".code64",
    "weir_startup_long:",
    "  movw $0x10, %ax",
    "  movw %ax, %ds",
    "  movw %ax, %es",
    "  movw %ax, %ss",
    "  leaq weir_startup_first(%rip), %rbx",
    "  movq 0xf28(%rbx), %rsp",
    "  movq 0xf30(%rbx), %rdi",
    "  movq 0xf38(%rbx), %rsi",
    "  movq 0xf40(%rbx), %rax",
    "  movq 0xf48(%rbx), %rdx",
    "  jmpq *0xf50(%rbx)",
    "weir_startup_end:",
    // In Weir's own address range, where the temporary tables are no longer needed.
    "weir_startup_high:",
    "  movq %rax, %cr3",
    "  xorl %ebp, %ebp",
    "  pushq $0",
    "  jmpq *%rdx",
    options(att_syntax)
);

unsafe extern "C" {
    static weir_startup_first: u8;
    static weir_startup_long: u8;
    static weir_startup_end: u8;
    static weir_startup_high: u8;
}

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
        if role == Use::Run && cores::count() >= cores::MAX_CORES {
            tally.surplus += 1;
        } else if role == Use::Run && more {
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
            Ok(()) => tally.threads += usize::from(role == Use::Park),
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
    prepare(page, top, cores::BOOT_CORE, sleep, core::ptr::null());
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
    prepare(page, memory.0, core, entry, argument);
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

/// Fills the pages below 1 MiB: code and parameters, and page tables that map these pages at their physical
/// addresses, in addition to everything that Weir maps.
fn prepare(page: HostPhysical, stack: VirtAddr, core: usize, entry: CoreMain, argument: *const ()) {
    let (first, long) = (&raw const weir_startup_first, &raw const weir_startup_long);
    let end = &raw const weir_startup_end;
    let (root, flags) = Cr3::read_raw();
    let root = root.start_address().as_u64();
    let base = page.0 + PARAMETERS + offset_of!(Parameters, gdt) as u64;
    let parameters = Parameters {
        gdt_limit: 23,
        gdt_base: [low_u16(base), low_u16(base >> 16)],
        _padding: [0; 5],
        cr3_low: low_u32(page.0 + PAGE),
        efer: low_u32((EferFlags::LONG_MODE_ENABLE | Efer::read() & EferFlags::NO_EXECUTE_ENABLE).bits()),
        far_offset: low_u32(page.0 + (long as u64 - first as u64)),
        far_selector: 8,
        _padding_2: 0,
        stack: stack.as_u64(),
        core: core as u64,
        argument: argument as u64,
        cr3: root | u64::from(flags),
        entry: entry as usize as u64,
        high: &raw const weir_startup_high as u64,
        // Null, 64-bit code, data [SDM3A 3.4.5].
        gdt: [0, 0x00af_9a00_0000_ffff, 0x00cf_9200_0000_ffff],
    };
    let pointer = |offset: u64| physical::pointer(HostPhysical(page.0 + offset));
    // SAFETY: four pages that the loader reported as usable, in the direct map and never allocated to anything
    // else; the active root table is only read. The root table's first entry, which is replaced, maps nothing of
    // Weir's: what lies below 512 GiB is the loader's.
    unsafe {
        pointer(0).write_bytes(0, to_usize(4 * PAGE));
        pointer(0).copy_from_nonoverlapping(first, end as usize - first as usize);
        pointer(PARAMETERS).cast::<Parameters>().write_unaligned(parameters);
        let tables = pointer(PAGE).cast::<u64>();
        tables.copy_from_nonoverlapping(physical::pointer(HostPhysical(root)).cast(), 512);
        tables.write((page.0 + 2 * PAGE) | TABLE);
        pointer(2 * PAGE).cast::<u64>().write((page.0 + 3 * PAGE) | TABLE);
        pointer(3 * PAGE).cast::<u64>().write(LARGE);
    }
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
