//! Memory that devices read and write by themselves.

use crate::memory::copy::copy_volatile;
use crate::memory::{PageFrameError, PageFrames, physical};
use base::HostPhysical;
use core::sync::atomic::{Ordering, fence};

/// A piece of memory shared with a device, in one physical piece.
///
/// Coherent by the platform: x86 snoops DMA. What remains is the order of our own accesses: plain stores
/// become visible in program order [SDM3A 9.2.2], so a compiler fence is all that a release needs.
#[derive(Debug)]
pub struct DmaMemory {
    at: HostPhysical,
    bytes: usize,
}

impl DmaMemory {
    /// Takes `bytes` at a multiple of `alignment`, zeroed.
    ///
    /// # Errors
    /// When the machine's memory is used up.
    pub fn allocate(frames: &mut PageFrames, bytes: usize, alignment: usize) -> Result<Self, PageFrameError> {
        Ok(Self { at: frames.allocate(bytes as u64, alignment as u64)?, bytes })
    }

    /// Where the device finds it.
    pub fn device_address(&self) -> HostPhysical {
        self.at
    }

    /// A part of it, to be handed to somebody: the caller hands each part out once.
    pub fn part(&self, offset: usize, bytes: usize) -> Option<Self> {
        let end = offset.checked_add(bytes)?;
        (end <= self.bytes).then_some(Self { at: HostPhysical(self.at.0 + offset as u64), bytes })
    }

    /// Copies out; whatever is past the end reads as zero.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        fence(Ordering::Acquire);
        match self.inside(offset, into.len()) {
            // SAFETY: inside the piece; the device may write at the same time, and what is read is taken as
            // bytes only.
            Some(from) => unsafe { copy_volatile(from, into.as_mut_ptr(), into.len()) },
            None => into.fill(0),
        }
    }

    /// Copies in; does nothing past the end.
    pub fn write(&mut self, offset: usize, from: &[u8]) {
        if let Some(into) = self.inside(offset, from.len()) {
            // SAFETY: inside the piece, which only this value and the device write.
            unsafe { copy_volatile(from.as_ptr(), into, from.len()) }
        }
        fence(Ordering::Release);
    }

    fn inside(&self, offset: usize, bytes: usize) -> Option<*mut u8> {
        (offset.checked_add(bytes)? <= self.bytes).then(|| physical::pointer(self.at).wrapping_add(offset))
    }
}
