//! One serial line for the log, the shell and all guest consoles: whole lines, never torn. The log is on the
//! screen as well.
//!
//! A prompt has no line end: the cursor stays behind it as long as nobody else speaks. Who speaks next ends
//! that line first. What finds no room in the queue is lost and counted: whoever logs must not wait for a
//! slow line. Guests' output does not get lost here: it waits in their consoles.

use super::{framebuffer, serial};
use core::fmt::{self, Write};
use shell::LineEnd;
use spin::Mutex;

/// Bytes waiting for the UART.
const QUEUE: usize = 64 * 1024;
/// The part of the queue that consoles leave to the log.
const LOG_RESERVE: usize = 8 * 1024;
/// Longest line of log or shell.
const LONGEST: usize = 2048;
/// Looks at a UART that takes nothing before it is given up: about a second.
const PATIENCE: u32 = 1_000_000;
/// Begins the shell's lines, as a guest's name does its own.
const SHELL_PREFIX: &str = "weir| ";

/// Who wrote the unfinished line that the cursor stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cursor {
    LineStart,
    Guest(usize),
    /// The shell's prompt, with what has been typed.
    Prompt,
}

struct SerialQueue {
    ring: [u8; QUEUE],
    head: usize,
    waiting: usize,
    cursor: Cursor,
    /// Lines and bytes that found no room.
    lost: u64,
    /// Those that a line has told of.
    told: u64,
}

static OUTPUT: Mutex<SerialQueue> = Mutex::new(SerialQueue {
    ring: [0; QUEUE],
    head: 0,
    waiting: 0,
    cursor: Cursor::LineStart,
    lost: 0,
    told: 0,
});

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
        if self.told < self.lost {
            let lost = self.lost - self.told;
            self.told = self.lost;
            let text = format_args!("{lost} lines lost here: the serial line is too slow");
            let _ = super::line(self, "WARN ", "log", &text);
            let _ = self.write_str("\n");
        }
        // Formatting can only fail by a `Display` of our own refusing; the line then simply ends there.
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
    OUTPUT.lock().line(write);
}

/// Queues one line of the shell's.
pub fn shell_line(text: fmt::Arguments) {
    OUTPUT.lock().line(|out| write!(out, "{SHELL_PREFIX}{text}"));
}

/// Lets the shell write on the line of its prompt. `write` is told whether the cursor stands on it, and tells
/// with its result whether it still does.
pub fn prompt<R>(write: impl FnOnce(&mut dyn Write, bool) -> (R, bool)) -> R {
    let mut output = OUTPUT.lock();
    let drawn = output.cursor == Cursor::Prompt;
    if !drawn {
        output.end_line();
    }
    let (result, open) = write(&mut *output, drawn);
    output.cursor = if open { Cursor::Prompt } else { Cursor::LineStart };
    result
}

/// True when the cursor stands on the line of the shell's prompt.
pub fn at_prompt() -> bool {
    OUTPUT.lock().cursor == Cursor::Prompt
}

/// Queues console text of a guest, at most `length` bytes: the whole of it, or nothing and false when the
/// queue has no room.
pub fn console(
    guest: usize,
    name: &str,
    text: impl Iterator<Item = u8>,
    length: usize,
    end: LineEnd,
) -> bool {
    let mut output = OUTPUT.lock();
    if output.waiting + length + 2 * name.len() + 16 > QUEUE - LOG_RESERVE {
        return false;
    }
    if output.cursor != Cursor::Guest(guest) {
        output.end_line();
        output.prefix(name);
        output.cursor = Cursor::Guest(guest);
    }
    text.for_each(|byte| output.push(byte));
    match end {
        LineEnd::Line => output.end_line(),
        LineEnd::Return => {
            output.push(b'\r');
            output.prefix(name);
        }
        LineEnd::Open => {}
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

/// Lines and bytes that found no room in the queue.
pub fn lost() -> u64 {
    OUTPUT.lock().lost
}

/// Waits until everything queued has left the machine, or the UART takes nothing any more, and is on the screen.
pub fn flush() {
    framebuffer::flush();
    flush_serial();
}

/// The same without the screen, on which every line moves all others.
pub fn flush_serial() {
    let mut output = OUTPUT.lock();
    let mut patience = PATIENCE;
    while output.waiting > 0 && patience > 0 {
        patience = if output.pump() { PATIENCE } else { patience - 1 };
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
