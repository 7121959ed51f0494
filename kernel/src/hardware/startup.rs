//! Starting the other processors: INIT, start-up, and the way from real mode to Rust [SDM3A 9.4].
//!
//! One after the other: the boot core fills a page below 1 MiB with code and what the processor needs to know,
//! wakes it, and waits until it has come up. One that does not is reset again, named in the log, and left out.

use super::acpi::MachineInfo;
use crate::hardware::interrupt::{idt, local_apic};
use crate::memory::{PAGE, PageFrames, physical, stack};
use crate::processor::cores::{self, PerCore, per_core};
use crate::processor::{clock, cpu, descriptors};
use base::{Duration, HostPhysical};
use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use spin::{Mutex, Once};
use x86_64::VirtAddr;
use x86_64::registers::control::{Cr0, Cr3, Cr4, Cr4Flags};
use x86_64::registers::model_specific::Efer;

/// Stack of a core: models are made on it when a guest is started again.
const STACK: u64 = 256 * 1024;
/// Between INIT and start-up, and after a start-up that may have been lost [SDM3A 9.4.4.1].
const AFTER_INIT: Duration = Duration::from_millis(10);
const AFTER_STARTUP: Duration = Duration::from_millis(1);
/// Until a processor must have come up; an emulator may give it little time.
const PATIENCE: Duration = Duration::from_secs(2);
/// Rounds of comparing time-stamp counters.
const ROUNDS: u64 = 16;
/// Counters that differ by less are one: it takes longer to tell another core.
const TOLERANCE_NANOS: u64 = 1000;

const EFER_LME: u64 = 1 << 8;
const EFER_NXE: u64 = 1 << 11;
const IA32_PAT: u32 = 0x277;
/// Page-table entries: present, writable; and with a large page.
const TABLE: u64 = 0b11;
const LARGE: u64 = TABLE | 1 << 7;

/// Where [`Parameters`] are in the page of the first steps; the code there knows it.
const PARAMETERS: u64 = 0xf00;

/// What runs on a core that has come up, with its number and what was given for it.
pub type CoreMain = extern "C" fn(core: usize, argument: *const ()) -> !;

/// What a processor finds in its first page. The code depends on this layout.
// More than 12 fields: the layout is that of the code in assembly, padding included.
#[repr(C)]
struct Parameters {
    gdt_limit: u16,
    gdt_base: [u16; 2],
    _padding: [u16; 5],
    /// Low tables, which map the page where it is.
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
    "  orl $0x80000001, %eax", // PG, PE: to 64-bit mode in one step
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
    // In Weir's own address range: the low tables can go.
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

/// How far a core has come.
const ABSENT: u8 = 0;
const ALIVE: u8 = 1;
const READY: u8 = 2;
const FAILED: u8 = 3;

static STAGE: PerCore<AtomicU8> = per_core!(AtomicU8::new(ABSENT));
/// Stacks for exceptions of a core that is being started.
static EXCEPTION_STACKS: AtomicU64 = AtomicU64::new(0);
/// What all cores take over from the boot core.
static BOOT_REGISTERS: Once<BootRegisters> = Once::new();
/// Comparing time-stamp counters: the round, and the other core's counter in it.
static ROUND: AtomicU64 = AtomicU64::new(0);
static ANSWER: AtomicU64 = AtomicU64::new(0);

/// Why a processor did not become a core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum StartError {
    #[error("finds no memory for its stacks")]
    NoMemory,
    #[error("does not start")]
    Silent,
    #[error("cannot host guests, as the line above tells")]
    Unfit,
    #[error("does not come up in time")]
    Late,
}

impl StartError {
    /// True when no other processor can be tried: what the next core would use is used up, or in use.
    fn is_final(self) -> bool {
        self != Self::Silent
    }
}

struct BootRegisters {
    cr0: u64,
    cr4: u64,
    pat: u64,
}

/// Starts every processor that the firmware names besides this one. Each runs `entry` with `argument`, which must
/// call [`settle`] first and [`ready`] or [`failed`] in time.
pub fn start_others(machine: &MachineInfo, frames: &Mutex<PageFrames>, entry: CoreMain, argument: *const ()) {
    let me = local_apic::id();
    let others = machine.processors.iter().copied().filter(|id| *id != me);
    if others.clone().next().is_none() {
        return;
    }
    let low = frames.lock().low();
    let Some(page) = low else {
        log::warn!("no memory below 640 KiB is free: the other processors stay off");
        return;
    };
    BOOT_REGISTERS.call_once(|| BootRegisters {
        cr0: Cr0::read_raw(),
        cr4: Cr4::read_raw(),
        pat: cpu::rdmsr(IA32_PAT),
    });
    for id in others {
        let core = cores::count();
        if core == cores::MAX_CORES {
            log::warn!("processor {id} stays off: Weir uses {} cores at most", cores::MAX_CORES);
            continue;
        }
        match start(page, frames, (core, id), entry, argument) {
            Ok(()) => cores::note_running(core, id),
            Err(error) => {
                // Whatever it does: it waits for another start-up from now on.
                local_apic::send_init(id);
                log::error!("processor {id} {error}: it stays off");
                if error.is_final() {
                    log::error!("further processors are not started");
                    break;
                }
            }
        }
    }
    log::info!("{} cores run", cores::count());
}

fn start(
    page: HostPhysical,
    frames: &Mutex<PageFrames>,
    (core, id): (usize, u32),
    entry: CoreMain,
    argument: *const (),
) -> Result<(), StartError> {
    let Some(stage) = STAGE.of(core) else { return Err(StartError::NoMemory) };
    stage.store(ABSENT, Ordering::Relaxed);
    ROUND.store(0, Ordering::Relaxed);
    ANSWER.store(0, Ordering::Relaxed);
    let stacks = {
        let mut frames = frames.lock();
        let stack = stack::make(&mut frames, STACK);
        stack.ok().zip(frames.allocate(descriptors::STACK_BYTES, PAGE).ok())
    };
    let Some(((_, top), exceptions)) = stacks else { return Err(StartError::NoMemory) };
    EXCEPTION_STACKS.store(physical::pointer(exceptions) as u64, Ordering::Relaxed);
    prepare(page, top, core, entry, argument);
    local_apic::send_init(id);
    wait(AFTER_INIT, || false);
    local_apic::send_startup(id, page);
    let alive = || stage.load(Ordering::Acquire) != ABSENT;
    if !wait(AFTER_STARTUP, alive) {
        local_apic::send_startup(id, page);
    }
    if !wait(PATIENCE, alive) {
        return Err(StartError::Silent);
    }
    compare_counters(id);
    let settled = wait(PATIENCE, || stage.load(Ordering::Acquire) >= READY);
    match stage.load(Ordering::Acquire) {
        READY => Ok(()),
        _ if settled => Err(StartError::Unfit),
        _ => Err(StartError::Late),
    }
}

/// Fills the low pages: code and parameters, and tables that map them where they are beside all that Weir maps.
fn prepare(page: HostPhysical, stack: VirtAddr, core: usize, entry: CoreMain, argument: *const ()) {
    let (first, long) = (&raw const weir_startup_first, &raw const weir_startup_long);
    let end = &raw const weir_startup_end;
    let (root, flags) = Cr3::read_raw();
    let root = root.start_address().as_u64();
    let base = page.0 + PARAMETERS + offset_of!(Parameters, gdt) as u64;
    let parameters = Parameters {
        gdt_limit: 23,
        gdt_base: [base as u16, (base >> 16) as u16],
        _padding: [0; 5],
        cr3_low: (page.0 + PAGE) as u32,
        efer: (EFER_LME | Efer::read_raw() & EFER_NXE) as u32,
        far_offset: page.0 as u32 + (long as usize - first as usize) as u32,
        far_selector: 8,
        _padding_2: 0,
        stack: stack.as_u64(),
        core: core as u64,
        argument: argument as u64,
        cr3: root | u64::from(flags),
        entry: entry as usize as u64,
        high: &raw const weir_startup_high as u64,
        // Nothing, 64-bit code, data [SDM3A 3.4.5].
        gdt: [0, 0x00af_9a00_0000_ffff, 0x00cf_9200_0000_ffff],
    };
    let pointer = |offset: u64| physical::pointer(HostPhysical(page.0 + offset));
    // SAFETY: four pages that the loader reported as usable, in the direct map and handed out to nobody; the
    // active root table is only read. Weir's own range does not begin with the table's first entry, which is
    // replaced: the code below 512 GiB is the loader's.
    unsafe {
        pointer(0).write_bytes(0, 4 * PAGE as usize);
        pointer(0).copy_from_nonoverlapping(first, end as usize - first as usize);
        pointer(PARAMETERS).cast::<Parameters>().write_unaligned(parameters);
        let tables = pointer(PAGE).cast::<u64>();
        tables.copy_from_nonoverlapping(physical::pointer(HostPhysical(root)).cast(), 512);
        tables.write((page.0 + 2 * PAGE) | TABLE);
        pointer(2 * PAGE).cast::<u64>().write((page.0 + 3 * PAGE) | TABLE);
        pointer(3 * PAGE).cast::<u64>().write(LARGE);
    }
}

/// Waits until something holds, but no longer than `limit`; true when it does.
fn wait(limit: Duration, mut holds: impl FnMut() -> bool) -> bool {
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

/// Compares the time-stamp counter of a core that is in [`settle`] with this one's. All of Weir's time rests on
/// them being one; when they are not, the log says by how much.
fn compare_counters(id: u32) {
    let mut off = 0;
    for round in 1..=ROUNDS {
        let before = cpu::rdtsc();
        ROUND.store(round, Ordering::Release);
        let answer = || ANSWER.load(Ordering::Acquire);
        if !wait(PATIENCE, || answer() != 0) {
            break;
        }
        let (other, after) = (ANSWER.swap(0, Ordering::AcqRel), cpu::rdtsc());
        // The other core has read its counter in between.
        off = off.max(before.saturating_sub(other)).max(other.saturating_sub(after));
    }
    ROUND.store(u64::MAX, Ordering::Release);
    if off > clock::ticks(TOLERANCE_NANOS) {
        log::warn!(
            "the time-stamp counter of processor {id} is off by {off} ticks: guests on it tell wrong times"
        );
    }
}

fn answer_comparison() {
    let start = clock::now();
    let mut last = 0;
    while last != u64::MAX && clock::now() < start + PATIENCE {
        let round = ROUND.load(Ordering::Acquire);
        if round != last && round != 0 {
            last = round;
            if round != u64::MAX {
                ANSWER.store(cpu::rdtsc(), Ordering::Release);
            }
        }
    }
}

/// The first steps of a core in Rust: everything that each core has for itself, as the boot core has it.
pub fn settle(core: usize) {
    descriptors::load(core, VirtAddr::new(EXCEPTION_STACKS.load(Ordering::Relaxed)));
    if let Some(boot) = BOOT_REGISTERS.get() {
        // SAFETY: the values that the boot core runs with, on the same tables. Virtualization is switched on by
        // its vendor.
        unsafe {
            Cr0::write_raw(boot.cr0);
            Cr4::write_raw(boot.cr4 & !Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS.bits());
            cpu::wrmsr(IA32_PAT, boot.pat);
        }
    }
    idt::load();
    local_apic::switch_on();
    if let Some(stage) = STAGE.of(core) {
        stage.store(ALIVE, Ordering::Release);
    }
    answer_comparison();
}

/// This core can host guests.
pub fn ready() {
    STAGE.here().store(READY, Ordering::Release);
}

/// This core cannot host guests, as the log tells: it halts.
pub fn failed() -> ! {
    STAGE.here().store(FAILED, Ordering::Release);
    cpu::halt_forever()
}
