//! Uncached windows onto device registers.

use super::{PageFrames, mapping};
use base::HostPhysical;
use x86_64::structures::paging::PageTableFlags;

pub use mapping::MappingError as WindowError;

/// A range of device registers, mapped uncached for good.
#[derive(Clone, Copy, Debug)]
pub struct RegisterWindow {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: a window is an address range that stays mapped; accesses are single volatile instructions.
unsafe impl Send for RegisterWindow {}

impl RegisterWindow {
    /// Where it is mapped.
    pub fn address(&self) -> usize {
        self.start as usize
    }

    /// Reads the 32-bit register at `offset`; all ones outside the window, as an absent device answers.
    pub fn read(&self, offset: usize) -> u32 {
        debug_assert!(offset.is_multiple_of(4));
        if offset + 4 > self.bytes {
            return u32::MAX;
        }
        // SAFETY: inside the mapped range and aligned.
        unsafe { self.start.add(offset).cast::<u32>().read_volatile() }
    }

    /// Writes the 32-bit register at `offset`; does nothing outside the window.
    pub fn write(&mut self, offset: usize, value: u32) {
        debug_assert!(offset.is_multiple_of(4));
        if offset + 4 <= self.bytes {
            // SAFETY: inside the mapped range and aligned; what the register does is the driver's concern.
            unsafe { self.start.add(offset).cast::<u32>().write_volatile(value) }
        }
    }
}

/// Maps `bytes` of device registers at `at`, strongly uncacheable: PCD and PWT select PAT entry 3, UC
/// [SDM3A 12.12.3].
///
/// # Errors
/// When no frame is left for the tables.
pub fn map(frames: &mut PageFrames, at: HostPhysical, bytes: u64) -> Result<RegisterWindow, WindowError> {
    let flags = PageTableFlags::NO_CACHE | PageTableFlags::WRITE_THROUGH;
    let start = mapping::map(frames, at, bytes, flags)?;
    Ok(RegisterWindow { start: start.as_mut_ptr(), bytes: bytes as usize })
}
