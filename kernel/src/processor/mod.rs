//! The processor that executes this: its instructions and registers, its cores, and the clock. Needs nothing else.

pub mod clock;
pub mod cores;
pub mod cpu;
pub mod descriptors;
pub mod panicking;
