//! The drivers of physical NICs against a NIC that lies in its registers and writes to DMA memory at will.

mod machine;
mod memory;
mod target;

pub use target::target;
