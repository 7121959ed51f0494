//! The log on the screen: for a machine without a serial port, and for anyone who sits in front of one with it.
//!
//! It shows only Weir's own lines: a guest could write without end, and painting is slow: a line that scrolls the page
//! changes every row, and video memory on some boards takes tens of megabytes a second. Every core writes lines, which is
//! quick, but only the boot core paints, for a bounded time, and no core waits for it: the two have a lock each.

use crate::processor::{clock, cores};
use base::Duration;
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

/// On the boot core: paints rows that may have changed, until none is left or this time has passed.
pub fn pump(limit: Duration) {
    if !waiting() {
        return;
    }
    let begin = clock::now();
    while waiting() && paint(|| clock::now() - begin < limit) {}
}

/// Paints one row. False if none had changed, or not all of it was painted, since `goes_on` has said no.
fn paint(goes_on: impl FnMut() -> bool) -> bool {
    // The row is a copy, so that lines can be added while it is painted.
    let row = TEXT.lock().take_stale();
    let painted = match (&row, &mut *PAINTER.lock()) {
        (Some(row), Some(painter)) => painter.paint_row(row, goes_on),
        _ => false,
    };
    let mut text = TEXT.lock();
    if let Some(row) = row.filter(|_| !painted) {
        text.put_back(&row);
    }
    WAITING.store(text.is_stale(), Ordering::Relaxed);
    painted
}

/// True while rows wait to be painted by this core.
pub fn waiting() -> bool {
    WAITING.load(Ordering::Relaxed) && cores::current() == cores::BOOT_CORE
}

/// Paints all rows that may have changed.
pub fn flush() {
    while paint(|| true) {}
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
