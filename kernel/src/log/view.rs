//! Which guests' output the serial line shows, and which guest has the keyboard. All in one word, so that all
//! cores see the same.

use core::sync::atomic::{AtomicU64, Ordering};

/// Number for no guest: the shell has the keyboard.
const SHELL: u64 = 0xffff;
const ALL: u64 = 1 << 16;
const CHANGES: u32 = 32;

/// Initially the first guest has the keyboard, and all are shown.
static VIEW: AtomicU64 = AtomicU64::new(ALL);

/// What is shown, and which guest has the keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View(u64);

/// The current view.
pub fn current() -> View {
    View(VIEW.load(Ordering::Relaxed))
}

/// Gives this guest the keyboard; with `all`, the output of the others is shown as well. Only the shell's core
/// changes the view.
pub fn show_guest(guest: usize, all: bool) {
    change(guest as u64 | if all { ALL } else { 0 });
}

/// Gives the shell the keyboard; with `all`, guests' output is shown, otherwise it waits.
pub fn show_shell(all: bool) {
    change(SHELL | if all { ALL } else { 0 });
}

fn change(to: u64) {
    VIEW.store(current().changed().wrapping_add(1) << CHANGES | to, Ordering::Relaxed);
}

impl View {
    /// True when this guest's output is shown.
    pub fn shows(self, guest: usize) -> bool {
        self.has_keyboard(guest) || self.0 & ALL != 0
    }

    /// True when this guest has the keyboard.
    pub fn has_keyboard(self, guest: usize) -> bool {
        self.0 & SHELL == guest as u64
    }

    fn changed(self) -> u64 {
        self.0 >> CHANGES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_noticed_even_if_the_view_stays_the_same() {
        assert!(current().has_keyboard(0) && current().shows(0) && current().shows(3));
        show_guest(2, false);
        let one = current();
        assert!(one.has_keyboard(2) && one.shows(2) && !one.shows(0));
        show_guest(2, false);
        assert_ne!(one, current());
        show_shell(false);
        assert!((0..16).all(|guest| !current().shows(guest) && !current().has_keyboard(guest)));
        show_shell(true);
        assert!((0..16).all(|guest| current().shows(guest) && !current().has_keyboard(guest)));
        show_guest(1, true);
        assert!((0..16).all(|guest| current().shows(guest)) && current().has_keyboard(1));
    }
}
