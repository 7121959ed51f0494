//! The processor: instructions and registers, cores, and the clock. Imports no other folder of the kernel.

pub mod clock;
pub mod cores;
pub mod cpu;
pub mod descriptors;
pub mod narrow;
pub mod panicking;
