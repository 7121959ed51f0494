//! The direct map: all of the machine's memory, mapped by the loader at one offset.

use super::mapping;
use base::HostPhysical;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::VirtAddr;

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

/// The physical address that a pointer into the direct map is for.
pub fn address(pointer: *const u8) -> HostPhysical {
    HostPhysical(pointer as u64 - OFFSET.load(Ordering::Relaxed))
}

/// The start of the direct map.
pub fn offset() -> u64 {
    OFFSET.load(Ordering::Relaxed)
}

/// True when the direct map has all of these bytes. What the loader reported does; what firmware points to may not.
pub fn covers(at: HostPhysical, bytes: usize) -> bool {
    let start = offset().checked_add(at.0).and_then(|start| VirtAddr::try_new(start).ok());
    start.is_some_and(|start| mapping::is_mapped(start, bytes as u64))
}
