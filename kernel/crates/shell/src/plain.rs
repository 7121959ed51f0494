//! Text without the power of control characters over the terminal.

/// Where in an escape sequence the text stands [ECMA-48 5.4].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind ESC.
    Escape,
    /// Behind ESC [, up to the final byte.
    Sequence,
}

/// Takes control characters and sequences out of one guest's output.
///
/// A terminal answers some sequences as if the answer were typed. Only the guest that has the keyboard may
/// make it do so: the answers to others' would be typed at that guest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain(State);

impl Plain {
    /// The byte as it may be shown, if it may.
    ///
    /// Tabs stay. Bytes 80h to 9Fh are control characters where a terminal does not use UTF-8: a question
    /// mark stands for each, also where it is a part of a character of UTF-8.
    pub fn filter(&mut self, byte: u8) -> Option<u8> {
        let (state, shown) = match (self.0, byte) {
            (_, 0x1b) => (State::Escape, None),
            (State::Escape, b'[') => (State::Sequence, None),
            // Intermediate bytes come before the final one.
            (State::Escape, 0x20..=0x2f) => (State::Escape, None),
            (State::Escape, 0x30..=0x7e) => (State::Text, None),
            (State::Sequence, 0x20..=0x3f) => (State::Sequence, None),
            (State::Sequence, 0x40..=0x7e) => (State::Text, None),
            (_, b'\t' | 0x20..=0x7e | 0xa0..) => (State::Text, Some(byte)),
            (_, 0x80..=0x9f) => (State::Text, Some(b'?')),
            (_, ..=0x1f | 0x7f) => (State::Text, None),
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
    fn sequences_leave_no_trace() {
        assert_eq!(plain(b"/ # \x1b[6n"), b"/ # ");
        assert_eq!(plain(b"\x1b[1;31mred\x1b[0m\tblack\x07\x08"), b"red\tblack");
        assert_eq!(plain(b"\x1b(Bx\x1bcy\x1b\x1b[2Jz"), b"xyz");
        assert_eq!(plain(b"\x9b6nx"), b"?6nx");
        assert_eq!(plain(b"\x1b[3\x01mx"), b"mx", "a control character ends the sequence");
    }

    proptest! {
        #[test]
        fn nothing_that_controls_a_terminal_is_left(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let shown = plain(&bytes);
            prop_assert!(shown.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7e | 0xa0..)));
        }

        #[test]
        fn text_stays_as_it_is(text in "[ -~\t]{0,80}") {
            prop_assert_eq!(plain(text.as_bytes()), text.as_bytes());
        }
    }
}
