//! Which teams a machine has, with the NICs that were found in it. A NIC in no team is a team of one.

use crate::System;
use alloc::string::String;
use alloc::vec::Vec;
use nic_manager::{MemberRole, NoticeSettings, TeamSettings};

/// A team on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TeamPlan {
    /// Its name, for the `uplink` of vNICs: the team's, or the NIC's.
    pub name: String,
    /// The names of its members that are there, in order of preference; none if all are missing.
    pub members: Vec<(String, MemberRole)>,
    /// The names of those that are not, as far as the configuration says any.
    pub missing: Vec<(String, MemberRole)>,
    /// How it is to behave.
    pub settings: TeamSettings,
}

/// A NIC in no team has nothing to tell switches: its frames never go another way.
const ALONE: TeamSettings =
    TeamSettings { notice: NoticeSettings { copies: 0, spacing_ms: 1 }, ..TeamSettings::STANDARD };

impl System {
    /// The teams of a machine in which NICs with these names were found: those with a NIC first.
    ///
    /// ```
    /// use config::{HostConfig, LogLevel, NicConfig, NicMatch, System};
    ///
    /// let nic = |name: &str| NicConfig { name: name.into(), matches: NicMatch::Any };
    /// let host = HostConfig { log_level: LogLevel::Info, smt: false, self_test: None };
    /// let system = System { host, nics: vec![nic("a"), nic("b")], teams: vec![], vms: vec![] };
    /// let plans = system.team_plans(&["b"]);
    /// assert_eq!([&*plans[0].name, &plans[1].name], ["b", "a"]);
    /// assert_eq!([0, 1].map(|plan: usize| plans[plan].members.len()), [1, 0]);
    /// assert_eq!(plans[1].missing[0].0, "a");
    /// ```
    #[must_use]
    pub fn team_plans(&self, found: &[&str]) -> Vec<TeamPlan> {
        let is_named = |nic: &str| {
            self.nics.iter().any(|known| known.name == nic) || self.teams.iter().any(|team| team.names(nic))
        };
        let plan = |name: &String, nics: Vec<(String, MemberRole)>, settings: TeamSettings| {
            let (members, mut missing): (Vec<_>, Vec<_>) =
                nics.into_iter().partition(|(nic, _)| found.contains(&nic.as_str()));
            missing.retain(|(nic, _)| is_named(nic));
            TeamPlan { name: name.clone(), members, missing, settings }
        };
        let teams = self.teams.iter().map(|team| plan(&team.name, self.members(team), team.settings.clone()));
        let alone = self.nics.iter().map(|nic| &nic.name).filter(|nic| self.team_of(nic).is_none());
        let alone = alone.map(|nic| plan(nic, Vec::from([(nic.clone(), MemberRole::Active)]), ALONE));
        let mut plans: Vec<TeamPlan> = teams.chain(alone).collect();
        plans.sort_by_key(|plan| plan.members.is_empty());
        plans
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::{HostConfig, LogLevel, NicConfig, NicMatch, TeamConfig, TeamNics};
    use std::vec;

    #[test]
    fn a_team_lacks_the_nics_that_the_configuration_names() {
        let nic = |name: &str| NicConfig { name: name.into(), matches: NicMatch::Any };
        let team = |name: &str, nics, standby: &[&str]| TeamConfig {
            name: name.into(),
            nics,
            standby: standby.iter().map(|nic| (*nic).into()).collect(),
            unused: Vec::new(),
            settings: TeamSettings::STANDARD,
        };
        let named = TeamNics::Named(vec!["a".into(), "b".into()]);
        let mut system = System {
            host: HostConfig { log_level: LogLevel::Info, smt: false, self_test: None },
            nics: vec![nic("a"), nic("b"), nic("c"), nic("d")],
            teams: vec![team("lan", named, &["c"]), team("rest", TeamNics::All, &[])],
            vms: Vec::new(),
        };
        let lacks = |system: &System, found: &[&str]| {
            let plans = system.team_plans(found).into_iter();
            plans.map(|plan| plan.missing.into_iter().map(|(nic, _)| nic).collect()).collect::<Vec<Vec<_>>>()
        };
        assert_eq!(lacks(&system, &["b", "nic1"]), [vec!["a", "c"], vec!["d"]]);
        assert_eq!(system.team_plans(&["b"])[0].missing[1], ("c".into(), MemberRole::Standby));
        // The names that a team of all NICs gives are nobody's wish.
        system.nics.pop();
        assert_eq!(lacks(&system, &[]), [vec!["a", "b", "c"], vec![]]);
    }
}
