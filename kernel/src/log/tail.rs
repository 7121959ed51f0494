//! The end of the log, kept in memory for reports.

use core::fmt::{self, Write};
use shell::LogTail;
use spin::Mutex;

static TAIL: Mutex<LogTail<8192>> = Mutex::new(LogTail::new());

/// Adds a line.
pub fn remember(write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
    TAIL.lock().remember(write);
}

/// Passes the whole lines that are still kept to `say`, oldest first. None if a panic occurred while a line was
/// being added.
pub fn for_each_line(say: impl FnMut(&str)) {
    // A copy: `say` may log.
    let Some(mut tail) = TAIL.try_lock().map(|tail| tail.clone()) else { return };
    tail.for_each_line(say);
}
