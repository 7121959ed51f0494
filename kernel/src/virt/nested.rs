//! Nested page tables of a guest, in the machine's memory.

use crate::memory::{FRAME, Frames, physical};
use base::HostPhysical;
use nested_paging::TableMemory;

/// Frames as table memory.
pub struct Tables<'a>(pub &'a mut Frames);

fn entry(table: HostPhysical, index: usize) -> *mut u64 {
    physical::pointer(table).cast::<u64>().wrapping_add(index)
}

impl TableMemory for Tables<'_> {
    fn allocate(&mut self) -> Option<HostPhysical> {
        self.0.allocate(FRAME, FRAME).ok()
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
