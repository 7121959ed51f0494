//! The processor's state at a guest's first instruction, and the structures in low memory that it refers to.

use base::{GuestMemory, GuestPhysical, MemoryError};

/// The stack is below these structures, down to 0x2000.
const STACK_TOP: GuestPhysical = GuestPhysical(0x7000);
const GDT: GuestPhysical = GuestPhysical(0x1000);
/// The boot parameters, one page.
pub(super) const ZERO_PAGE: GuestPhysical = GuestPhysical(0x7000);
/// PML4, page directory pointer table, four page directories: six pages.
const PAGE_TABLES: GuestPhysical = GuestPhysical(0x9000);
const TABLE_BYTES: usize = 4096;
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
    memory.write(GDT, DESCRIPTORS.map(u64::to_le_bytes).as_flattened())?;
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
    const PRESENT_WRITABLE: u64 = 0b11;
    const PAGE_SIZE: u64 = 1 << 7;
    const GIB: u64 = 4;
    let pointer = |number: u64| table(number).0 | PRESENT_WRITABLE;
    write_table(memory, 0, |entry| if entry == 0 { pointer(1) } else { 0 })?;
    write_table(memory, 1, |entry| if entry < GIB { pointer(2 + entry) } else { 0 })?;
    (0..GIB).try_for_each(|gib| {
        write_table(memory, 2 + gib, |entry| ((gib * 512 + entry) * (2 << 20)) | PAGE_SIZE | PRESENT_WRITABLE)
    })
}

/// Writes one of the page tables.
fn write_table<M: GuestMemory>(
    memory: &M,
    number: u64,
    entry: impl Fn(u64) -> u64,
) -> Result<(), MemoryError> {
    let mut bytes = [0; TABLE_BYTES];
    for (index, place) in (0..).zip(bytes.as_chunks_mut().0) {
        *place = entry(index).to_le_bytes();
    }
    memory.write(table(number), &bytes)
}

fn table(number: u64) -> GuestPhysical {
    GuestPhysical(PAGE_TABLES.0 + number * TABLE_BYTES as u64)
}
