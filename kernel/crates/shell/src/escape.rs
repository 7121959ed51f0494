//! Escape sequences and control strings as terminals send and receive them.

/// After this many bytes a control string without an end counts as text again. Titles, links and answers of
/// terminals are far shorter.
const LONGEST_STRING: u16 = 4096;

const BELL: u8 = 0x07;
const CANCEL: u8 = 0x18;
const SUBSTITUTE: u8 = 0x1a;
const ESCAPE: u8 = 0x1b;

/// The position within a sequence [ECMA-48 5.3 to 5.6].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum SequenceState {
    #[default]
    Text,
    /// After ESC, and intermediate bytes that follow it.
    Escape,
    /// After ESC [ (CSI) or ESC O (SS3, as keys send it), up to the final byte.
    Parameters,
    /// Within the string that DCS, SOS, OSC, PM or APC opens, with the bytes that it may still have.
    String(u16),
    /// After an ESC within a string: `\` makes it the string terminator.
    StringEscape,
}

/// What a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SequencePart {
    /// It belongs to no sequence: text, or a control character.
    Text,
    /// It belongs to a sequence.
    Inside,
    /// It ends a sequence of ESC and one or more bytes, as Alt with a key sends it.
    Short,
    /// It ends a sequence that CSI or SS3 has opened.
    Final(u8),
}

/// Tells the bytes of sequences from text.
///
/// A control character ends an incomplete sequence and counts for itself, so that what comes after is not lost to
/// the reader. A string ends with the string terminator [ECMA-48 8.3.143] or, as terminals accept it, with BEL.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SequenceParser(SequenceState);

impl SequenceParser {
    pub(crate) fn next(&mut self, byte: u8) -> SequencePart {
        use SequenceState::{Escape, Parameters, String, StringEscape, Text};
        let (state, part) = match (self.0, byte) {
            (String(_), ESCAPE) => (StringEscape, SequencePart::Inside),
            (_, ESCAPE) => (Escape, SequencePart::Inside),
            (Escape | StringEscape, b'[' | b'O') => (Parameters, SequencePart::Inside),
            (Escape | StringEscape, b'P' | b'X' | b']'..=b'_') => {
                (String(LONGEST_STRING), SequencePart::Inside)
            }
            (Escape | StringEscape, 0x20..=0x2f) => (Escape, SequencePart::Inside),
            (StringEscape, b'\\') => (Text, SequencePart::Inside),
            (Escape | StringEscape, 0x30..=0x7e) => (Text, SequencePart::Short),
            (Parameters, 0x20..=0x3f) => (Parameters, SequencePart::Inside),
            (Parameters, 0x40..=0x7e) => (Text, SequencePart::Final(byte)),
            (String(_), BELL | CANCEL | SUBSTITUTE) => (Text, SequencePart::Inside),
            // Backspace, tab, vertical tab and form feed are allowed in a string; the line ends are as well, but
            // a line of output is filtered without its end, and none of a terminal's answers has one.
            (String(left @ 1..), 0x08 | b'\t' | 0x0b | 0x0c | 0x20..) => {
                (String(left - 1), SequencePart::Inside)
            }
            (_, _) => (Text, SequencePart::Text),
        };
        self.0 = state;
        part
    }
}
