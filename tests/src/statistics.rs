//! The statistics that Weir logs before it powers off.

use crate::{Failure, Outcome};

/// The statistics of one run, read from its serial log.
///
/// ```
/// use end_to_end::statistics::RunStatistics;
///
/// let statistics = RunStatistics::new("[    1.0] INFO  vm: a: ran 0.5 s, exits 86 port 86".into());
/// assert_eq!(statistics.exits("a").unwrap(), 86);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStatistics {
    text: String,
}

impl RunStatistics {
    /// The statistics in a complete log.
    #[must_use]
    pub fn new(log: String) -> Self {
        Self { text: log }
    }

    /// The first number between the texts `before` and `after`, as in `(" KiB, images ", " KiB")`.
    ///
    /// # Errors
    /// There is no such number.
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

    /// The number of exits of a VM, of all kinds.
    ///
    /// # Errors
    /// The log does not contain it.
    pub fn exits(&self, vm: &str) -> Outcome<u64> {
        self.of(vm, "exits ")
    }

    /// The number of interrupts injected into a VM.
    ///
    /// # Errors
    /// The log does not contain it.
    pub fn interrupts(&self, vm: &str) -> Outcome<u64> {
        self.of(vm, "interrupts injected ")
    }

    /// A number in the line with the statistics of a VM.
    fn of(&self, vm: &str, before: &str) -> Outcome<u64> {
        let name = format!(" vm: {vm}: ");
        let line = self.text.lines().find(|line| line.contains(&name) && line.contains(", exits "));
        Self::new(line.unwrap_or_default().into()).number(before, "")
    }

    /// The number of instructions that Weir executed since the first guest first ran, if the time-stamp counter
    /// counts instructions.
    ///
    /// # Errors
    /// The log does not contain it.
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
        let statistics = RunStatistics::new(log.into());
        assert_eq!(statistics.exits("a").unwrap(), 86);
        assert_eq!(statistics.interrupts("a").unwrap(), 4);
        assert_eq!(statistics.weir_ticks().unwrap(), 12);
        assert_eq!(statistics.number("then ", " in guests").unwrap(), 7);
        statistics.exits("b").expect_err("there is no such VM");
        statistics.number("then ", " in Weir").expect_err("the number has another neighbour");
    }
}
