//! Weir's heap. After boot, only restarting a guest allocates.

use super::{PageFrameError, PageFrames, physical};
use crate::processor::narrow::to_usize;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};
use linked_list_allocator::Heap;
use spin::Mutex;

struct BootHeap(Mutex<Heap>);

#[cfg_attr(not(test), global_allocator)]
static HEAP: BootHeap = BootHeap(Mutex::new(Heap::empty()));

// SAFETY: `Heap` hands out disjoint pieces of the memory given to `init`, and the lock serialises callers.
// Interrupt handlers do not allocate, so a core cannot wait for a lock that it holds itself.
unsafe impl GlobalAlloc for BootHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.lock().allocate_first_fit(layout).map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if let Some(at) = NonNull::new(at) {
            // SAFETY: the caller got `at` from `alloc` with this layout.
            unsafe { self.0.lock().deallocate(at, layout) }
        }
    }
}

/// Gives the heap `bytes` of memory.
///
/// # Errors
/// When the machine has no free piece of memory that large.
pub fn init(frames: &mut PageFrames, bytes: u64) -> Result<(), PageFrameError> {
    let at = frames.allocate(bytes, super::PAGE)?;
    // SAFETY: the memory was just allocated, stays mapped and is used for nothing else.
    unsafe { HEAP.0.lock().init(physical::pointer(at), to_usize(bytes)) };
    Ok(())
}

/// Bytes in use, and bytes in total.
pub fn usage() -> (usize, usize) {
    let heap = HEAP.0.lock();
    (heap.used(), heap.size())
}
