//! A filter that keeps a guest's output from controlling the terminal.

/// The filter's position within an escape sequence [ECMA-48 5.4].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FilterState {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// After ESC [, up to the final byte.
    Sequence,
}

/// Removes control characters and escape sequences from one guest's output.
///
/// A terminal answers some sequences, and the answer arrives as if it had been typed. Only the guest that has the
/// keyboard may cause such an answer, since it would also get the answers to other guests' sequences.
///
/// ```
/// let mut filter = shell::Plain::default();
/// let shown: Vec<u8> = b"\x1b[1mbold\x1b[0m".iter().filter_map(|&byte| filter.filter(byte)).collect();
/// assert_eq!(shown, b"bold");
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain(FilterState);

impl Plain {
    /// Filters a byte: returns the byte to show, or `None` if it is removed.
    ///
    /// Tabs are kept. Bytes 80h to 9Fh are control characters on a terminal that does not use UTF-8: each is
    /// replaced by a question mark, even within a UTF-8 character.
    pub fn filter(&mut self, byte: u8) -> Option<u8> {
        let (state, shown) = match (self.0, byte) {
            (_, 0x1b) => (FilterState::Escape, None),
            (FilterState::Escape, b'[') => (FilterState::Sequence, None),
            // Intermediate bytes come before the final one.
            (FilterState::Escape, 0x20..=0x2f) => (FilterState::Escape, None),
            (FilterState::Escape, 0x30..=0x7e) => (FilterState::Text, None),
            (FilterState::Sequence, 0x20..=0x3f) => (FilterState::Sequence, None),
            (FilterState::Sequence, 0x40..=0x7e) => (FilterState::Text, None),
            (_, b'\t' | 0x20..=0x7e | 0xa0..) => (FilterState::Text, Some(byte)),
            (_, 0x80..=0x9f) => (FilterState::Text, Some(b'?')),
            (_, ..=0x1f | 0x7f) => (FilterState::Text, None),
        };
        self.0 = state;
        shown
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
        bytes.iter().filter_map(|&byte| plain.filter(byte)).collect()
    }

    #[test]
    fn sequences_are_removed() {
        assert_eq!(plain(b"/ # \x1b[6n"), b"/ # ");
        assert_eq!(plain(b"\x1b[1;31mred\x1b[0m\tblack\x07\x08"), b"red\tblack");
        assert_eq!(plain(b"\x1b(Bx\x1bcy\x1b\x1b[2Jz"), b"xyz");
        assert_eq!(plain(b"\x9b6nx"), b"?6nx");
        assert_eq!(plain(b"\x1b[3\x01mx"), b"mx", "a control character ends the sequence");
    }

    proptest! {
        #[test]
        fn no_control_character_passes_the_filter(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let shown = plain(&bytes);
            prop_assert!(shown.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0xa0..)));
        }

        #[test]
        fn text_passes_unchanged(text in "[ -~\t]{0,80}") {
            prop_assert_eq!(plain(text.as_bytes()), text.as_bytes());
        }
    }
}
