//! What a processor that starts finds below 1 MiB: the code from real mode to Rust, its parameters, and temporary page
//! tables [SDM3A 9.4].

use super::startup::CoreMain;
use crate::memory::{PAGE, physical};
use crate::processor::narrow::to_usize;
use base::HostPhysical;
use base::bits::{low_u16, low_u32};
use core::arch::global_asm;
use core::mem::offset_of;
use x86_64::VirtAddr;
use x86_64::registers::control::Cr3;
use x86_64::registers::model_specific::{Efer, EferFlags};
use x86_64::structures::paging::PageTableFlags;

/// Page-table entries: of a table, and of a large page.
const TABLE: u64 = PageTableFlags::PRESENT.union(PageTableFlags::WRITABLE).bits();
const LARGE: u64 = TABLE | PageTableFlags::HUGE_PAGE.bits();

/// Offset of [`Parameters`] in the start page; the code there contains it as well.
const PARAMETERS: u64 = 0xf00;

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

/// Fills the pages below 1 MiB: code and parameters, and page tables that map these pages at their physical
/// addresses, in addition to everything that Weir maps.
pub fn fill(page: HostPhysical, stack: VirtAddr, core: usize, entry: CoreMain, argument: *const ()) {
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
