//! What is kept of a guest's output: the last `N` bytes, and how far they have been shown.

/// How a piece of output ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its line.
    Line,
    /// With a carriage return alone: what follows is written over it.
    Return,
    /// It does not: more of the line may follow.
    Open,
}

/// The next output to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its text, in two parts where it goes round the end of the ring; line ends and carriage returns left out.
    pub text: [&'a [u8]; 2],
    /// How it ends.
    pub end: End,
    /// Bytes of output that it stands for, to be told to [`Backlog::shown`].
    pub length: usize,
}

impl Piece<'_> {
    /// Bytes of its text.
    #[must_use]
    pub fn text_length(&self) -> usize {
        self.text[0].len() + self.text[1].len()
    }
}

/// The last `N` bytes that a guest wrote. Positions count bytes since the guest's first.
#[derive(Clone, Debug)]
pub struct Backlog<const N: usize> {
    ring: [u8; N],
    written: u64,
    shown: u64,
    lost: u64,
    /// The first byte that has not been shown is not the first of its line: that was lost.
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

    /// Bytes that have not been shown.
    #[must_use]
    pub fn waiting(&self) -> usize {
        (self.written - self.shown) as usize // at most N
    }

    /// Bytes that can be added before one that has not been shown is lost.
    #[must_use]
    pub fn room(&self) -> usize {
        N - self.waiting()
    }

    /// Bytes that were lost before they were shown, since the guest's first.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds a byte; the oldest makes room for it, and counts as lost if it has not been shown. Carriage returns in
    /// a row are one.
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

    /// Goes on to the next whole line where the beginning of one was lost; the rest of it counts as lost, too.
    pub fn skip_torn_line(&mut self) {
        if self.torn
            && let Some(end) = (0..self.waiting()).find(|&offset| self.at(offset) == b'\n')
        {
            self.shown += end as u64 + 1;
            self.lost += end as u64 + 1;
            self.torn = false;
        }
    }

    /// The next output to show: to the end of its line, its carriage return, or what there is; at most
    /// `longest` bytes of text.
    #[must_use]
    pub fn next(&self, longest: usize) -> Option<Piece<'_>> {
        let waiting = self.waiting();
        let length = (0..waiting).find(|&offset| matches!(self.at(offset), b'\n' | b'\r')).unwrap_or(waiting);
        if length > longest {
            return Some(self.piece(longest, End::Open, longest));
        }
        let behind = length + usize::from(length < waiting && self.at(length) == b'\r');
        if behind == waiting {
            // Whether a line end follows the carriage return is not known yet.
            return (length > 0).then(|| self.piece(length, End::Open, length));
        }
        Some(match self.at(behind) {
            b'\n' => self.piece(length, End::Line, behind + 1),
            _ => self.piece(length, End::Return, behind),
        })
    }

    /// The first `length` bytes that waited have been shown.
    pub fn shown(&mut self, length: usize) {
        self.shown += length.min(self.waiting()) as u64;
        self.torn = false;
    }

    /// Has the last `lines` lines shown again as far as they are kept, the unfinished one counted, and what has
    /// not been shown anyway.
    pub fn rewind(&mut self, lines: usize) {
        let kept = self.written.min(N as u64);
        // Where lines begin, from the last on. The first byte kept is known to begin one while nothing is gone.
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

    fn index(&self, position: u64) -> usize {
        (position % N as u64) as usize
    }

    /// The byte `offset` behind what has been shown.
    fn at(&self, offset: usize) -> u8 {
        self.ring[self.index(self.shown + offset as u64)]
    }

    fn piece(&self, text: usize, end: End, length: usize) -> Piece<'_> {
        let start = self.index(self.shown);
        let first = text.min(N - start);
        Piece { text: [&self.ring[start..start + first], &self.ring[..text - first]], end, length }
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

    fn take<const N: usize>(backlog: &mut Backlog<N>, longest: usize) -> Option<(String, End)> {
        let piece = backlog.next(longest)?;
        let text = String::from_utf8(piece.text.concat()).unwrap();
        assert_eq!(text.len(), piece.text_length());
        let (end, length) = (piece.end, piece.length);
        backlog.shown(length);
        Some((text, end))
    }

    #[test]
    fn output_comes_line_by_line() {
        let mut backlog = with::<64>("one\r\ntwo\n\nprompt# ");
        let taken: Vec<_> = core::iter::from_fn(|| take(&mut backlog, 16)).collect();
        let expected = [("one", End::Line), ("two", End::Line), ("", End::Line), ("prompt# ", End::Open)];
        assert_eq!(taken, expected.map(|(text, end)| (text.into(), end)));
        assert_eq!(backlog.waiting(), 0);
    }

    #[test]
    fn a_carriage_return_waits_for_what_follows() {
        let mut backlog = with::<64>("10%\r");
        assert_eq!(take(&mut backlog, 16), Some(("10%".into(), End::Open)));
        assert_eq!(take(&mut backlog, 16), None);
        backlog.push(b'2');
        assert_eq!(take(&mut backlog, 16), Some((String::new(), End::Return)));
        assert_eq!(take(&mut backlog, 16), Some(("2".into(), End::Open)));
        let mut backlog = with::<8>("\r\r\r\r\r\r\r\r\r\r");
        assert_eq!((backlog.waiting(), take(&mut backlog, 16)), (1, None));
        let mut backlog = with::<64>("a\r\r\nb\rc");
        assert_eq!(take(&mut backlog, 16), Some(("a".into(), End::Line)));
        assert_eq!(take(&mut backlog, 16), Some(("b".into(), End::Return)));
    }

    #[test]
    fn long_lines_come_in_parts() {
        let mut backlog = with::<64>("abcdefgh\n");
        assert_eq!(take(&mut backlog, 3), Some(("abc".into(), End::Open)));
        assert_eq!(take(&mut backlog, 5), Some(("defgh".into(), End::Line)));
    }

    #[test]
    fn what_is_lost_unshown_is_counted() {
        let mut backlog = with::<8>("0123456789");
        assert_eq!((backlog.lost(), backlog.waiting(), backlog.room()), (2, 8, 0));
        assert_eq!(take(&mut backlog, 64), Some(("23456789".into(), End::Open)));
        backlog.push(b'x');
        assert_eq!(backlog.lost(), 2, "a byte that was shown is not lost");
    }

    #[test]
    fn a_rewind_shows_the_last_lines_again() {
        let mut backlog = with::<64>("one\ntwo\nthree\n# ");
        while take(&mut backlog, 64).is_some() {}
        backlog.rewind(2);
        assert_eq!(take(&mut backlog, 64), Some(("three".into(), End::Line)));
        assert_eq!(take(&mut backlog, 64), Some(("# ".into(), End::Open)));
        backlog.rewind(9);
        assert_eq!(take(&mut backlog, 64), Some(("one".into(), End::Line)));
    }

    #[test]
    fn a_rewind_after_a_whole_line_begins_with_a_whole_line() {
        let mut backlog = with::<64>("one\ntwo\n");
        while take(&mut backlog, 64).is_some() {}
        backlog.rewind(1);
        assert_eq!(take(&mut backlog, 64), Some(("two".into(), End::Line)));
    }

    #[test]
    fn a_rewind_never_skips_what_was_not_shown() {
        let mut backlog = with::<64>("one\ntwo\nthree\n");
        backlog.rewind(1);
        assert_eq!(take(&mut backlog, 64), Some(("one".into(), End::Line)));
    }

    #[test]
    fn a_rewind_reaches_back_to_the_first_whole_line_that_is_kept() {
        let mut backlog = with::<8>("0123\n56\n8");
        while take(&mut backlog, 64).is_some() {}
        backlog.rewind(5);
        assert_eq!(take(&mut backlog, 64), Some(("56".into(), End::Line)));
        let mut backlog = with::<8>("0123456789");
        while take(&mut backlog, 64).is_some() {}
        backlog.rewind(5);
        assert_eq!(take(&mut backlog, 64), None, "no whole line is kept");
    }

    #[test]
    fn a_line_that_lost_its_beginning_can_be_left_out() {
        let mut backlog = with::<8>("0123\n56\n8");
        backlog.skip_torn_line();
        assert_eq!(take(&mut backlog, 64), Some(("56".into(), End::Line)));
        assert_eq!(backlog.lost(), 5);
        let mut backlog = with::<8>("0\n23\n56\n89");
        backlog.skip_torn_line();
        assert_eq!(take(&mut backlog, 64), Some(("23".into(), End::Line)), "a whole line stays");
        assert_eq!(backlog.lost(), 2);
    }
}
