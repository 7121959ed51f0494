//! Text in rows and columns, as on a screen. It does not paint.

use core::fmt::{self, Write};

/// Most columns: 1920 pixels of a font 7 wide.
pub const MAX_COLUMNS: usize = 274;
/// Most rows: 1088 pixels of a font 16 high.
pub const MAX_ROWS: usize = 68;
/// Replaces characters that the font does not have.
const UNKNOWN: u8 = b'?';

/// A page of text that scrolls when it is full. Long lines continue in the next row.
pub struct Text {
    cells: [[u8; MAX_COLUMNS]; MAX_ROWS],
    columns: usize,
    rows: usize,
    /// Index in `cells` of the top row, so that scrolling copies no text.
    top: usize,
    row: usize,
    column: usize,
}

impl Text {
    /// A page without rows, which discards text.
    pub const fn new() -> Self {
        Self { cells: [[b' '; MAX_COLUMNS]; MAX_ROWS], columns: 0, rows: 0, top: 0, row: 0, column: 0 }
    }

    /// Clears the page and sets its size, at most [`MAX_COLUMNS`] by [`MAX_ROWS`].
    pub fn resize(&mut self, columns: usize, rows: usize) {
        *self = Self { columns: columns.min(MAX_COLUMNS), rows: rows.min(MAX_ROWS), ..Self::new() };
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The characters of a row, counted from the top, padded with blanks.
    pub fn row(&self, row: usize) -> &[u8] {
        &self.cells[(self.top + row) % self.rows.max(1)][..self.columns]
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

impl Write for Text {
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
    use super::*;

    fn page(columns: usize, rows: usize, text: &str) -> Vec<String> {
        let mut page = Text::new();
        page.resize(columns, rows);
        page.write_str(text).unwrap();
        (0..page.rows()).map(|row| String::from_utf8(page.row(row).to_vec()).unwrap()).collect()
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
