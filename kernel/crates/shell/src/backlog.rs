//! The backlog of a guest's output: its last `N` bytes, and the position up to which they have been shown.

/// How a chunk of output ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineEnd {
    /// At the end of its line.
    Line,
    /// With a lone carriage return: the following output overwrites the line.
    Return,
    /// Within its line: more of it may follow.
    Open,
}

/// A chunk of a guest's output, at most one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputChunk<'a> {
    /// Its text without line end and carriage return, in two parts if it wraps around the end of the ring.
    pub text: [&'a [u8]; 2],
    /// How it ends.
    pub end: LineEnd,
    /// Length in the backlog, with line end and carriage return: the argument for [`Backlog::shown`].
    pub length: usize,
}

impl OutputChunk<'_> {
    /// Length of its text in bytes.
    #[must_use]
    pub fn text_length(&self) -> usize {
        self.text[0].len() + self.text[1].len()
    }
}

/// The last `N` bytes that a guest wrote. Positions count bytes since the guest's first one.
///
/// ```
/// use shell::{Backlog, LineEnd};
///
/// let mut backlog = Backlog::<8192>::new();
/// b"Linux version 6.1\r\nlogin: ".iter().for_each(|&byte| backlog.push(byte));
///
/// let line = backlog.next(80).unwrap();
/// assert_eq!((line.text.concat().as_slice(), line.end), (&b"Linux version 6.1"[..], LineEnd::Line));
/// let length = line.length;
/// backlog.shown(length);
/// assert_eq!(backlog.next(80).unwrap().end, LineEnd::Open);
/// ```
#[derive(Clone, Debug)]
pub struct Backlog<const N: usize> {
    ring: [u8; N],
    written: u64,
    shown: u64,
    lost: u64,
    /// True when the first byte that has not been shown is not the first of its line, whose beginning was lost.
    torn: bool,
}

impl<const N: usize> Default for Backlog<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Backlog<N> {
    /// An empty backlog.
    #[must_use]
    pub const fn new() -> Self {
        Self { ring: [0; N], written: 0, shown: 0, lost: 0, torn: false }
    }

    /// The number of bytes that have not been shown.
    #[must_use]
    pub fn waiting(&self) -> usize {
        usize::try_from(self.written - self.shown).unwrap_or(N) // at most N
    }

    /// The number of bytes that can be added before one is lost that has not been shown.
    #[must_use]
    pub fn room(&self) -> usize {
        N - self.waiting()
    }

    /// The number of bytes that were lost before they were shown, since the guest's first one.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds a byte. In a full backlog it replaces the oldest byte, which counts as lost if it has not been shown.
    /// A run of carriage returns is kept as one.
    pub fn push(&mut self, byte: u8) {
        if byte == b'\r' && self.waiting() > 0 && self.at(self.waiting() - 1) == b'\r' {
            return;
        }
        let at = self.index(self.written);
        if self.room() == 0 {
            self.torn = self.ring[at] != b'\n';
            self.shown += 1;
            self.lost += 1;
        }
        self.ring[at] = byte;
        self.written += 1;
    }

    /// Skips a line whose beginning was lost; its rest counts as lost, too.
    pub fn skip_torn_line(&mut self) {
        if self.torn
            && let Some(end) = (0..self.waiting()).find(|&offset| self.at(offset) == b'\n')
        {
            self.shown += end as u64 + 1;
            self.lost += end as u64 + 1;
            self.torn = false;
        }
    }

    /// The next output to show: up to the end of its line, to a carriage return or to the last byte written; at
    /// most `longest` bytes of text.
    #[must_use]
    pub fn next(&self, longest: usize) -> Option<OutputChunk<'_>> {
        let waiting = self.waiting();
        let length = (0..waiting).find(|&offset| matches!(self.at(offset), b'\n' | b'\r')).unwrap_or(waiting);
        if length > longest {
            return Some(self.chunk(longest, LineEnd::Open, longest));
        }
        let behind = length + usize::from(length < waiting && self.at(length) == b'\r');
        if behind == waiting {
            // It is not known yet whether a line end follows the carriage return.
            return (length > 0).then(|| self.chunk(length, LineEnd::Open, length));
        }
        Some(match self.at(behind) {
            b'\n' => self.chunk(length, LineEnd::Line, behind + 1),
            _ => self.chunk(length, LineEnd::Return, behind),
        })
    }

    /// Marks the next `length` bytes as shown.
    pub fn shown(&mut self, length: usize) {
        self.shown += length.min(self.waiting()) as u64;
        self.torn = false;
    }

    /// Goes back so that the last `lines` lines are shown again, as far as they are kept; an unfinished line
    /// counts. Output that has not been shown is never skipped.
    pub fn rewind(&mut self, lines: usize) {
        let kept = self.written.min(N as u64);
        // The positions where lines begin, last first. The first byte kept is known to begin a line only while
        // nothing has been overwritten.
        let begins = (self.written - kept..self.written).rev().filter(|&at| match at.checked_sub(1) {
            Some(before) => at > self.written - kept && self.ring[self.index(before)] == b'\n',
            None => true,
        });
        if let Some(start) = begins.take(lines).last()
            && start < self.shown
        {
            self.shown = start;
            self.torn = false;
        }
    }

    /// The place of a position in the ring.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is smaller than N, a usize")]
    fn index(&self, position: u64) -> usize {
        (position % N as u64) as usize
    }

    /// The byte at `offset` from the first one that has not been shown.
    fn at(&self, offset: usize) -> u8 {
        self.ring[self.index(self.shown + offset as u64)]
    }

    fn chunk(&self, text: usize, end: LineEnd, length: usize) -> OutputChunk<'_> {
        let start = self.index(self.shown);
        let first = text.min(N - start);
        OutputChunk { text: [&self.ring[start..start + first], &self.ring[..text - first]], end, length }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::String;
    use std::vec::Vec;

    fn with<const N: usize>(text: &str) -> Backlog<N> {
        let mut backlog = Backlog::new();
        text.bytes().for_each(|byte| backlog.push(byte));
        backlog
    }

    fn take<const N: usize>(backlog: &mut Backlog<N>, longest: usize) -> Option<(String, LineEnd)> {
        let chunk = backlog.next(longest)?;
        let text = String::from_utf8(chunk.text.concat()).unwrap();
        assert_eq!(text.len(), chunk.text_length());
        let (end, length) = (chunk.end, chunk.length);
        backlog.shown(length);
        Some((text, end))
    }

    #[test]
    fn output_is_returned_line_by_line() {
        let mut backlog = with::<64>("one\r\ntwo\n\nprompt# ");
        let taken: Vec<_> = core::iter::from_fn(|| take(&mut backlog, 16)).collect();
        let expected = [
            ("one", LineEnd::Line),
            ("two", LineEnd::Line),
            ("", LineEnd::Line),
            ("prompt# ", LineEnd::Open),
        ];
        assert_eq!(taken, expected.map(|(text, end)| (text.into(), end)));
        assert_eq!(backlog.waiting(), 0);
    }

    #[test]
    fn a_carriage_return_waits_for_what_follows() {
        let mut backlog = with::<64>("10%\r");
        assert_eq!(take(&mut backlog, 16), Some(("10%".into(), LineEnd::Open)));
        assert_eq!(take(&mut backlog, 16), None);
        backlog.push(b'2');
        assert_eq!(take(&mut backlog, 16), Some((String::new(), LineEnd::Return)));
        assert_eq!(take(&mut backlog, 16), Some(("2".into(), LineEnd::Open)));
        let mut backlog = with::<8>("\r\r\r\r\r\r\r\r\r\r");
        assert_eq!((backlog.waiting(), take(&mut backlog, 16)), (1, None));
        let mut backlog = with::<64>("a\r\r\nb\rc");
        assert_eq!(take(&mut backlog, 16), Some(("a".into(), LineEnd::Line)));
        assert_eq!(take(&mut backlog, 16), Some(("b".into(), LineEnd::Return)));
    }

    #[test]
    fn long_lines_are_split() {
        let mut backlog = with::<64>("abcdefgh\n");
        assert_eq!(take(&mut backlog, 3), Some(("abc".into(), LineEnd::Open)));
        assert_eq!(take(&mut backlog, 5), Some(("defgh".into(), LineEnd::Line)));
    }

    #[test]
    fn bytes_lost_before_they_were_shown_are_counted() {
        let mut backlog = with::<8>("0123456789");
        assert_eq!((backlog.lost(), backlog.waiting(), backlog.room()), (2, 8, 0));
        assert_eq!(take(&mut backlog, 64), Some(("23456789".into(), LineEnd::Open)));
        backlog.push(b'x');
        assert_eq!(backlog.lost(), 2, "a byte that was shown is not lost");
    }

    #[test]
    fn a_rewind_shows_the_last_lines_again() {
        let mut backlog = with::<64>("one\ntwo\nthree\n# ");
        while take(&mut backlog, 64).is_some() {}
        backlog.rewind(2);
        assert_eq!(take(&mut backlog, 64), Some(("three".into(), LineEnd::Line)));
        assert_eq!(take(&mut backlog, 64), Some(("# ".into(), LineEnd::Open)));
        backlog.rewind(9);
        assert_eq!(take(&mut backlog, 64), Some(("one".into(), LineEnd::Line)));
    }

    #[test]
    fn a_rewind_after_a_whole_line_begins_with_a_whole_line() {
        let mut backlog = with::<64>("one\ntwo\n");
        while take(&mut backlog, 64).is_some() {}
        backlog.rewind(1);
        assert_eq!(take(&mut backlog, 64), Some(("two".into(), LineEnd::Line)));
    }

    #[test]
    fn a_rewind_never_skips_output_that_was_not_shown() {
        let mut backlog = with::<64>("one\ntwo\nthree\n");
        backlog.rewind(1);
        assert_eq!(take(&mut backlog, 64), Some(("one".into(), LineEnd::Line)));
    }

    #[test]
    fn a_rewind_reaches_back_to_the_first_whole_line_that_is_kept() {
        let mut backlog = with::<8>("0123\n56\n8");
        while take(&mut backlog, 64).is_some() {}
        backlog.rewind(5);
        assert_eq!(take(&mut backlog, 64), Some(("56".into(), LineEnd::Line)));
        let mut backlog = with::<8>("0123456789");
        while take(&mut backlog, 64).is_some() {}
        backlog.rewind(5);
        assert_eq!(take(&mut backlog, 64), None, "no whole line is kept");
    }

    #[test]
    fn a_line_that_lost_its_beginning_can_be_skipped() {
        let mut backlog = with::<8>("0123\n56\n8");
        backlog.skip_torn_line();
        assert_eq!(take(&mut backlog, 64), Some(("56".into(), LineEnd::Line)));
        assert_eq!(backlog.lost(), 5);
        let mut backlog = with::<8>("0\n23\n56\n89");
        backlog.skip_torn_line();
        assert_eq!(take(&mut backlog, 64), Some(("23".into(), LineEnd::Line)), "a whole line stays");
        assert_eq!(backlog.lost(), 2);
    }
}
