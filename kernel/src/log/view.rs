//! Which guests' output the serial line shows, and which guest has the keyboard: the same for all cores.

use core::sync::atomic::{AtomicU64, Ordering};
use shell::View;

static VIEW: AtomicU64 = AtomicU64::new(View::FIRST.word());

/// The current view.
pub fn current() -> View {
    View::from_word(VIEW.load(Ordering::Relaxed))
}

/// Gives this guest the keyboard: see [`View::with_guest`]. Only the shell's core changes the view.
pub fn show_guest(guest: usize, all: bool) {
    VIEW.store(current().with_guest(guest, all).word(), Ordering::Relaxed);
}

/// Gives the shell the keyboard: see [`View::with_shell`].
pub fn show_shell(all: bool) {
    VIEW.store(current().with_shell(all).word(), Ordering::Relaxed);
}
