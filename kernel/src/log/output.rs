//! One serial line for the log and all guest consoles: whole lines, never torn, nothing lost. The log is on
//! the screen as well.
//!
//! Guests' bytes are gathered into lines before they are shown. A prompt has no line end, so a line that
//! has been waiting is shown unfinished, and continued as long as nobody else has spoken.

use super::{framebuffer, serial};
use core::fmt::{self, Write};
use spin::Mutex;

/// Bytes waiting for the UART.
const QUEUE: usize = 64 * 1024;
/// The part of the queue that consoles leave to the log.
const LOG_RESERVE: usize = 8 * 1024;

/// Who wrote the unfinished line that the cursor stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cursor {
    LineStart,
    Guest(usize),
}

struct Output {
    ring: [u8; QUEUE],
    head: usize,
    waiting: usize,
    cursor: Cursor,
}

static OUTPUT: Mutex<Output> =
    Mutex::new(Output { ring: [0; QUEUE], head: 0, waiting: 0, cursor: Cursor::LineStart });

impl Output {
    fn push(&mut self, byte: u8) {
        while self.waiting == QUEUE {
            self.pump();
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

    fn end_line(&mut self) {
        if self.cursor != Cursor::LineStart {
            self.push(b'\r');
            self.push(b'\n');
            self.cursor = Cursor::LineStart;
        }
    }
}

impl Write for Output {
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
    let mut output = OUTPUT.lock();
    output.end_line();
    // Formatting can only fail by a `Display` of our own refusing; the line then simply ends there.
    let _ = write(&mut *output);
    let _ = output.write_str("\n");
}

/// Queues console text of a guest: the whole of `text`, or nothing and false when the queue has no room.
/// `finished` tells whether a line end follows.
pub fn console(guest: usize, name: &str, text: &[u8], finished: bool) -> bool {
    let mut output = OUTPUT.lock();
    if output.waiting + 2 * text.len() + name.len() + 8 > QUEUE - LOG_RESERVE {
        return false;
    }
    if output.cursor != Cursor::Guest(guest) {
        output.end_line();
        let _ = output.write_str(name);
        let _ = output.write_str("| ");
        output.cursor = Cursor::Guest(guest);
    }
    text.iter().for_each(|&byte| output.push(byte));
    if finished {
        output.end_line();
    }
    true
}

/// Moves waiting bytes into the UART while it takes them at once; returns true while some are left.
pub fn pump() -> bool {
    framebuffer::pump();
    let mut output = OUTPUT.lock();
    while output.waiting > 0 && output.pump() {}
    output.waiting > 0
}

/// True while something waits for the UART or the screen.
pub fn waiting() -> bool {
    OUTPUT.lock().waiting > 0 || framebuffer::waiting()
}

/// Waits until everything queued has left the machine.
pub fn flush() {
    framebuffer::flush();
    let mut output = OUTPUT.lock();
    while output.waiting > 0 {
        output.pump();
    }
    serial::drain();
}

/// Gives up the locks that a panicking context may hold.
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
