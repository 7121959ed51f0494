//! The queue of a serial line that the log, the shell and all guest consoles share, with lines never mixed.
//!
//! A prompt has no line end: the cursor stays behind it until the next output of another source, which ends that
//! line first. A log line that finds no room in the queue is lost and counted, because code that logs must not
//! wait for a slow line. Guests' output is never lost here: it waits in their consoles.

use crate::backlog::LineEnd;
use core::fmt::{self, Write};

/// The part of the queue that is reserved for the log.
const LOG_RESERVE: usize = 8 * 1024;
/// Longest line of the log or the shell.
const LONGEST: usize = 2048;
/// Prefix of the shell's lines; a guest's lines have its name.
const SHELL_PREFIX: &str = "weir| ";

/// The source of the unfinished line that the cursor is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cursor {
    LineStart,
    Guest(usize),
    /// The shell's prompt, with the input typed so far.
    Prompt,
}

/// What the queue asks of the machine.
pub trait SerialPort {
    /// Accepts as many of the bytes as it has room for, and returns how many.
    fn send(&mut self, bytes: &[u8]) -> usize;

    /// Writes the log line, without its end, that says how many lines were lost.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_loss(lost: u64, out: &mut dyn Write) -> fmt::Result;
}

/// A queue of `N` bytes in front of a UART.
#[derive(Debug)]
pub struct SerialOutput<U, const N: usize> {
    uart: U,
    ring: [u8; N],
    head: usize,
    waiting: usize,
    cursor: Cursor,
    /// Lines and bytes that found no room.
    lost: u64,
    /// The part of `lost` that a line has reported.
    reported: u64,
}

impl<U: SerialPort, const N: usize> SerialOutput<U, N> {
    /// An empty queue.
    pub const fn new(uart: U) -> Self {
        Self { uart, ring: [0; N], head: 0, waiting: 0, cursor: Cursor::LineStart, lost: 0, reported: 0 }
    }

    /// Queues one log line, which `write` writes without its end.
    pub fn line(&mut self, write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
        if self.waiting + LONGEST > N {
            self.lost += 1;
            return;
        }
        self.end_line();
        // Formatting fails only if one of Weir's own `Display`s does; the line then ends there.
        if self.reported < self.lost {
            let lost = self.lost - self.reported;
            self.reported = self.lost;
            let _ = U::write_loss(lost, self);
            let _ = self.write_str("\n");
        }
        let _ = write(self);
        let _ = self.write_str("\n");
    }

    /// Queues one line of the shell.
    pub fn shell_line(&mut self, text: fmt::Arguments<'_>) {
        self.line(|out| write!(out, "{SHELL_PREFIX}{text}"));
    }

    /// Lets the shell write on the line of its prompt. `write` is passed whether the cursor is on that line, and the
    /// second part of its result says whether it still is.
    pub fn prompt<R>(&mut self, write: impl FnOnce(&mut dyn Write, bool) -> (R, bool)) -> R {
        let drawn = self.at_prompt();
        if !drawn {
            self.end_line();
        }
        let (result, open) = write(self, drawn);
        self.cursor = if open { Cursor::Prompt } else { Cursor::LineStart };
        result
    }

    /// True when the cursor is on the line of the shell's prompt.
    pub fn at_prompt(&self) -> bool {
        self.cursor == Cursor::Prompt
    }

    /// Queues console text of a guest, at most `length` bytes: all of it, or none if the queue has no room, in which
    /// case it returns false.
    pub fn console(
        &mut self,
        guest: usize,
        name: &str,
        text: impl Iterator<Item = u8>,
        length: usize,
        end: LineEnd,
    ) -> bool {
        if self.waiting + length + 2 * name.len() + 16 > N - LOG_RESERVE {
            return false;
        }
        if self.cursor != Cursor::Guest(guest) {
            self.end_line();
            self.prefix(name);
            self.cursor = Cursor::Guest(guest);
        }
        text.for_each(|byte| self.push(byte));
        match end {
            LineEnd::Line => self.end_line(),
            LineEnd::Return => {
                self.push(b'\r');
                self.prefix(name);
            }
            LineEnd::Open => {}
        }
        true
    }

    /// True when the queue will soon have no room for a line.
    pub fn is_half_full(&self) -> bool {
        self.waiting > N / 2
    }

    /// True while bytes wait for the UART.
    pub fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// Moves queued bytes into the UART as long as it accepts them at once and, after each piece, `goes_on`: some accept
    /// any number. Returns true if bytes are left.
    pub fn pump(&mut self, mut goes_on: impl FnMut() -> bool) -> bool {
        while self.waiting > 0 && self.send() && goes_on() {}
        self.waiting > 0
    }

    /// Waits until all bytes are in the UART, or it has accepted none for so many polls.
    pub fn flush(&mut self, polls: u32) {
        let mut left = polls;
        while self.waiting > 0 && left > 0 {
            left = if self.send() { polls } else { left - 1 };
        }
    }

    /// Lines and bytes that found no room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Lets a test look at what was sent.
    #[cfg(test)]
    pub(crate) fn with_port(&mut self, look: impl FnOnce(&mut U)) {
        look(&mut self.uart);
    }

    fn push(&mut self, byte: u8) {
        if self.waiting == N && !self.send() {
            self.lost += 1;
            return;
        }
        self.ring[(self.head + self.waiting) % N] = byte;
        self.waiting += 1;
    }

    /// Moves bytes into the UART; false if it accepts none.
    fn send(&mut self) -> bool {
        let run = self.waiting.min(N - self.head);
        let sent = self.uart.send(&self.ring[self.head..self.head + run]).min(run);
        self.head = (self.head + sent) % N;
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

    fn prefix(&mut self, name: &str) {
        let _ = self.write_str(name);
        let _ = self.write_str("| ");
    }
}

impl<U: SerialPort, const N: usize> Write for SerialOutput<U, N> {
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

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::String;
    use std::vec::Vec;

    const QUEUE: usize = 16 * 1024;

    #[derive(Default)]
    struct FakeUart {
        room: usize,
        sent: Vec<u8>,
    }

    impl SerialPort for FakeUart {
        fn send(&mut self, bytes: &[u8]) -> usize {
            let count = bytes.len().min(self.room).min(16);
            self.room -= count;
            self.sent.extend(&bytes[..count]);
            count
        }

        fn write_loss(lost: u64, out: &mut dyn Write) -> fmt::Result {
            write!(out, "{lost} lost")
        }
    }

    fn queue() -> SerialOutput<FakeUart, QUEUE> {
        SerialOutput::new(FakeUart::default())
    }

    /// All that is queued, as a terminal receives it.
    fn text(queue: &mut SerialOutput<FakeUart, QUEUE>) -> String {
        queue.uart.room = QUEUE;
        assert!(!queue.pump(|| true));
        String::from_utf8(core::mem::take(&mut queue.uart.sent)).unwrap()
    }

    fn say(queue: &mut SerialOutput<FakeUart, QUEUE>, guest: usize, text: &str, end: LineEnd) -> bool {
        queue.console(guest, ["a", "b"][guest], text.bytes(), text.len(), end)
    }

    #[test]
    fn a_port_that_accepts_any_number_is_fed_for_a_while_only() {
        let mut queue = queue();
        queue.shell_line(format_args!("{:1000}", "text"));
        queue.uart.room = QUEUE;
        let mut pieces = 3;
        let left = queue.pump(|| {
            pieces -= 1;
            pieces > 0
        });
        assert!(left && queue.uart.sent.len() == 3 * 16);
        assert_eq!(text(&mut queue).len(), "weir| ".len() + 1000 + 2);
    }

    #[test]
    fn lines_of_several_sources_are_not_mixed() {
        let mut queue = queue();
        assert!(say(&mut queue, 0, "login: ", LineEnd::Open));
        assert!(say(&mut queue, 0, "root", LineEnd::Open));
        queue.line(|out| out.write_str("a log line"));
        assert!(say(&mut queue, 0, "10%", LineEnd::Return));
        assert!(say(&mut queue, 0, "20%", LineEnd::Line));
        assert!(say(&mut queue, 1, "other", LineEnd::Open));
        assert_eq!(text(&mut queue), "a| login: root\r\na log line\r\na| 10%\ra| 20%\r\nb| other");
        queue.shell_line(format_args!("two\nlines"));
        assert_eq!(text(&mut queue), "\r\nweir| two\r\nlines\r\n");
    }

    #[test]
    fn a_prompt_stays_open_until_another_source_writes() {
        let mut queue = queue();
        for drawn_before in [false, true] {
            let drawn = queue.prompt(|out, drawn| {
                out.write_str("weir> ").unwrap();
                (drawn, true)
            });
            assert_eq!((drawn, queue.at_prompt()), (drawn_before, true));
        }
        queue.line(|out| out.write_str("news"));
        assert!(!queue.at_prompt());
        assert_eq!(text(&mut queue), "weir> weir> \r\nnews\r\n");
        queue.prompt(|_, _| ((), false));
        assert!(!queue.at_prompt());
    }

    #[test]
    fn lost_lines_are_counted_and_reported_once_there_is_room() {
        let mut queue = queue();
        let line = "x".repeat(1000);
        for _ in 0..20 {
            queue.line(|out| out.write_str(&line));
        }
        let lost = queue.lost();
        assert!(lost > 0 && queue.is_half_full());
        assert!(!text(&mut queue).contains("lost"));
        queue.line(|out| out.write_str("now"));
        queue.line(|out| out.write_str("then"));
        assert_eq!(text(&mut queue), std::format!("{lost} lost\r\nnow\r\nthen\r\n"));
    }

    #[test]
    fn a_guest_waits_while_the_rest_of_the_queue_is_for_the_log() {
        let mut queue = queue();
        let line = "x".repeat(500);
        while say(&mut queue, 0, &line, LineEnd::Line) {}
        assert_eq!(queue.lost(), 0);
        queue.line(|out| out.write_str("still room"));
        assert_eq!(queue.lost(), 0);
        assert!(text(&mut queue).ends_with("still room\r\n"));
        assert!(say(&mut queue, 0, &line, LineEnd::Line));
    }

    #[test]
    fn flushing_ends_when_the_uart_accepts_nothing() {
        let mut queue = queue();
        queue.line(|out| out.write_str("a line"));
        queue.uart.room = 3;
        queue.flush(1000);
        assert!(queue.is_waiting());
        assert_eq!(queue.uart.sent, b"a l");
        queue.uart.room = 100;
        queue.flush(1);
        assert!(!queue.is_waiting());
    }

    /// A line longer than the room that is kept for one takes what the UART accepts meanwhile, and loses the rest.
    #[test]
    fn bytes_without_room_are_lost_and_counted() {
        let mut queue = queue();
        queue.line(|out| (0..QUEUE + 100).try_for_each(|_| out.write_str("y")));
        assert_eq!(queue.lost(), 102, "with the line end");
        assert_eq!(text(&mut queue).len(), QUEUE);
    }
}
