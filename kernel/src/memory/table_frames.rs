//! Page frames as memory for page tables: Weir's own, and the nested ones of guests.

use super::{PAGE, PageFrames, physical};
use base::HostPhysical;
use core::ptr::NonNull;
use nested_paging::TableMemory;
use volatile::VolatilePtr;
use x86_64::PhysAddr;
use x86_64::structures::paging::{FrameAllocator, PhysFrame, Size4KiB};

/// The machine's page frames, handed out one table at a time.
pub struct TableFrames<'a>(pub &'a mut PageFrames);

// SAFETY: `PageFrames` hands out every frame once.
unsafe impl FrameAllocator<Size4KiB> for TableFrames<'_> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let at = TableMemory::allocate(self)?;
        PhysFrame::from_start_address(PhysAddr::new(at.0)).ok()
    }
}

impl TableFrames<'_> {
    /// An entry of a table. An aligned store of 8 bytes is a single access, and stores stay in order
    /// [SDM3A 9.1.1, 9.2.2].
    fn entry(&self, table: HostPhysical, index: usize) -> VolatilePtr<'_, u64> {
        debug_assert!(index < nested_paging::memory::ENTRIES);
        let entry = physical::pointer(table).cast::<u64>().wrapping_add(index);
        // SAFETY: the table came from `allocate`, the index is below its 512 entries, and the direct map does not
        // begin at address zero.
        unsafe { VolatilePtr::new(NonNull::new_unchecked(entry)) }
    }
}

impl TableMemory for TableFrames<'_> {
    fn allocate(&mut self) -> Option<HostPhysical> {
        self.0.allocate(PAGE, PAGE).ok()
    }

    fn read(&self, table: HostPhysical, index: usize) -> u64 {
        self.entry(table, index).read()
    }

    fn write(&mut self, table: HostPhysical, index: usize, value: u64) {
        self.entry(table, index).write(value);
    }
}
