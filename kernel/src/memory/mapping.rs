//! Permanent mappings besides the direct map: device registers and stacks.

use super::table_frames::TableFrames;
use super::{PAGE, PageFrames, physical};
use crate::processor::cpu;
use crate::processor::narrow::to_usize;
use base::HostPhysical;
use core::sync::atomic::{AtomicU64, Ordering};
use platform::msr::IA32_PAT;
use x86_64::structures::paging::{
    Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB, Translate,
};
use x86_64::{PhysAddr, VirtAddr};

/// Start of the mappings, in a part of the kernel's half of the address space that the loader does not use.
const START: u64 = 0xffff_e000_0000_0000;

/// Start of the next mapping. The page below each mapping stays unmapped.
static NEXT: AtomicU64 = AtomicU64::new(START + PAGE);

/// Why something could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes:#x} bytes at {at} could not be mapped")]
pub struct MappingError {
    at: HostPhysical,
    bytes: u64,
}

/// Maps `bytes` at `at` readable and writable, not executable, with additional `flags`. Call it only while the
/// boot core is the only one that works.
///
/// # Errors
/// When no page frame is left for the page tables.
pub fn map(
    frames: &mut PageFrames,
    at: HostPhysical,
    bytes: u64,
    flags: PageTableFlags,
) -> Result<VirtAddr, MappingError> {
    let error = MappingError { at, bytes };
    let first = at.0 & !(PAGE - 1);
    // Beyond what the processor can address, an entry of a page table would have reserved bits set.
    let [address_bits, ..] = cpu::cpuid(0x8000_0008, 0).eax.to_le_bytes();
    let end = at.0.checked_add(bytes).filter(|end| *end <= 1 << address_bits.min(52)).ok_or(error)?;
    let end = end.next_multiple_of(PAGE);
    let start = NEXT.fetch_add(end - first + PAGE, Ordering::Relaxed);
    let mut tables = active_tables();
    let flags = flags | PageTableFlags::PRESENT | PageTableFlags::WRITABLE | PageTableFlags::NO_EXECUTE;
    for offset in (0..end - first).step_by(to_usize(PAGE)) {
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(start + offset));
        let frame = PhysFrame::containing_address(PhysAddr::new(first + offset));
        // SAFETY: the page was not mapped before, so no mapping is lost; the caller owns the frame.
        unsafe { tables.map_to(page, frame, flags, &mut TableFrames(frames)) }.map_err(|_| error)?.flush();
    }
    Ok(VirtAddr::new(start + (at.0 - first)))
}

/// Lets the processor combine writes to pages that are mapped already: those of video memory, where each store would
/// otherwise be a bus transaction of its own. Pages that are not mapped as 4 KiB stay as they are. Call it only while
/// the boot core is the only one that works: the others take over its IA32_PAT.
pub fn combine_writes(start: VirtAddr, bytes: usize) {
    /// Memory type WC in entry 1, which PWT alone selects and nothing else does [SDM3A 12.12.2, 12.12.3].
    const WRITE_COMBINING: u64 = 0x01 << 8;
    // SAFETY: no mapping uses the entry that changes.
    unsafe { cpu::wrmsr(IA32_PAT, cpu::rdmsr(IA32_PAT) & !0xff00 | WRITE_COMBINING) };
    let flags = PageTableFlags::PRESENT
        | PageTableFlags::WRITABLE
        | PageTableFlags::NO_EXECUTE
        | PageTableFlags::WRITE_THROUGH;
    let mut tables = active_tables();
    for offset in (0..bytes).step_by(to_usize(PAGE)) {
        let page = Page::<Size4KiB>::containing_address(start + offset as u64);
        // SAFETY: the page keeps its frame and its rights; only its memory type changes.
        if let Ok(change) = unsafe { tables.update_flags(page, flags) } {
            change.flush();
        }
    }
}

/// True when all of these bytes are mapped. Call it only while the boot core is the only one that works.
pub fn is_mapped(start: VirtAddr, bytes: u64) -> bool {
    let Some(last) = start.as_u64().checked_add(bytes.max(1) - 1) else { return false };
    let (tables, first) = (active_tables(), start.as_u64() & !(PAGE - 1));
    let mut pages = (first..=last).step_by(to_usize(PAGE)).map(VirtAddr::try_new);
    pages.all(|page| page.is_ok_and(|page| tables.translate_addr(page).is_some()))
}

/// The active page tables. Only for the boot core, while it is the only one that works.
fn active_tables() -> OffsetPageTable<'static> {
    let root = x86_64::registers::control::Cr3::read().0.start_address().as_u64();
    // SAFETY: the active root table is in the direct map, and boot is single-threaded: no other reference to the
    // tables exists at the same time.
    unsafe {
        let root = &mut *physical::pointer(HostPhysical(root)).cast::<PageTable>();
        OffsetPageTable::new(root, VirtAddr::new(physical::offset()))
    }
}
