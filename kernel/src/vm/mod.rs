//! A guest's machine: memory, board, vNICs and virtual processor, put together and kept going.

mod console;
pub mod exits;
mod interrupts;
mod life;
mod machine;
mod nics;
mod statistics;
mod virtual_processor;

pub use machine::Vm;
