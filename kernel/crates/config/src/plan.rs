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
    /// ```
    #[must_use]
    pub fn team_plans(&self, found: &[&str]) -> Vec<TeamPlan> {
        let is_found = |nic: &String| found.contains(&nic.as_str());
        let teams = self.teams.iter().map(|team| TeamPlan {
            name: team.name.clone(),
            members: self.members(team).into_iter().filter(|(nic, _)| is_found(nic)).collect(),
            settings: team.settings.clone(),
        });
        let alone = self.nics.iter().map(|nic| &nic.name).filter(|nic| self.team_of(nic).is_none());
        let alone = alone.map(|nic| TeamPlan {
            name: nic.clone(),
            members: Some((nic.clone(), MemberRole::Active)).filter(|_| is_found(nic)).into_iter().collect(),
            settings: ALONE,
        });
        let mut plans: Vec<TeamPlan> = teams.chain(alone).collect();
        plans.sort_by_key(|plan| plan.members.is_empty());
        plans
    }
}
