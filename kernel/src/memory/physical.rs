//! The direct map: all of the machine's memory at one offset, made by the loader.

use base::HostPhysical;
use core::sync::atomic::{AtomicU64, Ordering};

static OFFSET: AtomicU64 = AtomicU64::new(0);

/// Tells where the loader put the direct map.
///
/// # Safety
/// Must be called once, before anything else here, with the offset at which physical address 0 is mapped
/// and all memory that the loader reported follows.
pub unsafe fn set_direct_map(offset: u64) {
    OFFSET.store(offset, Ordering::Relaxed);
}

/// Where a physical address stands in the direct map. The pointer is valid for memory the loader reported.
pub fn pointer(at: HostPhysical) -> *mut u8 {
    (OFFSET.load(Ordering::Relaxed) + at.0) as *mut u8
}

/// The start of the direct map.
pub fn offset() -> u64 {
    OFFSET.load(Ordering::Relaxed)
}
