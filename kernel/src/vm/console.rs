//! A guest's console: its output, kept and shown line by line, and the bytes typed for it.

use super::machine::{Identity, Vm};
use crate::log::output;
use crate::log::view::{self, View};
use crate::meeting::directory;
use crate::virt::VirtualCpu;
use base::{Duration, Effects, Instant};
use shell::VmState;
use shell::{Backlog, LineEnd, Plain};

/// Bytes of output kept: some 100 lines.
const KEPT: usize = 8192;
/// Longest line shown in one piece.
const LINE: usize = 512;
/// When the guest gets the keyboard, at least this many of its last lines are shown, whether or not they were before.
const SHOWN_AGAIN: usize = 10;
/// After this time without further output an unfinished line is taken for a prompt and shown.
const PROMPT_DELAY: Duration = Duration::from_millis(20);
/// A running guest must also have made this many exits since then: otherwise it may only have waited for its turn.
const EXITS: u64 = 4;
/// Bytes taken from the guest's UART at a time.
const TAKEN: usize = 64;

/// One guest's console. Its output is always taken and kept, and shown while the view includes the guest.
pub(super) struct Console {
    kept: Backlog<KEPT>,
    /// Time of the last output.
    last: Instant,
    /// Exits that the guest had made by then.
    exits: u64,
    /// Nothing more can be shown until there is more output.
    settled: bool,
    /// The view that the console followed last.
    view: View,
    plain: Plain,
    /// Bytes of lost output that have been reported to the operator.
    lost_told: u64,
    /// Typed bytes may wait for room in the guest's UART.
    typed: bool,
    /// The guest has written output that has not been taken.
    due: bool,
}

impl Console {
    /// An empty console.
    pub(super) fn new() -> Self {
        Self {
            kept: Backlog::new(),
            last: Instant::ZERO,
            exits: 0,
            settled: true,
            view: view::current(),
            plain: Plain::default(),
            lost_told: 0,
            typed: false,
            due: false,
        }
    }

    /// Notes that the guest has written output.
    pub(super) fn note_output(&mut self) {
        self.due = true;
    }

    /// True while there is output to take or to show.
    fn is_due(&self) -> bool {
        self.due || self.view_changed()
    }

    /// True if the view has changed since the console last followed it.
    fn view_changed(&self) -> bool {
        self.view != view::current()
    }

    /// Moves output from `take` into the console, and shows complete lines if the view includes the guest, which
    /// has made `exits` exits. Returns true if nothing is left to do. Output that the serial line has no room for
    /// stays with the guest, whose UART fills up and makes it wait.
    pub(super) fn show_all(
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

    /// Shows an unfinished line that has waited long enough. `exits` is the number of the guest's exits if it is
    /// running.
    pub(super) fn advance(&mut self, guest: usize, name: &str, now: Instant, exits: Option<u64>) {
        self.follow_view(guest, name);
        if self.next_deadline(guest).is_some_and(|due| due <= now) {
            if exits.is_none_or(|exits| exits.wrapping_sub(self.exits) >= EXITS) {
                self.settled = self.show(guest, name, true);
            }
            self.last = now;
        }
    }

    /// When [`advance`](Self::advance) must run.
    pub(super) fn next_deadline(&self, guest: usize) -> Option<Instant> {
        if self.view_changed() {
            return Some(self.last);
        }
        let waits = self.view.shows(guest) && self.kept.waiting() > 0 && !self.settled;
        waits.then(|| self.last + PROMPT_DELAY)
    }

    /// Bytes of output that were lost before they were shown: newer output took their place while the guest was
    /// not shown.
    pub(super) fn lost(&self) -> u64 {
        self.kept.lost()
    }

    /// Notes that bytes were typed for the guest.
    pub(super) fn note_typed(&mut self) {
        self.typed = true;
    }

    /// True while typed bytes may wait for room in the guest's UART.
    pub(super) fn has_typed(&self) -> bool {
        self.typed
    }

    /// Follows a change of the view. If the guest gets the keyboard, its last lines are shown again.
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
            output::shell_line(format_args!("{name}: {lost} more bytes of output were not kept"));
            self.lost_told = self.lost();
        }
    }

    /// Shows kept output that has not been shown yet: complete lines, and the unfinished last one if `unfinished`.
    /// Returns false if the serial line had no room for all of it.
    fn show(&mut self, guest: usize, name: &str, unfinished: bool) -> bool {
        let may_control = self.view.has_keyboard(guest);
        while let Some(piece) = self.kept.next(LINE) {
            if piece.end == LineEnd::Open && piece.length < LINE && !unfinished {
                return true;
            }
            let mut plain = self.plain.clone();
            let text = piece.text.into_iter().flatten();
            let room = piece.text_length() + Plain::HELD;
            let queued = if may_control {
                output::console(guest, name, text.copied(), room, piece.end)
            } else {
                output::console(guest, name, text.flat_map(|&byte| plain.filter(byte)), room, piece.end)
            };
            if !queued {
                return false;
            }
            if piece.end != LineEnd::Open {
                plain.end_line();
            }
            let length = piece.length;
            self.plain = plain;
            self.kept.shown(length);
        }
        true
    }
}

impl<V: VirtualCpu> Vm<V> {
    /// Shows an unfinished line that has waited long enough.
    pub(super) fn advance_console(&mut self, now: Instant) {
        let Identity { number, name, .. } = &self.identity;
        if self.console.next_deadline(*number).is_some_and(|due| due <= now) {
            let exits = (self.state() == VmState::Running).then(|| self.vcpu.statistics.exits());
            self.console.advance(*number, name, now, exits);
        }
    }

    /// Takes the guest's output from its UART and shows it.
    pub(super) fn show_console(&mut self, now: Instant) {
        if !self.console.is_due() {
            return;
        }
        let (pc, mut changed) = (&mut self.pc, Effects::empty());
        let time = (now, self.vcpu.statistics.exits());
        let Identity { number, name, .. } = &self.identity;
        let shown = self.console.show_all(*number, name, time, |bytes| {
            let (count, effects) = pc.take_console(bytes);
            changed |= effects;
            count
        });
        self.console.due = !shown;
        self.effects |= changed;
    }

    /// Passes typed bytes to the guest's UART as far as it has room.
    pub(super) fn pass_typed(&mut self, now: Instant) {
        if !self.console.typed {
            return;
        }
        let (pc, mut changed) = (&mut self.pc, Effects::empty());
        self.console.typed = directory::pass_typed(self.identity.number, |byte| {
            let (taken, effects) = pc.give_console(byte, now);
            changed |= effects;
            taken
        });
        self.apply(changed);
    }
}
