//! The direct map: all of the machine's memory, mapped by the loader at one offset.

use base::HostPhysical;
use core::sync::atomic::{AtomicU64, Ordering};

static OFFSET: AtomicU64 = AtomicU64::new(0);

/// Sets where the loader put the direct map.
///
/// # Safety
/// Must be called once, before anything else in this module, with the offset at which the loader mapped physical
/// address 0; all memory that the loader reported must be mapped there at its physical address plus this offset.
pub unsafe fn set_direct_map(offset: u64) {
    OFFSET.store(offset, Ordering::Relaxed);
}

/// Returns the pointer to a physical address in the direct map. It is valid for memory that the loader reported.
pub fn pointer(at: HostPhysical) -> *mut u8 {
    (OFFSET.load(Ordering::Relaxed) + at.0) as *mut u8
}

/// The start of the direct map.
pub fn offset() -> u64 {
    OFFSET.load(Ordering::Relaxed)
}
