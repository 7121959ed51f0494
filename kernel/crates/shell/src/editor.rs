//! The line that is being typed. What it writes needs no more of a terminal than backspace.

use crate::PROMPT;
use crate::history::History;
use core::fmt::{self, Write};
use heapless::String;

/// Longest line.
pub const LINE: usize = 120;

const INTERRUPT: u8 = 0x03;
const END: u8 = 0x04;
const BELL: &str = "\x07";
const BACKSPACE: u8 = 0x08;
const TAB: u8 = b'\t';
const KILL_LINE: u8 = 0x15;
const KILL_WORD: u8 = 0x17;
const ESCAPE: u8 = 0x1b;
const DELETE: u8 = 0x7f;

/// What a typed byte has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The line is longer, shorter or as it was.
    Edited,
    /// The line is complete: [`Editor::text`] is it until [`Editor::clear`].
    Line,
    /// Ctrl-C: the line is given up.
    GivenUp,
    /// Tab: the line may be completed.
    Complete,
    /// Ctrl-D on an empty line: the operator leaves.
    Leave,
}

/// How far a sequence of an arrow key or its like has come [ECMA-48 5.4].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sequence {
    #[default]
    None,
    Escape,
    Parameters,
}

/// A line editor with a history.
#[derive(Clone, Debug, Default)]
pub struct Editor {
    line: String<LINE>,
    history: History,
    sequence: Sequence,
    /// The last byte was a carriage return: a line feed behind it belongs to it.
    returned: bool,
}

impl Editor {
    /// An editor with an empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The line so far.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.line
    }

    /// Begins a new line.
    pub fn clear(&mut self) {
        self.line.clear();
        self.history.forget_place();
    }

    /// Writes prompt and line.
    ///
    /// # Errors
    /// As `out`.
    pub fn draw(&self, out: &mut dyn Write) -> fmt::Result {
        write!(out, "{PROMPT}{}", self.line)
    }

    /// Adds text to the line as far as there is room, and writes it.
    ///
    /// # Errors
    /// As `out`.
    pub fn insert(&mut self, text: &str, out: &mut dyn Write) -> fmt::Result {
        for character in text.chars() {
            if self.line.push(character).is_err() {
                return out.write_str(BELL);
            }
            out.write_char(character)?;
        }
        Ok(())
    }

    /// Works on a typed byte, and writes what the operator sees of it.
    ///
    /// # Errors
    /// As `out`; the byte has done its work nevertheless.
    pub fn typed(&mut self, byte: u8, out: &mut dyn Write) -> Result<Event, fmt::Error> {
        let returned = core::mem::replace(&mut self.returned, byte == b'\r');
        if self.is_sequence(byte, out)? {
            return Ok(Event::Edited);
        }
        match byte {
            b'\n' if returned => {}
            b'\r' | b'\n' => {
                self.history.remember(&self.line);
                out.write_str("\n")?;
                return Ok(Event::Line);
            }
            INTERRUPT => {
                self.clear();
                out.write_str("^C\n")?;
                return Ok(Event::GivenUp);
            }
            END if self.line.is_empty() => {
                out.write_str("\n")?;
                return Ok(Event::Leave);
            }
            TAB => return Ok(Event::Complete),
            BACKSPACE | DELETE => self.erase(1, out)?,
            KILL_LINE => self.erase(self.line.len(), out)?,
            KILL_WORD => {
                let kept = self.line.trim_end_matches(' ').rfind(' ').map_or(0, |blank| blank + 1);
                self.erase(self.line.len() - kept, out)?;
            }
            0x20..=0x7e => self.insert(char::from(byte).encode_utf8(&mut [0; 4]), out)?,
            _ => {} // no key of the shell's
        }
        Ok(Event::Edited)
    }

    /// True when the byte belongs to an escape sequence. Arrows up and down lead through the history.
    fn is_sequence(&mut self, byte: u8, out: &mut dyn Write) -> Result<bool, fmt::Error> {
        let (next, is_sequence) = match (self.sequence, byte) {
            (_, ESCAPE) => (Sequence::Escape, true),
            (Sequence::Escape, b'[' | b'O') => (Sequence::Parameters, true),
            (Sequence::Parameters, 0x20..=0x3f) => (Sequence::Parameters, true),
            (Sequence::Parameters, 0x40..=0x7e) => {
                let recalled = match byte {
                    b'A' => self.history.earlier(),
                    b'B' => self.history.later(),
                    _ => None,
                };
                // The history's lines are no longer than this one may be.
                if let Some(line) = recalled.and_then(|line| String::<LINE>::try_from(line).ok()) {
                    self.replace(&line, out)?;
                }
                (Sequence::None, true)
            }
            // Alt with a key, or a sequence that broke off: the byte is typed as itself.
            (Sequence::None | Sequence::Escape | Sequence::Parameters, _) => (Sequence::None, false),
        };
        self.sequence = next;
        Ok(is_sequence)
    }

    fn replace(&mut self, line: &str, out: &mut dyn Write) -> fmt::Result {
        self.erase(self.line.len(), out)?;
        self.insert(line, out)
    }

    /// Takes the last `count` characters away; the line has only ASCII in it.
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
