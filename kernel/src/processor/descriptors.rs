//! GDT and TSS: flat 64-bit segments, and separate stacks for NMI, double fault and machine check, which can
//! occur when the current stack cannot be trusted.

use crate::processor::cores::{self, PerCore, per_core};
use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, FS, GS, SS, Segment};
use x86_64::instructions::tables::{load_tss, sgdt};
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

/// Interrupt-stack-table slot for NMIs. Slots count from zero here and from one in the IDT's gates.
pub const NMI_STACK: u8 = 0;
/// Slot for double faults.
pub const DOUBLE_FAULT_STACK: u8 = 1;
/// Slot for machine checks.
pub const MACHINE_CHECK_STACK: u8 = 2;

/// Bytes of each of these stacks.
const STACK: usize = 16 * 1024;
/// Number of these stacks per core.
const STACKS: usize = 3;
/// Bytes that [`load`] needs for the stacks of a core.
pub const STACK_BYTES: u64 = (STACKS * STACK) as u64;

#[repr(align(16))]
struct Stack(#[expect(dead_code, reason = "used by the processor only")] [u8; STACK]);

/// The boot core's stacks: it needs them before memory can be allocated.
static mut BOOT_STACKS: [Stack; STACKS] = [const { Stack([0; STACK]) }; STACKS];

/// The busy bit in the lower half of a TSS descriptor [SDM3A 8.2.3].
const BUSY: u64 = 1 << 41;

struct DescriptorTables {
    gdt: GlobalDescriptorTable,
    code: SegmentSelector,
    data: SegmentSelector,
    task: SegmentSelector,
}

static TASKS: PerCore<Once<TaskStateSegment>> = per_core!(Once::new());
static TABLES: PerCore<Once<DescriptorTables>> = per_core!(Once::new());

/// Start of the boot core's stacks.
pub fn boot_stacks() -> VirtAddr {
    VirtAddr::from_ptr(&raw const BOOT_STACKS)
}

/// Loads the tables on this processor and makes it core `core`, below [`cores::MAX_CORES`]. Its stacks take up
/// [`STACK_BYTES`] from `stacks` on. A processor that only sleeps borrows the boot core's tables and number: it is
/// `asleep`, and has no TSS.
pub fn load(core: usize, stacks: VirtAddr, asleep: bool) {
    let (Some(task), Some(tables)) = (TASKS.of(core), TABLES.of(core)) else { return };
    let task = task.call_once(|| {
        let mut task = TaskStateSegment::new();
        let mut tops = task.interrupt_stack_table;
        for (top, index) in tops.iter_mut().zip(1..=STACKS) {
            *top = stacks + (index * STACK) as u64;
        }
        task.interrupt_stack_table = tops;
        task
    });
    let tables = tables.call_once(|| {
        let mut gdt = GlobalDescriptorTable::new();
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(task));
        DescriptorTables { gdt, code, data, task }
    });
    tables.gdt.load();
    // SAFETY: the selectors name flat segments of the table just loaded, which is never dropped; processors write to it, too.
    unsafe {
        CS::set_reg(tables.code);
        SS::set_reg(tables.data);
        DS::set_reg(tables.data);
        ES::set_reg(tables.data);
        FS::set_reg(SegmentSelector::NULL);
        GS::set_reg(SegmentSelector::NULL);
        if !asleep {
            // A processor that failed to start under this number has left it busy, and LTR refuses a busy one [SDM2A LTR].
            let task = sgdt().base.as_mut_ptr::<u64>().add(tables.task.index().into());
            task.write_volatile(task.read_volatile() & !BUSY);
            load_tss(tables.task);
        }
    }
    cores::adopt(core);
}

/// The selectors and table bases that a VM exit must restore [SDM3C 28.5.2].
pub struct HostSegments {
    /// Code segment.
    pub code: u16,
    /// Data and stack segments.
    pub data: u16,
    /// Task register.
    pub task: u16,
    /// Linear address of the TSS.
    pub task_base: u64,
}

/// The segments that [`load`] loaded on this core; `None` before that.
pub fn host_segments() -> Option<HostSegments> {
    let tables = TABLES.here().get()?;
    let task_base = core::ptr::from_ref(TASKS.here().get()?) as u64;
    Some(HostSegments { code: tables.code.0, data: tables.data.0, task: tables.task.0, task_base })
}
