//! One serial line for the log, the shell and all guest consoles, with lines never mixed. The log is on the screen
//! as well.
//!
//! A prompt has no line end: the cursor stays behind it until the next output of another source, which ends that
//! line first. A log line that finds no room in the queue is lost and counted, because code that logs must not
//! wait for a slow line. Guests' output is never lost here: it waits in their consoles.

use super::{framebuffer, serial};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};
use shell::LineEnd;
use spin::{Mutex, Once};

/// Bytes waiting for the UART.
const QUEUE: usize = 64 * 1024;
/// The part of the queue that is reserved for the log.
const LOG_RESERVE: usize = 8 * 1024;
/// Longest line of the log or the shell.
const LONGEST: usize = 2048;
/// Polls of a UART that accepts nothing before flushing is abandoned: about a second.
const UART_TIMEOUT: u32 = 1_000_000;
/// Prefix of the shell's lines; a guest's lines have its name.
const SHELL_PREFIX: &str = "weir| ";

/// The source of the unfinished line that the cursor is on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cursor {
    LineStart,
    Guest(usize),
    /// The shell's prompt, with the input typed so far.
    Prompt,
}

struct SerialQueue {
    ring: [u8; QUEUE],
    head: usize,
    waiting: usize,
    cursor: Cursor,
    /// Lines and bytes that found no room.
    lost: u64,
    /// The part of `lost` that a line has reported.
    reported: u64,
}

static OUTPUT: Mutex<SerialQueue> = Mutex::new(SerialQueue {
    ring: [0; QUEUE],
    head: 0,
    waiting: 0,
    cursor: Cursor::LineStart,
    lost: 0,
    reported: 0,
});

/// Output waits for the UART.
static WAITING: AtomicBool = AtomicBool::new(false);
/// Tells whoever moves output on that some has begun to wait.
static WHEN_WAITING: Once<fn()> = Once::new();

/// Calls `tell` from now on, on any core, when output begins to wait.
pub fn when_waiting(tell: fn()) {
    WHEN_WAITING.call_once(|| tell);
}

/// Passes the queue to `act`.
fn with_queue<R>(act: impl FnOnce(&mut SerialQueue) -> R) -> R {
    let mut queue = OUTPUT.lock();
    let result = act(&mut queue);
    let waits = queue.waiting > 0;
    let waited = WAITING.swap(waits, Ordering::Relaxed);
    drop(queue);
    if let Some(tell) = WHEN_WAITING.get().filter(|_| waits && !waited) {
        tell();
    }
    result
}

impl SerialQueue {
    fn push(&mut self, byte: u8) {
        if self.waiting == QUEUE && !self.pump() {
            self.lost += 1;
            return;
        }
        self.ring[(self.head + self.waiting) % QUEUE] = byte;
        self.waiting += 1;
    }

    fn pump(&mut self) -> bool {
        let run = self.waiting.min(QUEUE - self.head);
        let sent = serial::send(&self.ring[self.head..self.head + run]);
        self.head = (self.head + sent) % QUEUE;
        self.waiting -= sent;
        sent > 0
    }

    /// True when a line of the log or the shell fits.
    fn has_room(&self) -> bool {
        self.waiting + LONGEST <= QUEUE
    }

    fn end_line(&mut self) {
        if self.cursor != Cursor::LineStart {
            self.push(b'\r');
            self.push(b'\n');
            self.cursor = Cursor::LineStart;
        }
    }

    fn line(&mut self, write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
        if !self.has_room() {
            self.lost += 1;
            return;
        }
        self.end_line();
        if self.reported < self.lost {
            let lost = self.lost - self.reported;
            self.reported = self.lost;
            let text = format_args!("{lost} lines lost here: the serial line is too slow");
            let _ = super::line(self, "WARN ", "log", &text);
            let _ = self.write_str("\n");
        }
        // Formatting fails only if one of Weir's own `Display`s does; the line then ends there.
        let _ = write(self);
        let _ = self.write_str("\n");
    }

    fn prefix(&mut self, name: &str) {
        let _ = self.write_str(name);
        let _ = self.write_str("| ");
    }
}

impl Write for SerialQueue {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.push(b'\r');
            }
            self.push(byte);
        }
        Ok(())
    }
}

/// Queues one log line.
pub fn log_line(write: impl Fn(&mut dyn Write) -> fmt::Result) {
    framebuffer::log_line(&write);
    with_queue(|queue| queue.line(write));
}

/// Queues one line of the shell.
pub fn shell_line(text: fmt::Arguments) {
    with_queue(|queue| queue.line(|out| write!(out, "{SHELL_PREFIX}{text}")));
}

/// Lets the shell write on the line of its prompt. `write` is passed whether the cursor is on that line, and the
/// second part of its result says whether it still is.
pub fn prompt<R>(write: impl FnOnce(&mut dyn Write, bool) -> (R, bool)) -> R {
    with_queue(|queue| {
        let drawn = queue.cursor == Cursor::Prompt;
        if !drawn {
            queue.end_line();
        }
        let (result, open) = write(&mut *queue, drawn);
        queue.cursor = if open { Cursor::Prompt } else { Cursor::LineStart };
        result
    })
}

/// True when the cursor is on the line of the shell's prompt.
pub fn at_prompt() -> bool {
    OUTPUT.lock().cursor == Cursor::Prompt
}

/// Queues console text of a guest, at most `length` bytes: all of it, or none if the queue has no room, in which
/// case it returns false.
pub fn console(
    guest: usize,
    name: &str,
    text: impl Iterator<Item = u8>,
    length: usize,
    end: LineEnd,
) -> bool {
    with_queue(|queue| {
        if queue.waiting + length + 2 * name.len() + 16 > QUEUE - LOG_RESERVE {
            return false;
        }
        if queue.cursor != Cursor::Guest(guest) {
            queue.end_line();
            queue.prefix(name);
            queue.cursor = Cursor::Guest(guest);
        }
        text.for_each(|byte| queue.push(byte));
        match end {
            LineEnd::Line => queue.end_line(),
            LineEnd::Return => {
                queue.push(b'\r');
                queue.prefix(name);
            }
            LineEnd::Open => {}
        }
        true
    })
}

/// True when the queue will soon have no room for a line.
pub fn is_half_full() -> bool {
    OUTPUT.lock().waiting > QUEUE / 2
}

/// Moves queued bytes into the UART as long as it accepts them at once. Returns true if some are left.
pub fn pump() -> bool {
    framebuffer::pump();
    with_queue(|queue| {
        while queue.waiting > 0 && queue.pump() {}
        queue.waiting > 0
    })
}

/// True while output is queued for the UART or the screen.
pub fn waiting() -> bool {
    WAITING.load(Ordering::Relaxed) || framebuffer::waiting()
}

/// Lines and bytes that found no room in the queue.
pub fn lost() -> u64 {
    OUTPUT.lock().lost
}

/// Waits until all queued output is on the screen and sent, or the UART accepts nothing any more.
pub fn flush() {
    framebuffer::flush();
    flush_serial();
}

/// Like [`flush`], but without the screen, where every new line means painting all rows.
pub fn flush_serial() {
    with_queue(|queue| {
        let mut polls_left = UART_TIMEOUT;
        while queue.waiting > 0 && polls_left > 0 {
            polls_left = if queue.pump() { UART_TIMEOUT } else { polls_left - 1 };
        }
    });
    serial::drain();
}

/// Releases the locks, which a panicking context may hold.
///
/// # Safety
/// Only for the panic path, when no other code runs any more.
pub unsafe fn break_locks() {
    // SAFETY: the caller's contract.
    unsafe {
        OUTPUT.force_unlock();
        serial::break_lock();
        framebuffer::break_lock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::sync::atomic::AtomicU32;

    #[test]
    fn who_moves_output_on_is_told_once_when_some_begins_to_wait() {
        static TOLD: AtomicU32 = AtomicU32::new(0);
        when_waiting(|| _ = TOLD.fetch_add(1, Ordering::Relaxed));
        for times in 1..4 {
            assert!(!pump() && !waiting());
            shell_line(format_args!("one line"));
            shell_line(format_args!("another"));
            assert!(waiting());
            assert_eq!(TOLD.load(Ordering::Relaxed), times);
        }
    }
}
