//! Stacks of cores. The page below each is not mapped: a stack that overflows faults.

use super::mapping::{self, MappingError};
use super::{PAGE, PageFrameError, PageFrames};
use x86_64::VirtAddr;
use x86_64::structures::paging::PageTableFlags;

/// Why a stack could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackError {
    /// There is no memory for it.
    #[error(transparent)]
    Memory(#[from] PageFrameError),
    /// There is no memory for its tables.
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

/// A stack of `bytes`, a multiple of a page: where it begins, and where it is empty.
///
/// # Errors
/// When the machine's memory is used up.
pub fn make(frames: &mut PageFrames, bytes: u64) -> Result<(VirtAddr, VirtAddr), StackError> {
    let at = frames.allocate(bytes, PAGE)?;
    let start = mapping::map(frames, at, bytes, PageTableFlags::empty())?;
    Ok((start, start + bytes))
}
