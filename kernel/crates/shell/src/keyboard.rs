//! Who gets what is typed: a guest or the shell.

/// Leads from a guest's console to the shell: Ctrl-^, which most terminals send for Ctrl-6 as well.
///
/// It is the escape key of network equipment's consoles, and unlike Ctrl-A, Ctrl-B or Ctrl-] no terminal
/// program between the operator and Weir keeps it for itself.
pub const ESCAPE: u8 = 0x1e;

/// Who has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The guest with this number.
    Guest(usize),
    /// Weir's shell.
    Shell,
}

/// What becomes of a typed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// It is for this guest.
    Guest(usize),
    /// It is for the shell's line editor.
    Shell,
    /// The shell has the keyboard now.
    ToShell,
    /// This guest has the keyboard again, and gets the byte if `through`: the escape key was typed twice.
    ToGuest {
        /// Which guest.
        guest: usize,
        /// The byte is for the guest.
        through: bool,
    },
}

/// The keyboard, which one holder has at a time.
#[derive(Clone, Debug)]
pub struct Keyboard {
    holder: Holder,
    /// The guest that has it, or had it last.
    guest: usize,
    /// The escape key was the last that was typed.
    escaped: bool,
}

impl Keyboard {
    /// A keyboard that this guest has.
    #[must_use]
    pub fn new(guest: usize) -> Self {
        Self { holder: Holder::Guest(guest), guest, escaped: false }
    }

    /// Who has it.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// The guest that has it, or had it last.
    #[must_use]
    pub fn guest(&self) -> usize {
        self.guest
    }

    /// Gives it to a guest.
    pub fn give(&mut self, guest: usize) {
        *self = Self::new(guest);
    }

    /// Says whom a typed byte is for; the escape key moves the keyboard.
    pub fn typed(&mut self, byte: u8) -> Typed {
        let escaped = core::mem::take(&mut self.escaped);
        match (self.holder, byte) {
            (Holder::Guest(_), ESCAPE) => {
                self.holder = Holder::Shell;
                self.escaped = true;
                Typed::ToShell
            }
            (Holder::Guest(guest), _) => Typed::Guest(guest),
            (Holder::Shell, ESCAPE) => {
                self.holder = Holder::Guest(self.guest);
                Typed::ToGuest { guest: self.guest, through: escaped }
            }
            (Holder::Shell, _) => Typed::Shell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_leads_to_the_shell_and_back() {
        let mut keyboard = Keyboard::new(2);
        assert_eq!(keyboard.typed(b'a'), Typed::Guest(2));
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell);
        assert_eq!(keyboard.holder(), Holder::Shell);
        assert_eq!(keyboard.typed(b'a'), Typed::Shell);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToGuest { guest: 2, through: false });
        assert_eq!(keyboard.typed(b'a'), Typed::Guest(2));
    }

    #[test]
    fn the_escape_key_typed_twice_goes_through() {
        let mut keyboard = Keyboard::new(0);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToGuest { guest: 0, through: true });
        assert_eq!(keyboard.holder(), Holder::Guest(0));
        // Each pair stands for itself.
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToGuest { guest: 0, through: true });
    }

    #[test]
    fn a_guest_can_be_given_the_keyboard() {
        let mut keyboard = Keyboard::new(0);
        keyboard.typed(ESCAPE);
        keyboard.give(3);
        assert_eq!(keyboard.typed(b'x'), Typed::Guest(3));
        assert_eq!(keyboard.guest(), 3);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell, "what was typed before does not count");
    }
}
