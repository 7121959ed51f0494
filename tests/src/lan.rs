//! A LAN for the NICs of an emulated machine: switches, which are bridges of the host's kernel that learn addresses by
//! themselves, and cables between them.
//!
//! Everything at an end of a cable has a name: `A`, `B`, … are the switches, `nic0`, `nic1`, … the NICs. The peer, with
//! the address 10.0.5.1/24, is the switch's own.

/// What is joined with what.
///
/// ```
/// use end_to_end::lan::LanPlan;
///
/// assert_eq!(LanPlan::two_switches().cables(), [("A", "C"), ("B", "C")].map(
///     |(one, other)| [one.to_owned(), other.to_owned()]
/// ));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanPlan {
    /// The switch that each NIC is on.
    first: Vec<char>,
    /// The switch that the peer is on. It has a cable to each of the others.
    core: char,
}

impl LanPlan {
    /// So many NICs and the peer on the switch `A`.
    #[must_use]
    pub fn one_switch(nics: usize) -> Self {
        Self { first: vec!['A'; nics], core: 'A' }
    }

    /// NIC 0 on `A`, NIC 1 on `B`, both switches joined to `C` with the peer.
    #[must_use]
    pub fn two_switches() -> Self {
        Self::a_switch_each(2)
    }

    /// NICs 0 and 1 on `A`, NICs 2 and 3 on `B`, both switches joined to `C` with the peer.
    #[must_use]
    pub fn two_pairs() -> Self {
        Self { first: vec!['A', 'A', 'B', 'B'], core: 'C' }
    }

    /// Each of up to eight NICs on a switch of its own, all of which are joined to a further one with the peer.
    #[must_use]
    pub fn a_switch_each(nics: usize) -> Self {
        let mut names = 'A'..='Z';
        Self { first: names.by_ref().take(nics).collect(), core: names.next().unwrap_or('Z') }
    }

    /// Number of NICs.
    #[must_use]
    pub fn nics(&self) -> usize {
        self.first.len()
    }

    /// The switch that a NIC is on.
    #[must_use]
    pub fn first_switch(&self, nic: usize) -> Option<String> {
        self.first.get(nic).map(char::to_string)
    }

    /// The switch that the peer is on.
    #[must_use]
    pub fn core(&self) -> String {
        self.core.to_string()
    }

    /// The switches in alphabetical order.
    #[must_use]
    pub fn switches(&self) -> Vec<String> {
        let mut names: Vec<char> = self.first.iter().copied().chain([self.core]).collect();
        names.sort_unstable();
        names.dedup();
        names.iter().map(char::to_string).collect()
    }

    /// The two ends of each cable between switches. The peer is behind the second end.
    #[must_use]
    pub fn cables(&self) -> Vec<[String; 2]> {
        let others = self.switches().into_iter().filter(|name| *name != self.core());
        others.map(|name| [name, self.core()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_but_the_peers_has_a_cable_to_it() {
        let cables = |plan: LanPlan| plan.cables().iter().map(|ends| ends.join("-")).collect::<Vec<_>>();
        assert!(cables(LanPlan::one_switch(2)).is_empty());
        assert_eq!(cables(LanPlan::two_pairs()), ["A-C", "B-C"]);
        assert_eq!(cables(LanPlan::a_switch_each(1)), ["A-B"]);
        assert_eq!(LanPlan::a_switch_each(8).core(), "I");
    }
}
