//! A guest's console: what it writes, kept and shown line by line, and what is typed for it.

use crate::log::output;
use crate::log::view::{self, View};
use base::{Duration, Instant};
use shell::{Backlog, LineEnd, Plain};

/// Bytes of output kept: some 100 lines.
const KEPT: usize = 8192;
/// Longest line shown in one piece.
const LINE: usize = 512;
/// Lines shown again when the guest gets the keyboard, besides those that have not been shown.
const SHOWN_AGAIN: usize = 10;
/// An unfinished line is shown when nothing has followed for so long: a prompt.
const PATIENCE: Duration = Duration::from_millis(20);
/// A guest that executes must have exited so often since, too: otherwise it may only have been kept waiting.
const EXITS: u64 = 4;
/// Bytes taken from the guest's UART at a time.
const TAKEN: usize = 64;
/// Bytes that can be typed ahead of the guest.
const TYPED: usize = 256;

/// One guest's console. Its output is always taken and kept; it is shown while the view includes the guest.
pub struct Console {
    kept: Backlog<KEPT>,
    /// When the last output came.
    last: Instant,
    /// How many exits the guest had made then.
    exits: u64,
    /// What has not been shown cannot be before more comes.
    settled: bool,
    /// What it was told last of what is shown.
    view: View,
    plain: Plain,
    /// Output that was lost before it was shown, as far as the operator knows.
    lost_told: u64,
    typed: heapless::Deque<u8, TYPED>,
    /// Typed bytes that found no room.
    typed_lost: u64,
}

impl Console {
    /// An empty console.
    pub fn new() -> Self {
        Self {
            kept: Backlog::new(),
            last: Instant::ZERO,
            exits: 0,
            settled: true,
            view: view::current(),
            plain: Plain::default(),
            lost_told: 0,
            typed: heapless::Deque::new(),
            typed_lost: 0,
        }
    }

    /// True when what is shown has changed since [`show_all`](Self::show_all) was called.
    pub fn view_changed(&self) -> bool {
        self.view != view::current()
    }

    /// Takes what `take` gives of the output of a guest that has made so many exits, and shows its whole lines if
    /// they are to be shown; true when nothing is left to do. Output that the serial line has no room for stays with the guest, whose
    /// UART fills up and makes it wait.
    pub fn show_all(
        &mut self,
        guest: usize,
        name: &str,
        (now, exits): (Instant, u64),
        mut take: impl FnMut(&mut [u8]) -> usize,
    ) -> bool {
        self.follow_view(guest, name);
        let shown = self.view.shows(guest);
        loop {
            let all_shown = !shown || self.show(guest, name, false);
            let room = if shown { self.kept.room().min(TAKEN) } else { TAKEN };
            let mut bytes = [0; TAKEN];
            let count = take(&mut bytes[..room]).min(room);
            if count == 0 {
                return all_shown && room > 0;
            }
            bytes[..count].iter().for_each(|&byte| self.kept.push(byte));
            (self.last, self.exits, self.settled) = (now, exits, false);
        }
    }

    /// Shows what has been waiting for its line end too long. `exits` is how many the guest has made if it executes.
    pub fn advance(&mut self, guest: usize, name: &str, now: Instant, exits: Option<u64>) {
        self.follow_view(guest, name);
        if self.next_deadline(guest).is_some_and(|due| due <= now) {
            if exits.is_none_or(|exits| exits.wrapping_sub(self.exits) >= EXITS) {
                self.settled = self.show(guest, name, true);
            }
            self.last = now;
        }
    }

    /// When [`advance`](Self::advance) has something to do.
    pub fn next_deadline(&self, guest: usize) -> Option<Instant> {
        if self.view_changed() {
            return Some(self.last);
        }
        let waits = self.view.shows(guest) && self.kept.waiting() > 0 && !self.settled;
        waits.then(|| self.last + PATIENCE)
    }

    /// Output that was lost before it was shown: it waited for this guest to be shown until newer output took
    /// its place.
    pub fn lost(&self) -> u64 {
        self.kept.lost()
    }

    /// Typed bytes that were lost: more than [`TYPED`] were typed ahead of the guest, or it ended before it took them.
    pub fn typed_lost(&self) -> u64 {
        self.typed_lost
    }

    /// Takes a byte that was typed for the guest.
    pub fn type_byte(&mut self, byte: u8) {
        if self.typed.push_back(byte).is_err() {
            self.typed_lost += 1;
        }
    }

    /// Drops what was typed for a guest that does not execute any more.
    pub fn forget_typed(&mut self) {
        self.typed_lost += self.typed.len() as u64;
        self.typed.clear();
    }

    /// Hands typed bytes to `give` until it takes none.
    pub fn pass_typed(&mut self, mut give: impl FnMut(u8) -> bool) {
        while self.typed.front().is_some_and(|&byte| give(byte)) {
            self.typed.pop_front();
        }
    }

    /// Takes note of a change of what is shown. A guest that gets the keyboard has its last lines shown again.
    fn follow_view(&mut self, guest: usize, name: &str) {
        if !self.view_changed() {
            return;
        }
        (self.view, self.settled) = (view::current(), false);
        if self.view.has_keyboard(guest) {
            self.kept.rewind(SHOWN_AGAIN);
        }
        self.kept.skip_torn_line();
        if self.view.shows(guest) && self.lost_told < self.lost() {
            let lost = self.lost() - self.lost_told;
            output::shell_line(format_args!("{name} wrote {lost} bytes more, which were not kept"));
            self.lost_told = self.lost();
        }
    }

    /// Shows what is kept and not shown yet, as far as there is room: whole lines, the unfinished one too if
    /// `unfinished`. False when something is left that could be shown.
    fn show(&mut self, guest: usize, name: &str, unfinished: bool) -> bool {
        let may_control = self.view.has_keyboard(guest);
        while let Some(piece) = self.kept.next(LINE) {
            if piece.end == LineEnd::Open && piece.length < LINE && !unfinished {
                return true;
            }
            let mut plain = self.plain;
            let text = piece.text.into_iter().flatten();
            let text = text.filter_map(|&byte| if may_control { Some(byte) } else { plain.filter(byte) });
            if !output::console(guest, name, text, piece.text_length(), piece.end) {
                return false;
            }
            let length = piece.length;
            self.plain = plain;
            self.kept.shown(length);
        }
        true
    }
}
