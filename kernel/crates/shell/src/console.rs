//! A guest's console: its output, kept and shown line by line, and whether bytes typed for it wait.

use crate::backlog::{Backlog, LineEnd};
use crate::plain::Plain;
use crate::view::View;
use base::{Duration, Instant};

/// Bytes of output kept: some 100 lines.
const KEPT: usize = 8192;
/// Longest line shown in one piece.
const LINE: usize = 512;
/// When the guest gets the keyboard, at least this many of its last lines are shown, whether or not they were before.
const SHOWN_AGAIN: usize = 10;
/// After this time without further output an unfinished line is taken for a prompt and shown.
const PROMPT_DELAY: Duration = Duration::from_millis(20);
/// A running guest must also have caused this many exits since then: otherwise it may only have waited for its turn, or come
/// hardly further between interrupts that are not its own. After [`LATEST`] that does not matter any more.
const EXITS: u64 = 4;
const LATEST: Duration = Duration::from_secs(1);
/// Bytes taken from the guest's UART at a time.
const TAKEN: usize = 64;

/// The serial line, as one guest's console uses it.
pub trait SharedLine {
    /// What the line shows now.
    fn view(&self) -> View;

    /// The guest's number in views.
    fn guest(&self) -> usize;

    /// Queues text of the guest, at most `length` bytes: all of it, or none if there is no room, in which case it
    /// returns false.
    fn show(&self, text: impl Iterator<Item = u8>, length: usize, end: LineEnd) -> bool;

    /// Tells the operator that so many more bytes of the guest's output were not kept.
    fn tell_loss(&self, bytes: u64);
}

/// One guest's console. Its output is always taken and kept, and shown while the view includes the guest.
#[derive(Clone, Debug)]
pub struct Console {
    kept: Backlog<KEPT>,
    /// Time of the last output.
    written: Instant,
    /// When an unfinished line was last looked at, or output written.
    last: Instant,
    /// Exits that the guest had caused by then.
    exits: u64,
    /// Nothing more can be shown until there is more output.
    settled: bool,
    /// The view that the console followed last.
    view: View,
    plain: Plain,
    /// Bytes of lost output that have been reported to the operator.
    lost_told: u64,
    /// Typed bytes may wait for room in the guest's UART.
    typed: bool,
    /// The guest has written output that has not been taken.
    due: bool,
}

impl Console {
    /// An empty console, made while this is the view.
    #[must_use]
    pub fn new(view: View) -> Self {
        Self {
            kept: Backlog::new(),
            written: Instant::ZERO,
            last: Instant::ZERO,
            exits: 0,
            settled: true,
            view,
            plain: Plain::default(),
            lost_told: 0,
            typed: false,
            due: false,
        }
    }

    /// Notes that the guest has written output.
    #[inline]
    pub fn note_output(&mut self) {
        self.due = true;
    }

    /// True while there is output to take or to show.
    #[inline]
    #[must_use]
    pub fn is_due(&self, line: &impl SharedLine) -> bool {
        self.due || self.view != line.view()
    }

    /// Moves output from `take` into the console, and shows complete lines if the view includes the guest, which
    /// has caused `exits` exits. Output that the serial line has no room for stays with the guest, whose UART fills up
    /// and makes it wait.
    pub fn show_all(
        &mut self,
        line: &impl SharedLine,
        now: Instant,
        exits: u64,
        mut take: impl FnMut(&mut [u8]) -> usize,
    ) {
        self.follow_view(line);
        let shown = self.view.shows(line.guest());
        loop {
            let all_shown = !shown || self.show(line, false);
            let room = if shown { self.kept.room().min(TAKEN) } else { TAKEN };
            let mut bytes = [0; TAKEN];
            let count = take(&mut bytes[..room]).min(room);
            if count == 0 {
                self.due = !all_shown || room == 0;
                return;
            }
            bytes[..count].iter().for_each(|&byte| self.kept.push(byte));
            (self.written, self.last, self.exits, self.settled) = (now, now, exits, false);
        }
    }

    /// Takes what is left in the guest's UART, which is to be reset, although the serial line may have no room for it yet.
    /// It takes the place of the oldest output that is not shown, which counts as lost.
    pub fn take_rest(&mut self, line: &impl SharedLine, mut take: impl FnMut(&mut [u8]) -> usize) {
        let mut bytes = [0; TAKEN];
        loop {
            let count = take(&mut bytes).min(TAKEN);
            if count == 0 {
                break;
            }
            bytes[..count].iter().for_each(|&byte| self.kept.push(byte));
            (self.settled, self.due) = (false, true);
        }
        if self.view.shows(line.guest()) {
            self.kept.skip_torn_line();
            self.tell_loss(line);
        }
    }

    /// Shows an unfinished line that has waited long enough. `exits` is the number of the guest's exits if it is
    /// running.
    pub fn advance(&mut self, line: &impl SharedLine, now: Instant, exits: Option<u64>) {
        self.follow_view(line);
        if self.next_deadline(line).is_some_and(|due| due <= now) {
            let late = now.saturating_since(self.written) >= LATEST;
            if late || exits.is_none_or(|exits| exits.wrapping_sub(self.exits) >= EXITS) {
                self.settled = self.show(line, true);
            }
            self.last = now;
        }
    }

    /// When [`advance`](Self::advance) must run.
    #[inline]
    #[must_use]
    pub fn next_deadline(&self, line: &impl SharedLine) -> Option<Instant> {
        if self.view != line.view() {
            return Some(self.last);
        }
        let waits = self.view.shows(line.guest()) && self.kept.waiting() > 0 && !self.settled;
        waits.then(|| self.last + PROMPT_DELAY)
    }

    /// Bytes of output that were lost before they were shown: newer output took their place while the guest was
    /// not shown.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.kept.lost()
    }

    /// Notes whether typed bytes may wait for room in the guest's UART.
    #[inline]
    pub fn note_typed(&mut self, waits: bool) {
        self.typed = waits;
    }

    /// True while typed bytes may wait for room in the guest's UART.
    #[inline]
    #[must_use]
    pub fn has_typed(&self) -> bool {
        self.typed
    }

    /// Follows a change of the view. If the guest gets the keyboard, its last lines are shown again.
    fn follow_view(&mut self, line: &impl SharedLine) {
        if self.view == line.view() {
            return;
        }
        (self.view, self.settled) = (line.view(), false);
        if self.view.has_keyboard(line.guest()) {
            self.kept.rewind(SHOWN_AGAIN);
        }
        self.kept.skip_torn_line();
        if self.view.shows(line.guest()) {
            self.tell_loss(line);
        }
    }

    fn tell_loss(&mut self, line: &impl SharedLine) {
        if self.lost_told < self.lost() {
            line.tell_loss(self.lost() - self.lost_told);
            self.lost_told = self.lost();
        }
    }

    /// Shows kept output that has not been shown yet: complete lines, and the unfinished last one if `unfinished`.
    /// Returns false if the serial line had no room for all of it.
    fn show(&mut self, line: &impl SharedLine, unfinished: bool) -> bool {
        let may_control = self.view.has_keyboard(line.guest());
        while let Some(piece) = self.kept.next(LINE) {
            if piece.end == LineEnd::Open && piece.length < LINE && !unfinished {
                return true;
            }
            let mut plain = self.plain.clone();
            let text = piece.text.into_iter().flatten();
            let room = piece.text_length() + Plain::HELD;
            let queued = if may_control {
                line.show(text.copied(), room, piece.end)
            } else {
                line.show(text.flat_map(|&byte| plain.filter(byte)), room, piece.end)
            };
            if !queued {
                return false;
            }
            if piece.end != LineEnd::Open {
                plain.end_line();
            }
            let length = piece.length;
            self.plain = plain;
            self.kept.shown(length);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::cell::{Cell, RefCell};
    use std::format;
    use std::io::Read;
    use std::string::String;

    /// The line for guest 1.
    struct FakeLine {
        view: Cell<View>,
        room: Cell<bool>,
        shown: RefCell<String>,
    }

    impl FakeLine {
        fn new(view: View) -> Self {
            Self { view: Cell::new(view), room: Cell::new(true), shown: RefCell::default() }
        }

        fn taken(&self) -> String {
            self.shown.take()
        }
    }

    impl SharedLine for FakeLine {
        fn view(&self) -> View {
            self.view.get()
        }

        fn guest(&self) -> usize {
            1
        }

        fn show(&self, text: impl Iterator<Item = u8>, length: usize, end: LineEnd) -> bool {
            if !self.room.get() {
                return false;
            }
            let before = self.shown.borrow().len();
            self.shown.borrow_mut().extend(text.map(char::from));
            assert!(self.shown.borrow().len() - before <= length);
            match end {
                LineEnd::Line => self.shown.borrow_mut().push('\n'),
                LineEnd::Return => self.shown.borrow_mut().push('\r'),
                LineEnd::Open => {}
            }
            true
        }

        fn tell_loss(&self, bytes: u64) {
            self.shown.borrow_mut().push_str(&format!("({bytes} lost)"));
        }
    }

    fn write(console: &mut Console, line: &FakeLine, at: Instant, text: &str) {
        let mut left = text.as_bytes();
        console.note_output();
        assert!(console.is_due(line));
        console.show_all(line, at, 0, |bytes| {
            let (now, later) = left.split_at(left.len().min(bytes.len()));
            bytes[..now.len()].copy_from_slice(now);
            left = later;
            now.len()
        });
    }

    #[test]
    fn an_unfinished_line_is_shown_after_a_while_if_the_guest_has_gone_on() {
        let line = FakeLine::new(View::FIRST);
        let mut console = Console::new(line.view());
        let begin = Instant(5_000_000);
        write(&mut console, &line, begin, "booted\nlogin: ");
        assert_eq!(line.taken(), "booted\n");
        let due = console.next_deadline(&line).unwrap();
        assert_eq!(due, begin + PROMPT_DELAY);
        console.advance(&line, due, Some(EXITS - 1));
        assert_eq!(line.taken(), "", "it may have waited for its turn");
        let mut late = console.clone();
        late.advance(&line, begin + LATEST, Some(0));
        assert_eq!(line.taken(), "login: ", "it does something else");
        let due = console.next_deadline(&line).unwrap();
        console.advance(&line, due, Some(EXITS));
        assert_eq!(line.taken(), "login: ");
        assert_eq!(console.next_deadline(&line), None);

        write(&mut console, &line, due, "one\n$ ");
        console.advance(&line, due + PROMPT_DELAY, None);
        assert_eq!(line.taken(), "one\n$ ", "an idle guest has nothing more to write");
    }

    #[test]
    fn a_console_that_comes_into_view_shows_what_was_kept_and_tells_what_was_not() {
        let line = FakeLine::new(View::FIRST.with_guest(0, false));
        let mut console = Console::new(line.view());
        for number in 0..2000 {
            write(&mut console, &line, Instant::ZERO, &format!("line {number}\n"));
        }
        assert_eq!((line.taken().as_str(), console.is_due(&line)), ("", false));
        let lost = console.lost();
        assert!(lost > 0);
        line.view.set(line.view().with_shell(true));
        assert!(console.is_due(&line) && console.next_deadline(&line).is_some());
        write(&mut console, &line, Instant::ZERO, "");
        let shown = line.taken();
        assert!(shown.starts_with(&format!("({} lost)line ", console.lost())), "{shown}");
        assert!(console.lost() >= lost && shown.ends_with("line 1999\n"));

        line.view.set(line.view().with_guest(1, true));
        write(&mut console, &line, Instant::ZERO, "");
        assert_eq!(line.taken().lines().count(), SHOWN_AGAIN, "again, for whoever types");
    }

    #[test]
    fn only_the_guest_with_the_keyboard_controls_the_terminal() {
        let line = FakeLine::new(View::FIRST);
        let mut console = Console::new(line.view());
        write(&mut console, &line, Instant::ZERO, "\x1b[31mred\n");
        assert_eq!(line.taken(), "red\n");
        line.view.set(line.view().with_guest(1, true));
        write(&mut console, &line, Instant::ZERO, "\x1b[32mgreen\n");
        assert!(line.taken().ends_with("\x1b[32mgreen\n"));
    }

    #[test]
    fn a_full_line_makes_the_guest_wait_and_loses_nothing() {
        let line = FakeLine::new(View::FIRST);
        let mut console = Console::new(line.view());
        line.room.set(false);
        let text = "some text\n".repeat(KEPT / 10 + 1);
        let (mut left, now) = (text.as_bytes(), Instant::ZERO);
        let mut take = |bytes: &mut [u8]| {
            let (now, later) = left.split_at(left.len().min(bytes.len()));
            bytes[..now.len()].copy_from_slice(now);
            left = later;
            now.len()
        };
        console.note_output();
        console.show_all(&line, now, 0, &mut take);
        assert!(console.is_due(&line));
        line.room.set(true);
        console.show_all(&line, now, 0, &mut take);
        assert!(!console.is_due(&line));
        assert_eq!((line.taken(), console.lost()), (text, 0));
    }

    #[test]
    fn the_last_words_before_a_reset_are_kept_and_what_they_displace_is_told() {
        let line = FakeLine::new(View::FIRST);
        let mut console = Console::new(line.view());
        line.room.set(false);
        write(&mut console, &line, Instant::ZERO, &"some text\n".repeat(KEPT / 10));
        let last = "last words\n".repeat(100);
        let mut left = last.as_bytes();
        console.take_rest(&line, |bytes| left.read(bytes).unwrap());
        let told = line.taken();
        line.room.set(true);
        assert!(console.is_due(&line));
        write(&mut console, &line, Instant::ZERO, "");
        let shown = line.taken();
        assert!(shown.starts_with("some text\n") && shown.ends_with(&last), "{shown}");
        assert_eq!(told, format!("({} lost)", console.lost()));
        assert_eq!(shown.len() as u64 + console.lost(), (KEPT / 10 * 10 + last.len()) as u64);
    }
}
