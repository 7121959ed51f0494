//! The hardware-independent part of the console and the shell: the keyboard's holder, the line editor, the shell's
//! grammar, the backlog of each guest's output, and the rows of the shell's tables.
//!
//! Nothing here allocates, and no typed byte and no output of a guest can make it panic.
#![no_std]
#![forbid(unsafe_code)]

mod backlog;
mod command;
mod complete;
mod editor;
mod escape;
mod grammar;
mod history;
mod keyboard;
mod parse;
mod plain;
mod table;
mod typed_ahead;
mod vm_state;

pub use backlog::{Backlog, LineEnd, OutputChunk};
pub use command::{Others, ShellCommand, VmAction};
pub use complete::{Completion, complete};
pub use editor::{Editor, EditorEvent, LINE};
pub use grammar::help;
pub use keyboard::{ESCAPE, Holder, Keyboard, Typed};
pub use parse::{ParseError, parse};
pub use plain::Plain;
pub use table::{NicRow, VmRow, VnicRow, shortened};
pub use typed_ahead::{TYPED_AHEAD, TypedAhead, Typing};
pub use vm_state::{ActionRefusal, VmState};
