//! The keys of `run`: what is typed goes to the machine, except behind the prefix Ctrl-].

/// Ctrl-].
const PREFIX: u8 = 0x1d;

/// For the user, in one line.
pub const KEYS: &str = "Ctrl-] then q quits; 0 to 7: cable of that NIC out or in; u and 0 to 7: the way behind its switch; ?: keys";

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyAction {
    /// This byte is typed into the machine.
    Type(u8),
    /// The machine is to be left.
    Quit,
    /// The cable of this NIC is to be pulled, or put back.
    Cable(usize),
    /// The way behind the first switch of this NIC is to be cut, or restored.
    Behind(usize),
    /// The keys are to be printed.
    Help,
}

/// What was typed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunKeys {
    /// Text.
    #[default]
    Text,
    /// The prefix.
    Prefix,
    /// The prefix and `u`.
    Behind,
}

impl RunKeys {
    /// Takes the next byte and returns what it asks for, if it completes something.
    pub fn take(&mut self, byte: u8) -> Option<KeyAction> {
        let digit = (b'0'..=b'7').contains(&byte).then(|| usize::from(byte - b'0'));
        match (std::mem::take(self), byte, digit) {
            (Self::Text, PREFIX, _) => *self = Self::Prefix,
            (Self::Text, ..) => return Some(KeyAction::Type(byte)),
            (_, b'q' | PREFIX, _) => return Some(KeyAction::Quit),
            (Self::Prefix, b'u', _) => *self = Self::Behind,
            (Self::Prefix, _, Some(nic)) => return Some(KeyAction::Cable(nic)),
            (Self::Behind, _, Some(nic)) => return Some(KeyAction::Behind(nic)),
            _ => return Some(KeyAction::Help),
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn actions(bytes: &[u8]) -> Vec<KeyAction> {
        let mut keys = RunKeys::default();
        bytes.iter().filter_map(|byte| keys.take(*byte)).collect()
    }

    #[test]
    fn only_keys_behind_the_prefix_are_not_typed() {
        let typed = b"qu1?\x03".map(KeyAction::Type);
        assert_eq!(actions(b"qu1?\x03"), typed);
        assert_eq!(actions(b"\x1d1a"), [KeyAction::Cable(1), KeyAction::Type(b'a')]);
        assert_eq!(actions(b"\x1du7u"), [KeyAction::Behind(7), KeyAction::Type(b'u')]);
    }

    #[test]
    fn the_prefix_quits_with_q_or_typed_twice() {
        assert_eq!(actions(b"\x1dq"), [KeyAction::Quit]);
        assert_eq!(actions(b"\x1d\x1d"), [KeyAction::Quit]);
        assert_eq!(actions(b"\x1du\x1d"), [KeyAction::Quit]);
        assert_eq!(actions(b"\x1d"), []);
    }

    #[test]
    fn any_other_key_behind_the_prefix_prints_the_keys_and_ends_it() {
        for wrong in [&b"\x1d?"[..], b"\x1d8", b"\x1dx", b"\x1du8", b"\x1duu"] {
            assert_eq!(actions(wrong), [KeyAction::Help], "{wrong:?}");
        }
        assert_eq!(actions(b"\x1d?5"), [KeyAction::Help, KeyAction::Type(b'5')]);
    }
}
