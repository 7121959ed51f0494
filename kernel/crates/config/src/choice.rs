//! Which physical NIC each `[[nic]]` gets.

use crate::{NicConfig, NicMatch};
use alloc::vec::Vec;

/// What a `[[nic]]` may ask for in a NIC of the machine.
#[derive(Clone, Copy, Debug)]
pub struct NicTraits {
    /// PCI segment, bus, device and function.
    pub place: (u16, u8, u8, u8),
    /// Vendor and device ID.
    pub ids: (u16, u16),
    /// There is a driver for it.
    pub has_driver: bool,
}

/// The NICs of a machine on their way to the `[[nic]]` of its configuration. Each goes to the first one that fits and has
/// none yet.
///
/// ```
/// use config::{NicChoice, NicConfig, NicMatch, NicTraits};
///
/// let nics = [NicConfig { name: "lan".into(), matches: NicMatch::Any }];
/// let card = NicTraits { place: (0, 0, 3, 0), ids: (0x8086, 0x100e), has_driver: true };
/// let mut choice = NicChoice::new(&nics);
/// assert_eq!(choice.of(card).map(|nic| &*nic.name), Some("lan"));
/// choice.note(&nics[0], true);
/// assert!(choice.of(card).is_none());
/// ```
pub struct NicChoice<'a> {
    nics: &'a [NicConfig],
    taken: Vec<&'a str>,
}

impl<'a> NicChoice<'a> {
    /// None of these has a NIC yet: of [`System::sought_nics`](crate::System::sought_nics).
    #[must_use]
    pub fn new(nics: &'a [NicConfig]) -> Self {
        Self { nics, taken: Vec::new() }
    }

    /// The `[[nic]]` that this NIC is for, if any.
    #[must_use]
    pub fn of(&self, nic: NicTraits) -> Option<&'a NicConfig> {
        self.nics.iter().find(|wanted| !self.taken.contains(&&*wanted.name) && fits(wanted.matches, nic))
    }

    /// Takes note that `nic` was tried with a NIC, and whether Weir can use that. If not, a `[[nic]]` that asks for any
    /// NIC gets the next one. One that asks for this NIC, or for its kind, does not: of two cards of a kind, the second
    /// is on another wire.
    pub fn note(&mut self, nic: &'a NicConfig, usable: bool) {
        if usable || nic.matches != NicMatch::Any {
            self.taken.push(&nic.name);
        }
    }
}

/// True if a `[[nic]]` asks for this NIC.
fn fits(matches: NicMatch, nic: NicTraits) -> bool {
    match matches {
        NicMatch::Any => nic.has_driver,
        NicMatch::Address { bus, device, function } => nic.place == (0, bus, device, function),
        NicMatch::Ids { vendor, device } => nic.ids == (vendor, device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{HostConfig, LogLevel, System, TeamConfig, TeamNics};
    use nic_manager::TeamSettings;

    fn nic(name: &str, matches: NicMatch) -> NicConfig {
        NicConfig { name: name.into(), matches }
    }

    fn card(device: u8) -> NicTraits {
        NicTraits { place: (0, 0, device, 0), ids: (0x8086, 0x10d3), has_driver: true }
    }

    /// The names that cards in slots 1, 2, .. get, where those in `broken` cannot be used.
    fn given(nics: &[NicConfig], cards: u8, broken: &[u8]) -> Vec<Option<alloc::string::String>> {
        let mut choice = NicChoice::new(nics);
        let give = |device| {
            let nic = choice.of(card(device))?;
            choice.note(nic, !broken.contains(&device));
            Some(nic.name.clone())
        };
        (1..=cards).map(give).collect()
    }

    fn names(names: &[&str]) -> Vec<Option<alloc::string::String>> {
        names.iter().map(|name| (!name.is_empty()).then(|| (*name).into())).collect()
    }

    #[test]
    fn a_nic_that_cannot_be_used_does_not_use_up_a_request_for_any_nic() {
        let any = [nic("a", NicMatch::Any), nic("b", NicMatch::Any)];
        assert_eq!(given(&any, 3, &[]), names(&["a", "b", ""]));
        assert_eq!(given(&any[..1], 2, &[1]), names(&["a", "a"]));
        assert_eq!(given(&any, 4, &[1, 3]), names(&["a", "a", "b", "b"]));
    }

    #[test]
    fn whoever_asks_for_a_certain_nic_or_kind_never_gets_the_wire_of_another() {
        let ids = NicMatch::Ids { vendor: 0x8086, device: 0x10d3 };
        assert_eq!(given(&[nic("a", ids), nic("b", ids)], 2, &[1]), names(&["a", "b"]));
        let at = |device| NicMatch::Address { bus: 0, device, function: 0 };
        let both = [nic("a", at(2)), nic("any", NicMatch::Any)];
        assert_eq!(given(&both, 3, &[2]), names(&["any", "a", ""]));
        assert_eq!(given(&[nic("a", at(1))], 2, &[1]), names(&["a", ""]));
    }

    #[test]
    fn only_an_address_or_ids_select_a_nic_without_a_driver_or_on_another_segment() {
        let any = [nic("a", NicMatch::Any)];
        let without = NicTraits { has_driver: false, ..card(1) };
        assert!(NicChoice::new(&any).of(without).is_none());
        let at = [nic("a", NicMatch::Address { bus: 0, device: 1, function: 0 })];
        assert!(NicChoice::new(&at).of(without).is_some());
        let elsewhere = NicTraits { place: (1, 0, 1, 0), ..card(1) };
        assert!(NicChoice::new(&at).of(elsewhere).is_none());
        assert!(NicChoice::new(&any).of(elsewhere).is_some());
    }

    #[test]
    fn a_team_of_all_nics_has_names_for_those_that_no_other_takes() {
        let team = TeamConfig {
            name: "lan".into(),
            nics: TeamNics::All,
            standby: Vec::new(),
            unused: Vec::new(),
            settings: TeamSettings::STANDARD,
        };
        let host = HostConfig { log_level: LogLevel::Info, smt: false, self_test: None };
        let at = NicMatch::Address { bus: 0, device: 2, function: 0 };
        let mut system = System { host, nics: Vec::new(), teams: Vec::from([team]), vms: Vec::new() };
        assert_eq!(given(&system.sought_nics(), 2, &[]), names(&["nic0", "nic1"]));
        assert_eq!(
            given(&system.sought_nics(), 9, &[]),
            names(&["nic0", "nic1", "nic2", "nic3", "nic4", "nic5", "nic6", "nic7", ""])
        );
        system.nics.extend([nic("nic1", at), nic("any", NicMatch::Any)]);
        assert_eq!(given(&system.sought_nics(), 5, &[3]), names(&["any", "nic1", "nic0", "nic0", "nic2"]));
        system.teams.clear();
        assert_eq!(given(&system.sought_nics(), 3, &[]), names(&["any", "nic1", ""]));
    }
}
