//! The machine's memory: the direct map, frames, mapped device windows, stacks, and the boot-time heap.

pub mod copy;
pub mod frames;
pub mod heap;
mod mapping;
pub mod physical;
#[cfg(not(test))]
pub mod stack;
pub mod window;

pub use frames::{FRAME, FrameError, Frames};
