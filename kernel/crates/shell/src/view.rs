//! Which guests' output the serial line shows, and which guest has the keyboard. All in one word, so that all cores can
//! see the same.

/// Number for no guest: the shell has the keyboard.
const SHELL: u64 = 0xffff;
const ALL: u64 = 1 << 16;
const CHANGES: u32 = 32;

/// What is shown, and which guest has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View(u64);

impl View {
    /// At first the first guest has the keyboard, and all are shown.
    pub const FIRST: Self = Self(ALL);

    /// The view that [`word`](Self::word) was called for.
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The view as one word.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// The next view, in which this guest has the keyboard; with `all`, the output of the others is shown as well.
    #[must_use]
    pub fn with_guest(self, guest: usize, all: bool) -> Self {
        self.next(guest as u64, all)
    }

    /// The next view, in which the shell has the keyboard; with `all`, guests' output is shown, otherwise it waits.
    #[must_use]
    pub fn with_shell(self, all: bool) -> Self {
        self.next(SHELL, all)
    }

    /// True when this guest's output is shown.
    #[must_use]
    pub fn shows(self, guest: usize) -> bool {
        self.has_keyboard(guest) || self.0 & ALL != 0
    }

    /// True when this guest has the keyboard.
    #[must_use]
    pub fn has_keyboard(self, guest: usize) -> bool {
        self.0 & SHELL == guest as u64
    }

    fn next(self, holder: u64, all: bool) -> Self {
        let changes = (self.0 >> CHANGES).wrapping_add(1);
        Self(changes << CHANGES | holder | if all { ALL } else { 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_noticed_even_if_the_view_stays_the_same() {
        let first = View::FIRST;
        assert!(first.has_keyboard(0) && first.shows(0) && first.shows(3));
        let one = first.with_guest(2, false);
        assert!(one.has_keyboard(2) && one.shows(2) && !one.shows(0));
        assert_ne!(one, one.with_guest(2, false));
        let shell = one.with_shell(false);
        assert!((0..16).all(|guest| !shell.shows(guest) && !shell.has_keyboard(guest)));
        let shell = shell.with_shell(true);
        assert!((0..16).all(|guest| shell.shows(guest) && !shell.has_keyboard(guest)));
        let all = shell.with_guest(1, true);
        assert!((0..16).all(|guest| all.shows(guest)) && all.has_keyboard(1));
        assert_eq!(View::from_word(all.word()), all);
    }
}
