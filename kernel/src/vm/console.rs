//! A guest's serial output, gathered into lines.

use crate::log::output;
use base::{Duration, Instant};

/// Longest line shown in one piece.
const LINE: usize = 512;
/// An unfinished line is shown when nothing has followed for so long: a prompt.
const PATIENCE: Duration = Duration::from_millis(20);

/// What a guest has written since the last line end.
pub struct Console {
    line: heapless::Vec<u8, LINE>,
    last: Instant,
}

impl Console {
    /// An empty line.
    pub fn new() -> Self {
        Self { line: heapless::Vec::new(), last: Instant::ZERO }
    }

    /// Takes a byte; false when it must be offered again later, because the line it ends cannot be shown yet.
    pub fn push(&mut self, guest: usize, name: &str, byte: u8, now: Instant) -> bool {
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
