//! Memory that devices access by DMA.

use crate::memory::copy::copy_volatile;
use crate::memory::{PAGE, PageFrameError, PageFrames, physical};
use base::HostPhysical;
use core::ptr::NonNull;
use core::sync::atomic::{Ordering, fence};
use volatile::VolatilePtr;

/// Bytes of a word that is accessed at once. All DMA memory begins at a multiple of it.
const WORD: usize = size_of::<u64>();

/// Physically contiguous memory that is shared with a device.
///
/// The platform keeps it coherent: x86 snoops DMA. That leaves the order of Weir's own accesses: plain stores
/// become visible in program order [SDM3A 9.2.2], so a release needs no more than a compiler fence.
#[derive(Debug)]
pub struct DmaMemory {
    at: HostPhysical,
    bytes: usize,
}

impl DmaMemory {
    /// Allocates `bytes` at a multiple of a page and below the address `limit`, zeroed.
    ///
    /// # Errors
    /// When the machine's memory below `limit` is used up.
    pub fn allocate(frames: &mut PageFrames, limit: u64, bytes: usize) -> Result<Self, PageFrameError> {
        Ok(Self { at: frames.allocate_below(limit, bytes as u64, PAGE)?, bytes })
    }

    /// The address at which the device accesses it.
    pub fn device_address(&self) -> HostPhysical {
        self.at
    }

    /// Splits off a part that starts at a multiple of 8; `None` for other offsets and past the end. The caller
    /// gives each part to one user only.
    pub fn part(&self, offset: usize, bytes: usize) -> Option<Self> {
        let end = offset.checked_add(bytes)?;
        (end <= self.bytes && offset.is_multiple_of(WORD))
            .then_some(Self { at: HostPhysical(self.at.0 + offset as u64), bytes })
    }

    /// Copies out; reads zeros if the range passes the end.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        fence(Ordering::Acquire);
        match self.inside(offset, into.len()) {
            // SAFETY: inside this memory; the device may write at the same time, so what is read is treated as
            // plain bytes.
            Some(from) => unsafe { copy_volatile(from, into.as_mut_ptr(), into.len()) },
            None => into.fill(0),
        }
    }

    /// Copies in; does nothing if the range passes the end.
    pub fn write(&mut self, offset: usize, from: &[u8]) {
        if let Some(into) = self.inside(offset, from.len()) {
            // SAFETY: inside this memory, which only this value and the device write.
            unsafe { copy_volatile(from.as_ptr(), into, from.len()) }
        }
        fence(Ordering::Release);
    }

    /// Reads half a descriptor, the aligned 64-bit word at `offset`, in one access; zero past the end.
    pub fn read_u64(&self, offset: usize) -> u64 {
        fence(Ordering::Acquire);
        self.word(offset).map_or(0, VolatilePtr::read)
    }

    /// Writes half a descriptor, the aligned 64-bit word at `offset`, in one access; does nothing past the end.
    pub fn write_u64(&mut self, offset: usize, value: u64) {
        if let Some(word) = self.word(offset) {
            word.write(value);
        }
        fence(Ordering::Release);
    }

    fn word(&self, offset: usize) -> Option<VolatilePtr<'_, u64>> {
        let word = self.inside(offset, WORD)?.cast::<u64>();
        // SAFETY: inside this memory, which does not begin at address zero, and aligned as this memory is. Of Weir only
        // this value accesses it; the device may do so at any time, which a volatile access allows for.
        offset.is_multiple_of(WORD).then(|| unsafe { VolatilePtr::new(NonNull::new_unchecked(word)) })
    }

    fn inside(&self, offset: usize, bytes: usize) -> Option<*mut u8> {
        (offset.checked_add(bytes)? <= self.bytes).then(|| physical::pointer(self.at).wrapping_add(offset))
    }
}
