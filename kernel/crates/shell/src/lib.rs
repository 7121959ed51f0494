//! The operator's side of the serial line, as far as it needs no hardware: who gets what is typed, the line
//! editor, the shell's language, what is kept of each guest's output, and the rows of the shell's tables.
//!
//! Nothing here allocates, and no byte that is typed or written by a guest can make it fail.
#![no_std]
#![forbid(unsafe_code)]

mod backlog;
mod command;
mod complete;
mod editor;
mod grammar;
mod history;
mod keyboard;
mod parse;
mod plain;
mod table;

pub use backlog::{Backlog, End, Piece};
pub use command::{Command, Others, VmAction};
pub use complete::{Completion, complete};
pub use editor::{Editor, Event, LINE};
pub use grammar::help;
pub use keyboard::{ESCAPE, Holder, Keyboard, Typed};
pub use parse::{ParseError, parse};
pub use plain::Plain;
pub use table::{NicRow, VmRow, VnicRow};

/// What the shell puts before the line that is being typed.
pub const PROMPT: &str = "weir> ";
