//! Weir's shell on the serial line: the owner of the keyboard, the line that is being typed, and the commands. The
//! part that needs no hardware is the crate `shell`.

mod execute;
mod input;
mod report;
mod say;

pub use input::Shell;
pub use report::MachineSummary;
