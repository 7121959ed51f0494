//! What is wrong in a file, and where.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Something wrong in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which file.
    pub file: PathBuf,
    /// Line, counted from 1.
    pub line: usize,
    /// The field, as a path into the file with tables counted from 0, like `vm[0].memory`; empty for what
    /// concerns no field.
    pub field: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file.display(), self.line)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// The mistakes of one file.
pub struct Report<'a> {
    file: &'a Path,
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl<'a> Report<'a> {
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text, mistakes: Vec::new() }
    }

    /// Notes a mistake at a place in the text.
    pub fn add(&mut self, at: &Range<usize>, field: &str, message: impl Into<String>) {
        let line = self.line(at);
        self.mistakes.push(Mistake {
            file: self.file.into(),
            line,
            field: field.into(),
            message: message.into(),
        });
    }

    /// The line of a place in the text, counted from 1.
    pub fn line(&self, at: &Range<usize>) -> usize {
        self.text.bytes().take(at.start).filter(|byte| *byte == b'\n').count() + 1
    }

    /// All of them, in the order of lines.
    pub fn into_mistakes(mut self) -> Vec<Mistake> {
        self.mistakes.sort_by_key(|mistake| mistake.line);
        self.mistakes
    }
}
