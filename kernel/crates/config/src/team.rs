//! Teams of physical NICs: what the configuration says of them, and which NICs that makes their members.

use crate::{MAX_NICS, NicConfig, NicMatch, System};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use nic_manager::{MAX_MEMBERS, MemberRole, TeamSettings};
use serde::{Deserialize, Serialize};

/// Longest `up_delay` and `down_delay`, in milliseconds.
pub(crate) const MOST_DELAY_MS: u32 = 10 * 60_000;
/// Time from one beacon to the next, in milliseconds.
pub(crate) const BEACON_INTERVALS_MS: RangeInclusive<u32> = 1..=60_000;
/// Beacons missed in a row until a member counts as cut off.
pub(crate) const BEACONS_LOST: RangeInclusive<u8> = 1..=10;
/// Shortest time without beacons in which a member counts as cut off, in milliseconds: a turn of a guest takes 2 ms, and
/// a beacon may wait for one.
pub(crate) const LEAST_SILENCE_MS: u32 = 3;
/// VLAN identifiers that a frame can be tagged with [IEEE 802.1Q-2018 9.6].
pub(crate) const VLANS: RangeInclusive<u16> = 1..=4094;
/// Most copies of a notice.
pub(crate) const MOST_NOTICES: u8 = 10;
/// Time from one copy of a notice to the next, in milliseconds.
pub(crate) const NOTICE_SPACINGS_MS: RangeInclusive<u32> = 1..=10_000;

// So no team has too many members, whatever the configuration says.
const _: () = assert!(MAX_NICS <= MAX_MEMBERS);

/// Several physical NICs that are one uplink together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamConfig {
    /// Its name in log lines and in the `uplink` of vNICs.
    pub name: String,
    /// The NICs that carry frames.
    pub nics: TeamNics,
    /// Those that take the place of one that does not work.
    pub standby: Vec<String>,
    /// Those that are only looked after.
    pub unused: Vec<String>,
    /// How it is to behave.
    pub settings: TeamSettings,
}

/// The NICs that carry a team's frames.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TeamNics {
    /// All NICs of the machine that are in no other team, unless this one names them as standby or unused.
    All,
    /// These, the preferred one first.
    Named(Vec<String>),
}

impl TeamConfig {
    /// The NICs that it names, with what they are there for.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, MemberRole)> {
        let active = match &self.nics {
            TeamNics::All => &[],
            TeamNics::Named(nics) => nics.as_slice(),
        };
        [
            (active, MemberRole::Active),
            (&self.standby, MemberRole::Standby),
            (&self.unused, MemberRole::Unused),
        ]
        .into_iter()
        .flat_map(|(nics, role)| nics.iter().map(move |nic| (nic.as_str(), role)))
    }

    /// True if it names this NIC.
    pub(crate) fn names(&self, nic: &str) -> bool {
        self.named().any(|(named, _)| named == nic)
    }
}

impl System {
    /// The NICs to look for in the machine, for a [`NicChoice`](crate::NicChoice): each `[[nic]]`, and what a team of all
    /// NICs takes besides. Those are called `nic0`, `nic1` and so on, without the names that are taken.
    ///
    /// ```
    /// use config::{HostConfig, LogLevel, NicConfig, NicMatch, System, TeamConfig, TeamNics};
    /// use nic_manager::{MemberRole, TeamSettings};
    ///
    /// let team = TeamConfig {
    ///     name: "lan".into(),
    ///     nics: TeamNics::All,
    ///     standby: vec!["nic1".into()],
    ///     unused: Vec::new(),
    ///     settings: TeamSettings::STANDARD,
    /// };
    /// let host = HostConfig { log_level: LogLevel::Info, smt: false, self_test: None };
    /// let nics = vec![NicConfig { name: "nic0".into(), matches: NicMatch::Any }];
    /// let system = System { host, nics, teams: vec![team], vms: Vec::new() };
    ///
    /// let sought = system.sought_nics();
    /// assert_eq!((sought.len(), &*sought[1].name, &*sought[7].name), (8, "nic1", "nic7"));
    /// let members = system.members(&system.teams[0]);
    /// assert_eq!(members[0], ("nic0".into(), MemberRole::Active));
    /// assert_eq!(members[7], ("nic1".into(), MemberRole::Standby));
    /// ```
    #[must_use]
    pub fn sought_nics(&self) -> Vec<NicConfig> {
        let mut sought = self.nics.clone();
        if self.teams.iter().any(|team| team.nics == TeamNics::All) {
            let is_free = |name: &String| {
                self.nics.iter().all(|nic| nic.name != *name)
                    && self.teams.iter().all(|team| team.name != *name)
            };
            let names = (0..).map(|number: u64| format!("nic{number}")).filter(is_free);
            let unnamed = names.map(|name| NicConfig { name, matches: NicMatch::Any });
            sought.extend(unnamed.take(MAX_NICS.saturating_sub(self.nics.len())));
        }
        sought
    }

    /// The team that a NIC of this name is in.
    #[must_use]
    pub fn team_of(&self, nic: &str) -> Option<&TeamConfig> {
        let all = || self.teams.iter().find(|team| team.nics == TeamNics::All);
        self.teams.iter().find(|team| team.names(nic)).or_else(all)
    }

    /// The NICs that a team can have, with what they are there for: the active ones first, then those on standby, each in
    /// the order of preference. Not every machine has all of them.
    #[must_use]
    pub fn members(&self, team: &TeamConfig) -> Vec<(String, MemberRole)> {
        let mut members = Vec::new();
        if team.nics == TeamNics::All {
            let others = |nic: &NicConfig| self.teams.iter().any(|team| team.names(&nic.name));
            let rest = self.sought_nics().into_iter().filter(|nic| !others(nic));
            members.extend(rest.map(|nic| (nic.name, MemberRole::Active)));
        }
        members.extend(team.named().map(|(nic, role)| (nic.into(), role)));
        members
    }
}
