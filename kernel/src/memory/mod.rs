//! The machine's memory: the direct map, frames, mapped device windows, and the boot-time heap.

pub mod copy;
pub mod frames;
pub mod heap;
pub mod physical;
pub mod window;

pub use frames::{FRAME, FrameError, Frames};
