//! Counters of the exits of one virtual processor, and of the time between them.

use core::fmt;

/// The exits of one virtual processor, and the time between them.
#[derive(Clone, Debug)]
pub struct ExitStatistics<const KINDS: usize> {
    /// Count and name of each kind.
    counts: [(u64, &'static str); KINDS],
    /// Exits of all kinds.
    total: u64,
    /// Interrupts injected.
    pub injected: u64,
    /// Ticks of the time-stamp counter between an exit and the next entry, excluding other guests' turns and idle
    /// time.
    ticks_outside: u64,
    /// Ticks between an entry and the exit.
    ticks_inside: u64,
    /// The time-stamp counter at the last entry, exit or start of a turn.
    last_switch: u64,
}

impl<const KINDS: usize> Default for ExitStatistics<KINDS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const KINDS: usize> ExitStatistics<KINDS> {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            counts: [(0, ""); KINDS],
            total: 0,
            injected: 0,
            ticks_outside: 0,
            ticks_inside: 0,
            last_switch: 0,
        }
    }

    /// Counts an exit of a kind.
    #[inline]
    pub fn count(&mut self, (kind, name): (usize, &'static str)) {
        let count = &mut self.counts[kind];
        *count = (count.0 + 1, name);
        self.total += 1;
    }

    /// Exits of all kinds.
    #[must_use]
    pub fn exits(&self) -> u64 {
        self.total
    }

    /// Exits that are of none of these kinds.
    #[must_use]
    pub fn beside(&self, kinds: &[usize]) -> u64 {
        self.total - kinds.iter().map(|kind| self.counts[*kind].0).sum::<u64>()
    }

    /// Notes that a turn of the guest begins at this value of the time-stamp counter.
    #[inline]
    pub fn note_turn(&mut self, tsc: u64) {
        self.last_switch = tsc;
    }

    /// Notes that the guest is entered.
    #[inline]
    pub fn note_entry(&mut self, tsc: u64) {
        self.ticks_outside += tsc.wrapping_sub(self.last_switch);
        self.last_switch = tsc;
    }

    /// Notes that the guest has exited.
    #[inline]
    pub fn note_return(&mut self, tsc: u64) {
        self.ticks_inside += tsc.wrapping_sub(self.last_switch);
        self.last_switch = tsc;
    }

    /// Takes the ticks of the time-stamp counter that the guest itself has used since the last call.
    pub fn take_ticks_inside(&mut self) -> u64 {
        core::mem::take(&mut self.ticks_inside)
    }

    /// Ticks in Weir for each exit, on average.
    #[must_use]
    pub fn ticks_per_exit(&self) -> u64 {
        self.ticks_outside / self.exits().max(1)
    }
}

/// Exits in all, and by kind.
impl<const KINDS: usize> fmt::Display for ExitStatistics<KINDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.total)?;
        let counts = self.counts.iter().filter(|(count, _)| *count > 0);
        counts.into_iter().try_for_each(|(count, name)| write!(f, " {name} {count}"))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn exits_and_the_ticks_between_them_are_counted() {
        let mut exits = ExitStatistics::<3>::new();
        assert_eq!((exits.exits(), exits.ticks_per_exit()), (0, 0));
        exits.note_turn(1000);
        for (kind, name) in [(2, "port"), (0, "timer"), (2, "port")] {
            exits.note_entry(exits.last_switch + 10);
            exits.note_return(exits.last_switch + 70);
            exits.count((kind, name));
        }
        assert_eq!(exits.to_string(), "3 timer 1 port 2");
        assert_eq!((exits.exits(), exits.beside(&[0, 1]), exits.ticks_per_exit()), (3, 2, 10));
        assert_eq!([exits.take_ticks_inside(), exits.take_ticks_inside()], [210, 0]);
    }
}
