//! Routes typed bytes to a guest or to the shell.

/// The key that switches from a guest's console to the shell: Ctrl-^, which most terminals send for Ctrl-6 as
/// well.
///
/// It is the usual escape key on the consoles of network equipment. Unlike Ctrl-A, Ctrl-B or Ctrl-], it is not
/// intercepted by terminal programs between the operator and Weir.
pub const ESCAPE: u8 = 0x1e;

/// The holder of the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The guest with this number.
    Guest(usize),
    /// Weir's shell.
    Shell,
}

/// The destination of a typed byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typed {
    /// This guest gets it.
    Guest(usize),
    /// The shell's line editor gets it.
    Shell,
    /// The byte was the escape key: the shell has the keyboard now.
    ToShell,
    /// The byte was the escape key: this guest has the keyboard again. If `through`, the key was typed twice in a
    /// row, and the guest gets the byte as well.
    ToGuest {
        /// The guest.
        guest: usize,
        /// True if the guest gets the byte.
        through: bool,
    },
}

/// The keyboard, which has one holder at a time.
///
/// ```
/// use shell::{ESCAPE, Keyboard, Typed};
///
/// let mut keyboard = Keyboard::new(Some(0));
/// assert_eq!(keyboard.typed(b'a'), Typed::Guest(0));
/// assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell);
/// assert_eq!(keyboard.typed(b'a'), Typed::Shell);
/// keyboard.give(1);
/// assert_eq!(keyboard.typed(b'a'), Typed::Guest(1));
/// ```
#[derive(Clone, Debug)]
pub struct Keyboard {
    holder: Holder,
    /// The guest that has it, or had it last.
    guest: Option<usize>,
    /// The last typed key was the escape key.
    escaped: bool,
}

impl Keyboard {
    /// A keyboard that is held by this guest; by the shell if there is no guest.
    #[must_use]
    pub fn new(guest: Option<usize>) -> Self {
        Self { holder: guest.map_or(Holder::Shell, Holder::Guest), guest, escaped: false }
    }

    /// The holder.
    #[must_use]
    pub fn holder(&self) -> Holder {
        self.holder
    }

    /// The guest that has it, or had it last.
    #[must_use]
    pub fn guest(&self) -> Option<usize> {
        self.guest
    }

    /// Gives it to a guest.
    pub fn give(&mut self, guest: usize) {
        *self = Self::new(Some(guest));
    }

    /// Routes a typed byte; the escape key changes the holder.
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
                let Some(guest) = self.guest else { return Typed::ToShell };
                self.holder = Holder::Guest(guest);
                Typed::ToGuest { guest, through: escaped }
            }
            (Holder::Shell, _) => Typed::Shell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_key_switches_to_the_shell_and_back() {
        let mut keyboard = Keyboard::new(Some(2));
        assert_eq!(keyboard.typed(b'a'), Typed::Guest(2));
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell);
        assert_eq!(keyboard.holder(), Holder::Shell);
        assert_eq!(keyboard.typed(b'a'), Typed::Shell);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToGuest { guest: 2, through: false });
        assert_eq!(keyboard.typed(b'a'), Typed::Guest(2));
    }

    #[test]
    fn the_escape_key_typed_twice_reaches_the_guest() {
        let mut keyboard = Keyboard::new(Some(0));
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToGuest { guest: 0, through: true });
        assert_eq!(keyboard.holder(), Holder::Guest(0));
        // Each pair is independent.
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToGuest { guest: 0, through: true });
    }

    #[test]
    fn a_guest_can_be_given_the_keyboard() {
        let mut keyboard = Keyboard::new(Some(0));
        keyboard.typed(ESCAPE);
        keyboard.give(3);
        assert_eq!(keyboard.typed(b'x'), Typed::Guest(3));
        assert_eq!(keyboard.guest(), Some(3));
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell, "earlier keys do not count");
    }

    #[test]
    fn without_a_guest_the_shell_keeps_the_keyboard() {
        let mut keyboard = Keyboard::new(None);
        assert_eq!(keyboard.holder(), Holder::Shell);
        assert_eq!(keyboard.typed(ESCAPE), Typed::ToShell);
        assert_eq!((keyboard.typed(b'a'), keyboard.guest()), (Typed::Shell, None));
    }
}
