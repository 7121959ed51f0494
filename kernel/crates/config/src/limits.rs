//! The limits that a configuration keeps: what the kernel relies on. The host tool reports errors with line and field; here
//! is what holds for a bundle, whoever made it.

use crate::team::{
    BEACON_INTERVALS_MS, BEACONS_LOST, LEAST_SILENCE_MS, MOST_DELAY_MS, MOST_NOTICES, NOTICE_SPACINGS_MS,
    VLANS,
};
use crate::{
    MAX_NICS, MAX_VMS, MAX_VNICS, MAX_VNICS_PER_UPLINK, MOST_PRIORITY, System, TeamConfig, TeamNics,
    VnicConfig,
};
use alloc::collections::BTreeSet;
use alloc::string::String;
use nic_manager::{BeaconSettings, MemberRole, TeamSettings};

/// Checks that a configuration keeps the limits.
///
/// # Errors
/// The first limit that it does not keep.
pub fn check(system: &System) -> Result<(), &'static str> {
    let System { nics, teams, vms, .. } = system;
    let vnics = || vms.iter().flat_map(|vm| &vm.vnics);
    let names = nics.iter().map(|nic| &nic.name).chain(teams.iter().map(|team| &team.name));
    let known = |name: &String| {
        let is_alone = |name: &String| system.team_of(name).is_none();
        teams.iter().any(|team| team.name == *name)
            || nics.iter().any(|nic| nic.name == *name) && is_alone(name)
    };
    let sharers = |one: &VnicConfig| vnics().filter(|vnic| vnic.uplink == one.uplink).count();
    let limits = [
        (vms.len() <= MAX_VMS, "too many guests"),
        (nics.len() <= MAX_NICS, "too many physical NICs"),
        (are_unique(vms.iter().map(|vm| &vm.name)), "two guests with one name"),
        (are_unique(names), "two physical NICs or teams with one name"),
        (vms.iter().all(|vm| vm.priority <= MOST_PRIORITY), "a guest with an unknown priority"),
        (vms.iter().all(|vm| vm.vnics.len() <= MAX_VNICS), "too many vNICs in a guest"),
        (are_unique(vnics().map(|vnic| vnic.mac)), "two vNICs with one MAC address"),
        (vnics().all(|vnic| !vnic.mac.is_multicast()), "a vNIC with a group address"),
        (vnics().filter_map(|vnic| vnic.uplink.as_ref()).all(known), "a vNIC with an unknown uplink"),
        (vnics().all(|vnic| sharers(vnic) <= MAX_VNICS_PER_UPLINK), "too many vNICs with one uplink"),
    ];
    let broken = limits.into_iter().find(|(keeps, _)| !keeps);
    broken.map_or_else(|| check_teams(system), |(_, broken)| Err(broken))
}

fn check_teams(system: &System) -> Result<(), &'static str> {
    let teams = &system.teams;
    let is_all = |team: &&TeamConfig| team.nics == TeamNics::All;
    let all_nics = system.sought_nics();
    let are_known = |team: &TeamConfig| {
        let nics = if is_all(&team) { &all_nics } else { &system.nics };
        team.named().all(|(name, _)| nics.iter().any(|nic| nic.name == name))
    };
    let is_active =
        |team: &TeamConfig| system.members(team).iter().any(|(_, role)| *role == MemberRole::Active);
    let has_conflict = |team: &TeamConfig| {
        let TeamSettings { policy, beacon, .. } = &team.settings;
        policy.conflicts(!team.standby.is_empty(), beacon.is_some()).next().is_some()
    };
    let limits = [
        (teams.iter().filter(is_all).count() <= 1, "two teams of all NICs"),
        (teams.iter().all(are_known), "a team with an unknown NIC"),
        (are_unique(teams.iter().flat_map(TeamConfig::named).map(|(name, _)| name)), "a NIC twice in teams"),
        (teams.iter().all(is_active), "a team without an active NIC"),
        (!teams.iter().any(has_conflict), "an aggregated link with standby NICs or beacons"),
        (teams.iter().all(|team| are_in_range(&team.settings)), "a team with a setting out of its range"),
    ];
    limits.into_iter().find(|(keeps, _)| !keeps).map_or(Ok(()), |(_, broken)| Err(broken))
}

fn are_in_range(settings: &TeamSettings) -> bool {
    let TeamSettings { up_delay_ms, down_delay_ms, notice, .. } = settings;
    let is_beacon = |BeaconSettings { interval_ms, lost, vlans, .. }: &BeaconSettings| {
        BEACON_INTERVALS_MS.contains(interval_ms)
            && BEACONS_LOST.contains(lost)
            && interval_ms * u32::from(*lost) >= LEAST_SILENCE_MS
            && vlans.iter().all(|vlan| VLANS.contains(vlan))
            && are_unique(vlans.iter())
    };
    [up_delay_ms, down_delay_ms].into_iter().all(|delay| *delay <= MOST_DELAY_MS)
        && notice.copies <= MOST_NOTICES
        && NOTICE_SPACINGS_MS.contains(&notice.spacing_ms)
        && settings.beacon.as_ref().is_none_or(is_beacon)
}

fn are_unique<T: Ord>(values: impl Iterator<Item = T>) -> bool {
    let mut seen = BTreeSet::new();
    values.into_iter().all(|value| seen.insert(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text;
    use nic_manager::TeamPolicy;
    use std::path::Path;

    /// Two guests with a vNIC each.
    fn system() -> System {
        let (process, thread) = (std::process::id(), std::thread::current().id());
        let folder = std::env::temp_dir().join(format!("weir-config-limits-{process}-{thread:?}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("k"), "\x7fELF").unwrap();
        let guest = |name| {
            format!("[[vm]]\nname = \"{name}\"\nmemory = 64\nkernel = \"k\"\n[[vm.vnic]]\nuplink = \"n\"\n")
        };
        let text = format!("[[nic]]\nname = \"n\"\n{}{}", guest("a"), guest("b"));
        let read = text::read(&folder.join(Path::new("weir.toml")), &text).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        read.system
    }

    /// What is said of the system after a change.
    fn after(change: impl FnOnce(&mut System)) -> Result<(), &'static str> {
        let mut system = system();
        change(&mut system);
        check(&system)
    }

    #[test]
    fn what_no_checked_file_says_is_refused() {
        assert_eq!(after(|_| ()), Ok(()));
        assert_eq!(after(|system| system.vms.clear()), Ok(()), "the shell is there without guests");
        let many = |system: &mut System| system.vms = (0..33).map(|_| system.vms[0].clone()).collect();
        assert_eq!(after(many), Err("too many guests"));
        let nics = |system: &mut System| system.nics = (0..9).map(|_| system.nics[0].clone()).collect();
        assert_eq!(after(nics), Err("too many physical NICs"));
        assert_eq!(after(|system| system.vms[1].name = "a".into()), Err("two guests with one name"));
        assert_eq!(
            after(|system| system.nics.push(system.nics[0].clone())),
            Err("two physical NICs or teams with one name")
        );
        let one_mac = |system: &mut System| system.vms[1].vnics[0].mac = system.vms[0].vnics[0].mac;
        assert_eq!(after(one_mac), Err("two vNICs with one MAC address"));
        assert_eq!(after(|system| system.vms[0].vnics[0].mac.0[0] |= 1), Err("a vNIC with a group address"));
        assert_eq!(after(|system| system.nics.clear()), Err("a vNIC with an unknown uplink"));
        let with = |counts: [usize; 3]| {
            move |system: &mut System| {
                let (vm, mut mac) = (system.vms[0].clone(), 0);
                system.vms = (0..)
                    .map(|index| crate::VmConfig { name: format!("{index}"), ..vm.clone() })
                    .take(3)
                    .collect();
                for (vm, count) in system.vms.iter_mut().zip(counts) {
                    let mut vnic = vm.vnics[0].clone();
                    let next = || {
                        mac += 1;
                        vnic.mac.0[5] = mac;
                        vnic.clone()
                    };
                    vm.vnics = core::iter::repeat_with(next).take(count).collect();
                }
            }
        };
        assert_eq!(after(with([9, 0, 0])), Err("too many vNICs in a guest"));
        assert_eq!(after(with([8, 7, 0])), Ok(()));
        assert_eq!(after(with([8, 7, 1])), Err("too many vNICs with one uplink"));
    }

    fn team(name: &str, nics: TeamNics) -> TeamConfig {
        let settings = TeamSettings::STANDARD;
        TeamConfig { name: name.into(), nics, standby: Vec::new(), unused: Vec::new(), settings }
    }

    /// What is said after a change of the second of two teams: one of the NIC `n`, one of all the others.
    fn after_in_team(change: impl FnOnce(&mut TeamConfig)) -> Result<(), &'static str> {
        after(|system| {
            system.teams = vec![team("one", TeamNics::Named(vec!["n".into()])), team("lan", TeamNics::All)];
            system.vms.iter_mut().for_each(|vm| vm.vnics[0].uplink = Some("lan".into()));
            change(&mut system.teams[1]);
        })
    }

    #[test]
    fn teams_that_no_checked_file_has_are_refused() {
        assert_eq!(after_in_team(|_| ()), Ok(()));
        assert_eq!(
            after_in_team(|team| team.name = "n".into()),
            Err("two physical NICs or teams with one name")
        );
        assert_eq!(after_in_team(|team| team.name = "other".into()), Err("a vNIC with an unknown uplink"));
        assert_eq!(after_in_team(|team| team.unused = vec!["x".into()]), Err("a team with an unknown NIC"));
        assert_eq!(after_in_team(|team| team.unused = vec!["n".into()]), Err("a NIC twice in teams"));
        let none = |team: &mut TeamConfig| team.nics = TeamNics::Named(Vec::new());
        assert_eq!(after_in_team(none), Err("a team without an active NIC"));
        let aggregated = |team: &mut TeamConfig| {
            team.standby = vec!["nic1".into()];
            team.settings.policy = TeamPolicy::IpHash;
        };
        assert_eq!(after_in_team(aggregated), Err("an aggregated link with standby NICs or beacons"));
        assert_eq!(
            after(|system| system.teams = vec![team("lan", TeamNics::All)]),
            Err("a vNIC with an unknown uplink"),
            "a member of a team"
        );
    }

    #[test]
    fn settings_of_teams_keep_their_ranges() {
        let with = |change: &dyn Fn(&mut TeamSettings)| after_in_team(|team| change(&mut team.settings));
        let beacon = |change: &dyn Fn(&mut BeaconSettings)| {
            let mut beacon = BeaconSettings::STANDARD;
            change(&mut beacon);
            with(&|settings| settings.beacon = Some(beacon.clone()))
        };
        assert_eq!(beacon(&|beacon| beacon.vlans.extend([1, 4094])), Ok(()));
        let out_of_range = [
            with(&|settings| settings.up_delay_ms = 600_001),
            with(&|settings| settings.down_delay_ms = u32::MAX),
            with(&|settings| settings.notice.copies = 11),
            with(&|settings| settings.notice.spacing_ms = 0),
            beacon(&|beacon| beacon.interval_ms = 0),
            beacon(&|beacon| beacon.lost = 0),
            beacon(&|beacon| (beacon.interval_ms, beacon.lost) = (2, 1)),
            beacon(&|beacon| beacon.vlans.extend([4095])),
            beacon(&|beacon| beacon.vlans.extend([7, 7])),
        ];
        assert_eq!(out_of_range, [Err("a team with a setting out of its range"); 9]);
        assert_eq!(after(|system| system.vms[0].priority = 8), Err("a guest with an unknown priority"));
    }
}
