//! Who runs where, when, and how often again: the decisions about guests' processor time, without a processor.
//!
//! * [`placement`]: which core a guest lives on.
//! * [`RunQueue`]: which guest of a core runs next, and for how long, in proportion to shares.
//! * [`restart`]: whether and when a guest that has ended is started again.
//!
//! Nothing allocates, and time is a parameter.
#![no_std]
#![forbid(unsafe_code)]

pub mod placement;
pub mod restart;
mod run_queue;

pub use run_queue::{CREDIT, Full, MAX_GUESTS, RunQueue, SLICE, STANDARD_SHARES};
