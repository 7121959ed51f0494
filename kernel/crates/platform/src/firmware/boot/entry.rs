//! The processor's state at a guest's first instruction, and the structures in low memory that it refers to.

use base::{GuestMemory, GuestPhysical, MemoryError};

/// The stack is below these structures, down to 0x2000.
const STACK_TOP: GuestPhysical = GuestPhysical(0x7000);
const GDT: GuestPhysical = GuestPhysical(0x1000);
/// The boot parameters, one page.
pub(super) const ZERO_PAGE: GuestPhysical = GuestPhysical(0x7000);
/// PML4, page directory pointer table, four page directories: six pages.
const PAGE_TABLES: GuestPhysical = GuestPhysical(0x9000);
/// The command line.
pub(super) const COMMAND_LINE: GuestPhysical = GuestPhysical(0x2_0000);
/// Space for the command line with its terminating zero, in bytes.
pub(super) const COMMAND_LINE_ROOM: usize = 0x1_0000;

/// Selectors that the protocol requires: __BOOT_CS and __BOOT_DS.
const CODE_SELECTOR: u16 = 0x10;
const DATA_SELECTOR: u16 = 0x18;
/// Segment descriptors, flat [SDM3A 3.4.5]: null, unused, 64-bit code (execute, read), data (read, write);
/// both accessed, so that loading them writes nothing.
const DESCRIPTORS: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

const GDT_LIMIT: u16 = 4 * 8 - 1;
const _: () = assert!(size_of_val(&DESCRIPTORS) == GDT_LIMIT as usize + 1);

/// How a guest's first processor starts: in 64-bit mode with paging enabled, interrupts disabled, and flat
/// segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryState {
    /// Address of the first instruction.
    pub rip: u64,
    /// Address of the boot parameters.
    pub rsi: u64,
    /// A small stack; Linux sets its own.
    pub rsp: u64,
    /// Page tables that map the first 4 GiB to themselves with 2 MiB pages.
    pub cr3: u64,
    /// Base of the global descriptor table.
    pub gdt_base: u64,
    /// Limit of the global descriptor table.
    pub gdt_limit: u16,
    /// CS: flat 64-bit code.
    pub code_selector: u16,
    /// DS, ES, FS, GS and SS: flat data.
    pub data_selector: u16,
}

/// Writes the page tables and the global descriptor table.
pub(super) fn write<M: GuestMemory>(memory: &M, rip: GuestPhysical) -> Result<EntryState, MemoryError> {
    for (index, descriptor) in DESCRIPTORS.into_iter().enumerate() {
        write_qword(memory, GDT, index, descriptor)?;
    }
    write_page_tables(memory)?;
    Ok(EntryState {
        rip: rip.0,
        rsi: ZERO_PAGE.0,
        rsp: STACK_TOP.0,
        cr3: PAGE_TABLES.0,
        gdt_base: GDT.0,
        gdt_limit: GDT_LIMIT,
        code_selector: CODE_SELECTOR,
        data_selector: DATA_SELECTOR,
    })
}

/// Four-level paging with 2 MiB pages [SDM3A 4.5].
fn write_page_tables<M: GuestMemory>(memory: &M) -> Result<(), MemoryError> {
    const TABLE_BYTES: usize = 4096;
    const TABLE: u64 = TABLE_BYTES as u64;
    const PRESENT_WRITABLE: u64 = 0b11;
    const PAGE_SIZE: u64 = 1 << 7;
    const GIB: usize = 4;
    for page in 0..2 + GIB as u64 {
        memory.write(GuestPhysical(PAGE_TABLES.0 + page * TABLE), &[0; TABLE_BYTES])?;
    }
    let pointers = GuestPhysical(PAGE_TABLES.0 + TABLE);
    write_qword(memory, PAGE_TABLES, 0, pointers.0 | PRESENT_WRITABLE)?;
    for gib in 0..GIB {
        let directory = GuestPhysical(pointers.0 + (gib as u64 + 1) * TABLE);
        write_qword(memory, pointers, gib, directory.0 | PRESENT_WRITABLE)?;
        for entry in 0..512 {
            let frame = (gib * 512 + entry) as u64 * (2 << 20);
            write_qword(memory, directory, entry, frame | PAGE_SIZE | PRESENT_WRITABLE)?;
        }
    }
    Ok(())
}

fn write_qword<M: GuestMemory>(
    memory: &M,
    table: GuestPhysical,
    index: usize,
    value: u64,
) -> Result<(), MemoryError> {
    memory.write(GuestPhysical(table.0 + 8 * index as u64), &value.to_le_bytes())
}
