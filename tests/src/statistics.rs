//! What Weir says at its end about what it has cost.

use crate::{Failure, Outcome};

/// The statistics of one run, read from the serial log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statistics {
    text: String,
}

impl Statistics {
    /// Those of a log that has come to its end.
    #[must_use]
    pub fn new(log: String) -> Self {
        Self { text: log }
    }

    /// The number after the first occurrence of `before` that `after` follows, as in `(" KiB, images ", " KiB")`.
    ///
    /// # Errors
    /// There is none.
    pub fn number(&self, before: &str, after: &str) -> Outcome<u64> {
        self.text
            .match_indices(before)
            .find_map(|(at, _)| {
                let rest = &self.text[at + before.len()..];
                let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
                rest[digits..].starts_with(after).then(|| rest[..digits].parse().ok())?
            })
            .ok_or_else(|| Failure::Wrong(format!("the log has no number in \"{before}N{after}\"")))
    }

    /// Exits of a VM, of all kinds.
    ///
    /// # Errors
    /// The log does not say.
    pub fn exits(&self, vm: &str) -> Outcome<u64> {
        self.of(vm, "exits ")
    }

    /// Interrupts that a VM was given.
    ///
    /// # Errors
    /// The log does not say.
    pub fn interrupts(&self, vm: &str) -> Outcome<u64> {
        self.of(vm, "interrupts injected ")
    }

    /// A number of the line with what a VM has cost.
    fn of(&self, vm: &str, before: &str) -> Outcome<u64> {
        let name = format!(" vm: {vm}: ");
        let line = self.text.lines().find(|line| line.contains(&name) && line.contains(", exits "));
        Self::new(line.unwrap_or_default().into()).number(before, "")
    }

    /// Instructions of Weir from the first guest's first turn on, where the time-stamp counter counts instructions.
    ///
    /// # Errors
    /// The log does not say.
    pub fn weir_ticks(&self) -> Outcome<u64> {
        self.number(" idle, ", " in Weir")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_between_their_neighbours() {
        let log = "[    1.0] INFO  vm: a: ran 0.5 s, exits 86 timer 1 port 85, interrupts injected 4\n\
                   [    1.0] INFO  usage: TSC ticks: 5 before Weir, then 7 in guests, 0 idle, 12 in Weir\n";
        let statistics = Statistics::new(log.into());
        assert_eq!(statistics.exits("a").unwrap(), 86);
        assert_eq!(statistics.interrupts("a").unwrap(), 4);
        assert_eq!(statistics.weir_ticks().unwrap(), 12);
        assert_eq!(statistics.number("then ", " in guests").unwrap(), 7);
        statistics.exits("b").expect_err("there is no such VM");
        statistics.number("then ", " in Weir").expect_err("the number has another neighbour");
    }
}
