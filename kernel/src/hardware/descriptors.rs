//! GDT and TSS: flat 64-bit segments, and stacks of their own for NMI, double fault and machine check,
//! which may strike when the current stack cannot be trusted.

use spin::Once;
use x86_64::VirtAddr;
use x86_64::instructions::segmentation::{CS, DS, ES, FS, GS, SS, Segment};
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector};
use x86_64::structures::tss::TaskStateSegment;

/// Interrupt-stack-table slots, counted from zero; a gate in the IDT counts from one.
pub const NMI_STACK: u8 = 0;
/// The double fault's.
pub const DOUBLE_FAULT_STACK: u8 = 1;
/// The machine check's.
pub const MACHINE_CHECK_STACK: u8 = 2;

const STACK: usize = 16 * 1024;

#[repr(align(16))]
struct Stack(#[expect(dead_code, reason = "used by the processor only")] [u8; STACK]);

static mut STACKS: [Stack; 3] = [const { Stack([0; STACK]) }; 3];

struct Tables {
    gdt: GlobalDescriptorTable,
    code: SegmentSelector,
    data: SegmentSelector,
    task: SegmentSelector,
}

static TASK: Once<TaskStateSegment> = Once::new();
static TABLES: Once<Tables> = Once::new();

/// Loads the tables on this processor.
pub fn load() {
    let task = TASK.call_once(|| {
        let mut task = TaskStateSegment::new();
        let mut stacks = task.interrupt_stack_table;
        for (index, top) in stacks.iter_mut().take(3).enumerate() {
            let first = (&raw const STACKS).cast::<Stack>();
            *top = VirtAddr::from_ptr(first.wrapping_add(index + 1));
        }
        task.interrupt_stack_table = stacks;
        task
    });
    let tables = TABLES.call_once(|| {
        let mut gdt = GlobalDescriptorTable::new();
        let code = gdt.append(Descriptor::kernel_code_segment());
        let data = gdt.append(Descriptor::kernel_data_segment());
        let task = gdt.append(Descriptor::tss_segment(task));
        Tables { gdt, code, data, task }
    });
    tables.gdt.load();
    // SAFETY: the selectors name flat segments of the table just loaded, which lives for ever.
    unsafe {
        CS::set_reg(tables.code);
        SS::set_reg(tables.data);
        DS::set_reg(tables.data);
        ES::set_reg(tables.data);
        FS::set_reg(SegmentSelector::NULL);
        GS::set_reg(SegmentSelector::NULL);
        load_tss(tables.task);
    }
}

/// The selectors and table bases that a return from a guest must bring back [SDM3C 28.5.2].
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

/// What [`load`] loaded; `None` before.
pub fn host_segments() -> Option<HostSegments> {
    let tables = TABLES.get()?;
    let task_base = core::ptr::from_ref(TASK.get()?) as u64;
    Some(HostSegments { code: tables.code.0, data: tables.data.0, task: tables.task.0, task_base })
}
