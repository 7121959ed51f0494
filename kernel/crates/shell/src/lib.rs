//! The hardware-independent part of the console and the shell: the keyboard's holder, the line editor, the shell's
//! grammar, each guest's console, the serial line that all share, the end of the log, and the rows of the shell's tables.
//!
//! Nothing here allocates, and no typed byte and no output of a guest can make it panic.
#![no_std]
#![forbid(unsafe_code)]

mod backlog;
mod command;
mod command_line;
mod complete;
mod console;
mod editor;
mod escape;
mod grammar;
mod history;
mod keyboard;
mod log_tail;
mod names;
mod parse;
mod plain;
mod serial_output;
mod table;
mod team_rows;
mod teams;
mod top;
mod typed_ahead;
mod view;
mod vm_state;
mod vm_summary;

pub use backlog::{Backlog, LineEnd, OutputChunk};
pub use command::{Others, ShellCommand, TeamCommand, VmAction};
pub use command_line::{CommandLine, ShellInput, ShellScreen};
pub use complete::{Completion, complete};
pub use console::{Console, SharedLine};
pub use editor::{Editor, EditorEvent, LINE};
pub use grammar::help;
pub use keyboard::{ESCAPE, Holder, Keyboard, Typed};
pub use log_tail::LogTail;
pub use names::Names;
pub use parse::{ParseError, parse};
pub use plain::Plain;
pub use serial_output::{SerialOutput, SerialPort};
pub use table::{NicRow, VmRow, VnicRow, counts, shortened};
pub use teams::{TeamAccess, Teams, answer};
pub use top::Top;
pub use typed_ahead::{TYPED_AHEAD, TypedAhead, Typing};
pub use view::View;
pub use vm_state::{ActionRefusal, VmState};
pub use vm_summary::VmSummary;
