//! The lines that were typed before.

use crate::editor::LINE;
use heapless::{Deque, String};

/// Lines remembered.
const DEPTH: usize = 16;

/// The last lines, and the one that is being looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    lines: Deque<String<LINE>, DEPTH>,
    /// How far back: 0 is the line being typed.
    back: usize,
}

impl History {
    /// Remembers a line, unless it is empty or the same as the last; the oldest makes room.
    pub fn remember(&mut self, line: &String<LINE>) {
        self.back = 0;
        if line.is_empty() || self.lines.back() == Some(line) {
            return;
        }
        if self.lines.is_full() {
            self.lines.pop_front();
        }
        // There is room now.
        let _ = self.lines.push_back(line.clone());
    }

    /// The line before the one being looked at.
    pub fn earlier(&mut self) -> Option<&str> {
        if self.back == self.lines.len() {
            return None;
        }
        self.back += 1;
        self.looked_at()
    }

    /// The line behind it; empty for the one being typed.
    pub fn later(&mut self) -> Option<&str> {
        self.back = self.back.checked_sub(1)?;
        if self.back == 0 { Some("") } else { self.looked_at() }
    }

    /// The line being typed is another.
    pub fn forget_place(&mut self) {
        self.back = 0;
    }

    fn looked_at(&self) -> Option<&str> {
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
    fn lines_come_back_latest_first() {
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
    fn the_oldest_line_makes_room() {
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
