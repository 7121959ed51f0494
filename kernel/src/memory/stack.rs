//! Stacks of cores. The page below each is not mapped, so that an overflow faults.

use super::mapping::{self, MappingError};
use super::{PAGE, PageFrameError, PageFrames};
use x86_64::VirtAddr;
use x86_64::structures::paging::PageTableFlags;

/// Why a stack could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// No memory is left for it.
    #[error(transparent)]
    Memory(#[from] PageFrameError),
    /// No memory is left for its page tables.
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// Makes a stack of `bytes`, a multiple of the page size. Returns its lowest address and its top.
///
/// # Errors
/// When the machine's memory is used up.
pub fn make(frames: &mut PageFrames, bytes: u64) -> Result<(VirtAddr, VirtAddr), StackError> {
    let at = frames.allocate(bytes, PAGE)?;
    let start = mapping::map(frames, at, bytes, PageTableFlags::empty())?;
    Ok((start, start + bytes))
}
