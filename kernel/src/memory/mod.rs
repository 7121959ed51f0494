//! The machine's memory: the direct map, page frames, mappings, stacks, the heap, and guest memory.

pub mod copy;
pub mod guest;
pub mod heap;
pub mod mapping;
pub mod page_frames;
pub mod physical;
pub mod span;
#[cfg(not(test))]
pub mod stack;
pub mod table_frames;
pub mod window;

pub use page_frames::{PAGE, PageFrameError, PageFrames};
