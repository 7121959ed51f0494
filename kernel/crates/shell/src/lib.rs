//! The hardware-independent part of the console and the shell: the keyboard's holder, the line editor, the shell's
//! grammar, each guest's console, the serial line that all share, the end of the log, and the rows of the shell's tables.
//!
//! Nothing here allocates, and no typed byte and no output of a guest can make it panic.
#![no_std]
#![forbid(unsafe_code)]

mod backlog;
mod command;
mod complete;
mod console;
mod editor;
mod escape;
mod grammar;
mod history;
mod keyboard;
mod log_tail;
mod parse;
mod plain;
mod serial_output;
mod table;
mod typed_ahead;
mod view;
mod vm_state;

pub use backlog::{Backlog, LineEnd, OutputChunk};
pub use command::{Others, ShellCommand, VmAction};
pub use complete::{Completion, complete};
pub use console::{Console, SharedLine};
pub use editor::{Editor, EditorEvent, LINE};
pub use grammar::help;
pub use keyboard::{ESCAPE, Holder, Keyboard, Typed};
pub use log_tail::LogTail;
pub use parse::{ParseError, parse};
pub use plain::Plain;
pub use serial_output::{SerialOutput, SerialPort};
pub use table::{NicRow, VmRow, VnicRow, shortened};
pub use typed_ahead::{TYPED_AHEAD, TypedAhead, Typing};
pub use view::View;
pub use vm_state::{ActionRefusal, VmState};
