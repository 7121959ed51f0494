//! A page of text in rows and columns.

use core::fmt::{self, Write};

/// Most columns: 1920 pixels of a font 7 wide.
pub const MAX_COLUMNS: usize = 274;
/// Most rows: 1088 pixels of a font 16 high.
pub const MAX_ROWS: usize = 68;
/// Replaces characters that the font does not have.
const UNKNOWN: u8 = b'?';

/// The characters of a row, padded with blanks.
#[derive(Clone, Copy, Debug)]
pub struct TextRow {
    /// Its place, counted from the top.
    pub row: usize,
    cells: [u8; MAX_COLUMNS],
    columns: usize,
}

impl TextRow {
    /// The characters.
    #[must_use]
    pub fn characters(&self) -> &[u8] {
        &self.cells[..self.columns]
    }
}

/// A page of text that scrolls when it is full. Long lines continue in the next row.
///
/// ```
/// use core::fmt::Write;
///
/// let mut page = screen::ScreenText::new();
/// page.resize(5, 2);
/// page.write_line(|out| out.write_str("hello"));
/// assert_eq!(page.take_stale().unwrap().characters(), b"hello");
/// ```
#[derive(Clone, Debug)]
pub struct ScreenText {
    cells: [[u8; MAX_COLUMNS]; MAX_ROWS],
    columns: usize,
    rows: usize,
    /// Index in `cells` of the top row, so that scrolling copies no text.
    top: usize,
    row: usize,
    column: usize,
    /// Number of rows from `next` on that may differ from what the painter has.
    stale: usize,
    next: usize,
}

impl Default for ScreenText {
    fn default() -> Self {
        Self::new()
    }
}

impl ScreenText {
    /// A page without rows, which discards text.
    #[must_use]
    pub const fn new() -> Self {
        let cells = [[b' '; MAX_COLUMNS]; MAX_ROWS];
        Self { cells, columns: 0, rows: 0, top: 0, row: 0, column: 0, stale: 0, next: 0 }
    }

    /// Clears the page and sets its size, at most [`MAX_COLUMNS`] by [`MAX_ROWS`].
    pub fn resize(&mut self, columns: usize, rows: usize) {
        *self = Self { columns: columns.min(MAX_COLUMNS), rows: rows.min(MAX_ROWS), ..Self::new() };
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds a line, which `write` writes. A line whose formatting fails ends there.
    pub fn write_line(&mut self, write: impl FnOnce(&mut dyn Write) -> fmt::Result) {
        let _ = write(self);
        let _ = self.write_str("\n");
        self.stale = self.rows;
    }

    /// The next row that may have changed since it was taken last; `None` if none has.
    pub fn take_stale(&mut self) -> Option<TextRow> {
        self.stale = self.stale.checked_sub(1)?;
        let row = self.next;
        self.next = (row + 1) % self.rows.max(1);
        let cells = self.cells[(self.top + row) % self.rows.max(1)];
        Some(TextRow { row, cells, columns: self.columns })
    }

    /// Makes this row, which was taken last, the next one again: not all of it was painted.
    pub fn put_back(&mut self, row: &TextRow) {
        self.next = row.row;
        self.stale = (self.stale + 1).min(self.rows);
    }

    /// True if [`take_stale`](Self::take_stale) would return a row.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.stale > 0
    }

    fn put(&mut self, byte: u8) {
        if self.rows == 0 || self.columns == 0 {
            return;
        }
        if byte == b'\n' || self.column == self.columns {
            self.next_row();
        }
        if byte != b'\n' {
            self.cells[(self.top + self.row) % self.rows][self.column] = byte;
            self.column += 1;
        }
    }

    fn next_row(&mut self) {
        self.column = 0;
        if self.row + 1 < self.rows {
            self.row += 1;
        } else {
            self.top = (self.top + 1) % self.rows;
            self.cells[(self.top + self.row) % self.rows].fill(b' ');
        }
    }
}

impl Write for ScreenText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            let shown = character == '\n' || character == ' ' || character.is_ascii_graphic();
            self.put(if shown { character as u8 } else { UNKNOWN });
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

    fn page(columns: usize, rows: usize, text: &str) -> Vec<String> {
        let mut page = ScreenText::new();
        page.resize(columns, rows);
        page.write_str(text).unwrap();
        page.stale = page.rows;
        core::iter::from_fn(|| page.take_stale())
            .map(|row| String::from_utf8(row.characters().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn a_line_makes_every_row_stale_once() {
        let mut page = ScreenText::new();
        page.resize(3, 4);
        assert!(!page.is_stale() && page.take_stale().is_none());
        page.write_line(|out| out.write_str("ab"));
        assert_eq!(page.take_stale().map(|row| row.row), Some(0));
        page.write_line(|out| out.write_str("cd"));
        let rows: Vec<usize> = core::iter::from_fn(|| page.take_stale()).map(|row| row.row).collect();
        assert_eq!(rows, [1, 2, 3, 0]);
        assert!(!page.is_stale());
    }

    #[test]
    fn each_line_starts_a_row() {
        assert_eq!(page(3, 3, "ab\ncd"), ["ab ", "cd ", "   "]);
    }

    #[test]
    fn a_full_page_scrolls() {
        assert_eq!(page(2, 2, "a\nb\nc"), ["b ", "c "]);
        assert_eq!(page(2, 2, "a\nb\nc\nd\ne"), ["d ", "e "]);
    }

    #[test]
    fn a_long_line_continues_in_the_next_row() {
        assert_eq!(page(2, 3, "abc\nd"), ["ab", "c ", "d "]);
        // A line that just fits leaves no empty row after it.
        assert_eq!(page(2, 3, "ab\ncd"), ["ab", "cd", "  "]);
    }

    #[test]
    fn characters_that_the_font_lacks_are_replaced() {
        assert_eq!(page(4, 1, "a\té…"), ["a???"]);
    }

    #[test]
    fn a_page_without_room_accepts_text() {
        assert!(page(0, 0, "ab\ncd\n").is_empty());
        assert_eq!(page(0, 2, "ab\ncd\n"), ["", ""]);
        assert_eq!(page(1000, 1000, "a").len(), MAX_ROWS);
    }
}
