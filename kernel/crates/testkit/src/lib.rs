//! Fakes for tests on the host: memory, a clock, frames, ports, a switch between them and processor registers. Only tests depend on this
//! crate, so it allocates and panics freely.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
extern crate std;

pub mod clock;
pub mod frame;
pub mod lan;
pub mod lanes;
pub mod memory;
pub mod port;
pub mod registers;
pub mod team;

pub use clock::VirtualClock;
pub use lan::Lan;
pub use lanes::LanePort;
pub use memory::{FakeMemory, RecordedAccess, TestMemory, bounce_memory, copy_as};
pub use port::{QueuePort, bytes_of, frames_in, frames_of, put, put_all, put_with};
pub use registers::FakeRegisters;
pub use team::{TeamOracle, check_replay};
