//! The history of typed lines.

use crate::editor::LINE;
use heapless::{Deque, String};

/// Number of lines that are remembered.
const DEPTH: usize = 16;

/// The last lines, and the position of the arrow keys among them.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    lines: Deque<String<LINE>, DEPTH>,
    /// Number of lines back: 0 is the line that is being typed.
    back: usize,
}

impl History {
    /// Remembers a line, unless it is empty or equal to the last one. A full history forgets its oldest line.
    pub fn remember(&mut self, line: &String<LINE>) {
        self.back = 0;
        if line.is_empty() || self.lines.back() == Some(line) {
            return;
        }
        if self.lines.is_full() {
            self.lines.pop_front();
        }
        // Cannot fail: a full history has just dropped its oldest line.
        let _ = self.lines.push_back(line.clone());
    }

    /// Moves back by one line and returns it.
    pub fn earlier(&mut self) -> Option<&str> {
        if self.back == self.lines.len() {
            return None;
        }
        self.back += 1;
        self.recalled()
    }

    /// Moves forward by one line and returns it; the line that is being typed is empty.
    pub fn later(&mut self) -> Option<&str> {
        self.back = self.back.checked_sub(1)?;
        if self.back == 0 { Some("") } else { self.recalled() }
    }

    /// Returns to the line that is being typed.
    pub fn forget_place(&mut self) {
        self.back = 0;
    }

    fn recalled(&self) -> Option<&str> {
        self.lines.iter().rev().nth(self.back - 1).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String<LINE> {
        String::try_from(text).unwrap()
    }

    #[test]
    fn lines_are_recalled_latest_first() {
        let mut history = History::default();
        for text in ["one", "two", "two", "", "three"] {
            history.remember(&line(text));
        }
        assert_eq!(history.earlier(), Some("three"));
        assert_eq!(history.earlier(), Some("two"));
        assert_eq!(history.earlier(), Some("one"));
        assert_eq!(history.earlier(), None);
        assert_eq!(history.later(), Some("two"));
        assert_eq!(history.later(), Some("three"));
        assert_eq!(history.later(), Some(""));
        assert_eq!(history.later(), None);
    }

    #[test]
    fn a_full_history_drops_its_oldest_line() {
        let mut history = History::default();
        for number in 0..DEPTH as u8 + 2 {
            history.remember(&line(core::str::from_utf8(&[b'a' + number]).unwrap()));
        }
        let mut oldest = None;
        for _ in 0..DEPTH + 5 {
            if let Some(text) = history.earlier() {
                oldest = text.chars().next();
            }
        }
        assert_eq!(oldest, Some('c'));
    }
}
