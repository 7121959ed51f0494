//! Spans of the machine's memory: all that crates get to know of it.
//!
//! A span stays valid because memory is handed out once and mapped for good: what is a guest's, or a NIC's, is never
//! anything else. Only this folder makes spans of it, after a look-up.

use super::copy::copy_volatile;
use super::{PAGE, PageFrameError, PageFrames, physical};
use base::{HostPhysical, Memory, Span};
use core::sync::atomic::{AtomicU8, Ordering, fence};

/// The machine's memory.
///
/// The platform keeps it coherent: x86 snoops DMA. That leaves the order of Weir's own accesses: plain stores
/// become visible in program order [SDM3A 9.2.2], and the fences make the compiler keep it, too.
pub enum MachineMemory {}

/// The memory at `at`.
///
/// # Safety
/// The direct map has all of it, it stays what it is for good, and no Rust reference but spans ever covers it.
pub(super) unsafe fn span(at: HostPhysical, bytes: usize) -> Span {
    // SAFETY: mapped and never anything else, by the caller's contract. Atomics allow for others who write it.
    Span::new(unsafe { core::slice::from_raw_parts(physical::pointer(at).cast::<AtomicU8>(), bytes) })
}

/// Allocates memory for a device, contiguous and below the address `limit`, zeroed, for good.
///
/// # Errors
/// When the machine's memory below `limit` is used up.
pub fn allocate(frames: &mut PageFrames, limit: u64, bytes: usize) -> Result<Span, PageFrameError> {
    let at = frames.allocate_below(limit, bytes as u64, PAGE)?;
    // SAFETY: page frames are in the direct map, and nobody else has these.
    Ok(unsafe { span(at, bytes) })
}

impl Memory for MachineMemory {
    #[inline]
    fn load(from: Span, into: &mut [u8]) {
        let bytes = from.len().min(into.len());
        // SAFETY: both are mapped for so many bytes; what is read is plain bytes, whoever writes them.
        unsafe { copy_volatile(from.bytes().as_ptr().cast(), into.as_mut_ptr(), bytes) }
        fence(Ordering::Acquire);
    }

    #[inline]
    fn store(into: Span, from: &[u8]) {
        let bytes = into.len().min(from.len());
        fence(Ordering::Release);
        // SAFETY: both are mapped for so many bytes, and writes through spans are allowed for.
        unsafe { copy_volatile(from.as_ptr(), into.bytes().as_ptr().cast_mut().cast(), bytes) }
    }

    #[inline]
    fn copy(from: Span, into: Span) {
        let bytes = from.len().min(into.len());
        // SAFETY: as above. A guest may make the two overlap, by frames to itself: then it gets some bytes twice.
        unsafe { copy_volatile(from.bytes().as_ptr().cast(), into.bytes().as_ptr().cast_mut().cast(), bytes) }
    }

    fn device_address(of: Span) -> HostPhysical {
        physical::address(of.bytes().as_ptr().cast())
    }
}
