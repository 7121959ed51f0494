//! The line editor. Its output needs nothing of a terminal but backspace and bell.

use crate::escape::{SequenceParser, SequencePart};
use crate::history::History;
use core::fmt::{self, Write};
use heapless::String;

/// The shell's prompt.
const PROMPT: &str = "weir> ";

/// Maximum length of a line in bytes.
pub const LINE: usize = 120;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BELL: &str = "\x07";
const BACKSPACE: u8 = 0x08;
const TAB: u8 = b'\t';
const KILL_LINE: u8 = 0x15;
const KILL_WORD: u8 = 0x17;
const DELETE: u8 = 0x7f;

/// The result of a typed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditorEvent {
    /// The line was edited, or the byte had no effect.
    Edited,
    /// Enter: the line is complete. [`Editor::text`] returns it until [`Editor::clear`].
    Line,
    /// Ctrl-C: the line is discarded.
    GivenUp,
    /// Tab: the caller should complete the line.
    Complete,
    /// Ctrl-D on an empty line: the operator leaves the shell.
    Leave,
}

/// A line editor with a history.
///
/// ```
/// use shell::{Editor, EditorEvent};
///
/// let (mut editor, mut screen) = (Editor::new(), String::new());
/// for &byte in b"vm lits\x7f\x7fst" {
///     editor.typed(byte, &mut screen)?;
/// }
/// assert_eq!(editor.typed(b'\r', &mut screen)?, EditorEvent::Line);
/// assert_eq!(editor.text(), "vm list");
/// # Ok::<(), core::fmt::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Editor {
    line: String<LINE>,
    history: History,
    sequence: SequenceParser,
    /// The last byte was a carriage return; a line feed that follows it is part of the same line end.
    returned: bool,
}

impl Editor {
    /// An editor with an empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The current line.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.line
    }

    /// Starts a new line.
    pub fn clear(&mut self) {
        self.line.clear();
        self.history.forget_place();
    }

    /// Writes the prompt and the line.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn draw(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{PROMPT}{}", self.line)
    }

    /// Appends text to the line as far as there is room, and echoes it.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn insert(&mut self, text: &str, out: &mut dyn Write) -> fmt::Result {
        for character in text.chars() {
            if self.line.push(character).is_err() {
                return out.write_str(BELL);
            }
            out.write_char(character)?;
        }
        Ok(())
    }

    /// Processes a typed byte, and writes its echo.
    ///
    /// # Errors
    /// Those of `out`; the byte has taken effect nevertheless.
    pub fn typed(&mut self, byte: u8, out: &mut dyn Write) -> Result<EditorEvent, fmt::Error> {
        let returned = core::mem::replace(&mut self.returned, byte == b'\r');
        if self.is_sequence(byte, out)? {
            return Ok(EditorEvent::Edited);
        }
        match byte {
            b'\n' if returned => {}
            b'\r' | b'\n' => {
                self.history.remember(&self.line);
                out.write_str("\n")?;
                return Ok(EditorEvent::Line);
            }
            INTERRUPT => {
                self.clear();
                out.write_str("^C\n")?;
                return Ok(EditorEvent::GivenUp);
            }
            END if self.line.is_empty() => {
                out.write_str("\n")?;
                return Ok(EditorEvent::Leave);
            }
            TAB => return Ok(EditorEvent::Complete),
            BACKSPACE | DELETE => self.erase(1, out)?,
            KILL_LINE => self.erase(self.line.len(), out)?,
            KILL_WORD => {
                let kept = self.line.trim_end_matches(' ').rfind(' ').map_or(0, |blank| blank + 1);
                self.erase(self.line.len() - kept, out)?;
            }
            0x20..=0x7e => self.insert(char::from(byte).encode_utf8(&mut [0; 4]), out)?,
            _ => {} // not a key of the shell
        }
        Ok(EditorEvent::Edited)
    }

    /// Tells whether the byte belongs to an escape sequence of a special key, or to an answer of the terminal. The up
    /// and down arrows move through the history. Alt with a key, or a key after Esc, is that key.
    fn is_sequence(&mut self, byte: u8, out: &mut dyn Write) -> Result<bool, fmt::Error> {
        let part = self.sequence.next(byte);
        let recalled = match part {
            SequencePart::Final(b'A') => self.history.earlier(),
            SequencePart::Final(b'B') => self.history.later(),
            _ => None,
        };
        // The history's lines have the same maximum length.
        if let Some(line) = recalled.and_then(|line| String::<LINE>::try_from(line).ok()) {
            self.replace(&line, out)?;
        }
        Ok(!matches!(part, SequencePart::Text | SequencePart::Short))
    }

    fn replace(&mut self, line: &str, out: &mut dyn Write) -> fmt::Result {
        self.erase(self.line.len(), out)?;
        self.insert(line, out)
    }

    /// Removes the last `count` characters; the line is ASCII.
    fn erase(&mut self, count: usize, out: &mut dyn Write) -> fmt::Result {
        for _ in 0..count {
            if self.line.pop().is_some() {
                out.write_str("\x08 \x08")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "editor_tests.rs"]
mod tests;
