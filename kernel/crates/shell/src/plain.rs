//! A filter that keeps a guest's output from controlling the terminal.

use crate::escape::{SequenceParser, SequencePart};
use heapless::Vec;

/// Longest character in UTF-8.
const LONGEST: usize = 4;

/// Removes control characters, escape sequences and control strings from one guest's output; well-formed UTF-8
/// passes.
///
/// A terminal answers some sequences, and the answer arrives as if it had been typed. Only the guest that has the
/// keyboard may cause such an answer, since it would also get the answers to other guests' sequences. Others could
/// change the title of the window or the colour of all that follows.
///
/// ```
/// let mut filter = shell::Plain::default();
/// let shown: Vec<u8> = b"\x1b[1mbold\x1b[0m".iter().flat_map(|&byte| filter.filter(byte)).collect();
/// assert_eq!(shown, b"bold");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Plain {
    sequence: SequenceParser,
    /// The first bytes of a character that is not complete yet.
    character: Vec<u8, LONGEST>,
}

impl Plain {
    /// Most bytes that [`filter`](Self::filter) returns beyond those that it was given since the line began.
    pub const HELD: usize = LONGEST - 1;

    /// Filters a byte: returns the bytes to show, none if it is removed or if its character is not complete yet.
    ///
    /// Tabs are kept. Bytes that are not UTF-8, and the control characters U+0080 to U+009F, appear as question
    /// marks.
    pub fn filter(&mut self, byte: u8) -> Vec<u8, LONGEST> {
        let mut shown = Vec::new();
        let text = self.sequence.next(byte) == SequencePart::Text;
        if text && byte >= 0x80 {
            self.add(byte, &mut shown);
            return shown;
        }
        if !self.character.is_empty() {
            self.character.clear();
            let _ = shown.push(b'?');
        }
        if text && matches!(byte, b'\t' | 0x20..=0x7e) {
            let _ = shown.push(byte);
        }
        shown
    }

    /// Notes the end of a line, which ends a character that is not complete.
    pub fn end_line(&mut self) {
        self.character.clear();
    }

    /// Adds a byte of a character that takes several. There is room: a character that is not complete is shorter
    /// than the longest, and at most the mark for it precedes the next one.
    fn add(&mut self, byte: u8, shown: &mut Vec<u8, LONGEST>) {
        let _ = self.character.push(byte);
        match core::str::from_utf8(&self.character) {
            Ok(text) if text.chars().any(char::is_control) => drop(shown.push(b'?')),
            Ok(text) => drop(shown.extend_from_slice(text.as_bytes())),
            Err(error) if error.error_len().is_none() => return, // more of it is to come
            Err(_) => {
                let _ = shown.push(b'?');
                let begun = self.character.len() > 1;
                self.character.clear();
                if begun {
                    self.add(byte, shown); // it may be the first of another
                }
                return;
            }
        }
        self.character.clear();
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn plain(bytes: &[u8]) -> Vec<u8> {
        let mut plain = Plain::default();
        bytes.iter().flat_map(|&byte| plain.filter(byte)).collect()
    }

    #[test]
    fn sequences_are_removed() {
        assert_eq!(plain(b"/ # \x1b[6n"), b"/ # ");
        assert_eq!(plain(b"\x1b[1;31mred\x1b[0m\tblack\x07\x08"), b"red\tblack");
        assert_eq!(plain(b"\x1b(Bx\x1bcy\x1b\x1b[2Jz"), b"xyz");
        assert_eq!(plain(b"\x9b6nx"), b"?6nx");
        assert_eq!(plain(b"\x1b[3\x01mx"), b"mx", "a control character ends the sequence");
    }

    #[test]
    fn strings_are_removed_up_to_their_terminator() {
        assert_eq!(plain(b"\x1b]0;root@host: /\x07# "), b"# ", "OSC, title of the window");
        assert_eq!(plain(b"\x1b]3008;start=1;type=boot\x1b\\systemd"), b"systemd", "OSC with ST");
        assert_eq!(plain(b"\x1bP1$r0m\x1b\\x"), b"x", "DCS");
        assert_eq!(plain(b"\x1bXsos\x1b\\a\x1b^pm\x1b\\b\x1b_apc\x1b\\c"), b"abc", "SOS, PM, APC");
        assert_eq!(plain(b"\x1b]0;t\xc3\xbcr\tx\x07y"), b"y", "text of any kind is in it");
        assert_eq!(plain(b"\x1b]0;cut\x18x\x1b]0;cut\x1b[1mx"), b"xx", "CAN and another sequence end it");
        assert_eq!(plain(&[&b"\x1b]"[..], &[b'a'; 4097], b"bc"].concat()), b"abc", "it has a longest length");
    }

    #[test]
    fn well_formed_characters_pass() {
        let text = "grün, Ünïcödé — ✓ 日本 🦀";
        assert_eq!(plain(text.as_bytes()), text.as_bytes());
        assert_eq!(plain("\u{9b}6n \u{85}".as_bytes()), b"?6n ?", "C1 control characters are none");
        assert_eq!(plain(b"\xe2\x9cx \xe2\x9c\xc3\xbc \xff\xc0\x80 \xe2\x1b[mx"), "?x ?ü ??? ?x".as_bytes());
        let mut cut = Plain::default();
        assert_eq!(cut.filter(0xe2), b"");
        cut.end_line();
        assert_eq!(cut.filter(b'x'), b"x", "a line end ends a character");
    }

    proptest! {
        #[test]
        fn no_control_character_passes_the_filter(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let shown = std::string::String::from_utf8(plain(&bytes)).expect("only whole characters are shown");
            prop_assert!(shown.chars().all(|character| character == '\t' || !character.is_control()));
        }

        #[test]
        fn no_more_is_shown_than_was_given_and_held(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            prop_assert!(plain(&bytes).len() <= bytes.len() + Plain::HELD);
        }

        #[test]
        fn text_passes_unchanged(text in "[ -~\t\u{a0}-\u{2fff}]{0,80}") {
            prop_assert_eq!(plain(text.as_bytes()), text.as_bytes());
        }
    }
}
