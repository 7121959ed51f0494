//! The log on the screen: for a machine without a serial port, and for anyone who sits in front of one with it.
//!
//! It shows only Weir's own lines: a guest could write without end, and painting is slow. Every core writes lines, which
//! is quick, but only the boot core paints, and no core waits for it: the two have a lock each.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use screen::{FramebufferLayout, Painter, ScreenText};
use spin::Mutex;

static TEXT: Mutex<ScreenText> = Mutex::new(ScreenText::new());
static PAINTER: Mutex<Option<Painter>> = Mutex::new(None);
/// Rows wait to be painted.
static WAITING: AtomicBool = AtomicBool::new(false);

/// Clears the screen and uses it for the log.
pub fn init(memory: &'static mut [u8], layout: FramebufferLayout) {
    if let Some(painter) = Painter::new(memory, layout) {
        TEXT.lock().resize(painter.columns(), painter.rows());
        *PAINTER.lock() = Some(painter);
    }
}

/// Adds one log line.
pub fn log_line(write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
    let mut text = TEXT.lock();
    text.write_line(write);
    WAITING.store(text.is_stale(), Ordering::Relaxed);
}

/// Paints one row if any may have changed, a bounded amount of work. Returns false if none had.
pub fn pump() -> bool {
    // The row is a copy, so that lines can be added while it is painted.
    let mut text = TEXT.lock();
    let row = text.take_stale();
    WAITING.store(text.is_stale(), Ordering::Relaxed);
    drop(text);
    if let (Some(row), Some(painter)) = (&row, &mut *PAINTER.lock()) {
        painter.paint_row(row);
    }
    row.is_some()
}

/// True while rows wait to be painted.
pub fn waiting() -> bool {
    WAITING.load(Ordering::Relaxed)
}

/// Paints all rows that may have changed.
pub fn flush() {
    while pump() {}
}

/// Releases the locks, which a panicking context may hold.
///
/// # Safety
/// Only for the panic path, when no other code runs any more.
pub unsafe fn break_lock() {
    // SAFETY: the caller's contract.
    unsafe {
        TEXT.force_unlock();
        PAINTER.force_unlock();
    }
}
