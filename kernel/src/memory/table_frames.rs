//! Page frames as memory for page tables: Weir's own, and the nested ones of guests.

use super::{PAGE, PageFrames, physical};
use base::HostPhysical;
use nested_paging::TableMemory;
use x86_64::PhysAddr;
use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

/// The machine's page frames, handed out one table at a time.
pub struct TableFrames<'a>(pub &'a mut PageFrames);

// SAFETY: `PageFrames` hands every frame out once.
unsafe impl FrameAllocator<Size4KiB> for TableFrames<'_> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let at = TableMemory::allocate(self)?;
        PhysFrame::from_start_address(PhysAddr::new(at.0)).ok()
    }
}

fn entry(table: HostPhysical, index: usize) -> *mut u64 {
    physical::pointer(table).cast::<u64>().wrapping_add(index)
}

impl TableMemory for TableFrames<'_> {
    fn allocate(&mut self) -> Option<HostPhysical> {
        self.0.allocate(PAGE, PAGE).ok()
    }

    fn read(&self, table: HostPhysical, index: usize) -> u64 {
        debug_assert!(index < nested_paging::memory::ENTRIES);
        // SAFETY: the table came from `allocate` and the index is below its 512 entries.
        unsafe { entry(table, index).read_volatile() }
    }

    fn write(&mut self, table: HostPhysical, index: usize, value: u64) {
        debug_assert!(index < nested_paging::memory::ENTRIES);
        // SAFETY: as in `read`; an aligned store of 8 bytes is single and in order [SDM3A 9.1.1, 9.2.2].
        unsafe { entry(table, index).write_volatile(value) }
    }
}
