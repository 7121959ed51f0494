//! Weir's output: log records with level and time, the guests' consoles, and the serial line that they share.
//!
//! A log line is `[ssssss.uuuuuu] LEVEL subsystem: message`, a guest's line is `name| text`, the shell's is
//! `weir| text`, and input typed for the shell follows `weir> `.

pub mod framebuffer;
pub mod output;
mod record;
pub mod serial;
pub mod tail;
pub mod view;

pub use record::{hurry, init, leave_to_main_loop, line};
pub use shell::counts;
