//! A guest's serial output, gathered into lines.

use crate::log::output;
use base::{Duration, Instant};

/// Longest line shown in one piece.
const LINE: usize = 512;
/// An unfinished line is shown when nothing has followed for so long: a prompt.
const PATIENCE: Duration = Duration::from_millis(20);

/// Bytes taken from the guest's UART at a time.
const TAKEN: usize = 64;

/// What a guest has written since the last line end.
pub struct Console {
    line: heapless::Vec<u8, LINE>,
    last: Instant,
    /// Taken from the UART and not yet in the line.
    taken: heapless::Deque<u8, TAKEN>,
}

impl Console {
    /// An empty line.
    pub fn new() -> Self {
        Self { line: heapless::Vec::new(), last: Instant::ZERO, taken: heapless::Deque::new() }
    }

    /// Shows what `take` gives of the guest's output; true when all of it could be shown. What cannot stays
    /// with the guest, whose UART fills up and makes it wait.
    pub fn show_all(
        &mut self,
        guest: usize,
        name: &str,
        now: Instant,
        mut take: impl FnMut(&mut [u8]) -> usize,
    ) -> bool {
        loop {
            while let Some(&byte) = self.taken.front() {
                if !self.push(guest, name, byte, now) {
                    return false;
                }
                self.taken.pop_front();
            }
            let mut bytes = [0; TAKEN];
            let count = take(&mut bytes).min(TAKEN);
            if count == 0 {
                return true;
            }
            self.taken.extend(bytes[..count].iter().copied());
        }
    }

    /// Takes a byte; false when it must be offered again later, because the line it ends cannot be shown yet.
    fn push(&mut self, guest: usize, name: &str, byte: u8, now: Instant) -> bool {
        if byte == b'\n' {
            // An empty line that continues a shown one only ends it.
            let shown = output::console(guest, name, &self.line, true);
            if shown {
                self.line.clear();
            }
            return shown;
        }
        if byte == b'\r' {
            return true; // the line end follows
        }
        if self.line.is_full() && !self.show(guest, name) {
            return false;
        }
        self.last = now;
        self.line.push(byte).is_ok()
    }

    /// Shows what has been waiting for its line end too long.
    pub fn advance(&mut self, guest: usize, name: &str, now: Instant) {
        if self.next_deadline().is_some_and(|due| due <= now) {
            self.show(guest, name);
        }
    }

    /// When [`advance`](Self::advance) has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        (!self.line.is_empty()).then(|| self.last + PATIENCE)
    }

    fn show(&mut self, guest: usize, name: &str) -> bool {
        let shown = output::console(guest, name, &self.line, false);
        if shown {
            self.line.clear();
        }
        shown
    }
}
