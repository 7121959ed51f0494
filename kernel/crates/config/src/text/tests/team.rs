//! `[[team]]`, and uplinks that are teams.

use super::{GUEST, assert_errors, read_text};
use crate::{Bundle, System, TeamConfig, TeamNics, bundle};
use nic_manager::{
    BeaconSettings, FailbackMode, InDoubtPolicy, MemberRole, NoticeSettings, TeamPolicy, TeamSettings,
};

/// A guest with a vNIC on this uplink.
fn guest_on(uplink: &str) -> String {
    format!("{GUEST}[[vm.vnic]]\nuplink = \"{uplink}\"\n")
}

/// These `[[nic]]`, two lines each.
fn nics(names: &[&str]) -> String {
    names.iter().map(|name| format!("[[nic]]\nname = \"{name}\"\n")).collect()
}

/// What is read of a team with these fields, of NICs `a`, `b` and `c`.
fn team(fields: &str) -> TeamConfig {
    let text = format!("{}[[team]]\nname = \"lan\"\n{fields}{GUEST}", nics(&["a", "b", "c"]));
    read_text(&text).unwrap().system.teams.remove(0)
}

/// Checks the errors of a team with these fields, of NICs `a`, `b` and `c`. The first field is on line 1.
fn assert_team_errors(fields: &str, expected: &[&str]) {
    let text = format!("{fields}{}{GUEST}", nics(&["a", "b", "c"]));
    let table = format!("[[team]]\nname = \"lan\"\n{text}");
    let expected: Vec<String> = expected
        .iter()
        .map(|error| {
            let (line, rest) = error.split_once(": ").unwrap();
            format!("weir.toml:{}: team[0].{rest}", line.parse::<usize>().unwrap() + 2)
        })
        .collect();
    assert_errors(&table, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

fn members(system: &System, team: usize) -> Vec<(String, MemberRole)> {
    system.members(&system.teams[team])
}

fn all(role: MemberRole, names: &[&str]) -> Vec<(String, MemberRole)> {
    names.iter().map(|name| (String::from(*name), role)).collect()
}

#[test]
fn a_team_with_nothing_but_a_name_has_all_nics_of_the_machine() {
    let system = read_text(&format!("[[team]]\nname = \"lan\"\n{}", guest_on("lan"))).unwrap().system;
    let TeamConfig { name, nics, standby, unused, settings } = &system.teams[0];
    assert_eq!((name.as_str(), nics, standby.len(), unused.len()), ("lan", &TeamNics::All, 0, 0));
    assert_eq!(*settings, TeamSettings::STANDARD);
    let names = ["nic0", "nic1", "nic2", "nic3", "nic4", "nic5", "nic6", "nic7"];
    assert_eq!(members(&system, 0), all(MemberRole::Active, &names));
    assert_eq!(system.vms[0].vnics[0].uplink.as_deref(), Some("lan"));
}

#[test]
fn every_field_of_a_team_is_understood() {
    let read = team(
        "nics = [\"b\"]\nstandby = [\"a\"]\nunused = [\"c\"]\npolicy = \"load\"\nfailback = \"on-failure\"\n\
         up_delay = \"2 min\"\ndown_delay = 50\ndetection = \"beacon\"\nbeacon_interval = \"50ms\"\nbeacon_lost = 2\n\
         beacon_vlans = [1, 4094]\ngateway = \"10.0.5.1\"\nnotify = 0\nnotify_spacing = \"1 s\"\nin_doubt = \"no-loss\"\n",
    );
    let mut beacon = BeaconSettings {
        interval_ms: 50,
        lost: 2,
        gateway: Some("10.0.5.1".parse().unwrap()),
        ..BeaconSettings::STANDARD
    };
    beacon.vlans.extend([1, 4094]);
    let settings = TeamSettings {
        policy: TeamPolicy::Load,
        failback: FailbackMode::OnFailure,
        up_delay_ms: 120_000,
        down_delay_ms: 50,
        beacon: Some(beacon),
        notice: NoticeSettings { copies: 0, spacing_ms: 1000 },
        in_doubt: InDoubtPolicy::NoLoss,
    };
    let [nics, standby, unused] = ["b", "a", "c"].map(|name| vec![String::from(name)]);
    let nics = TeamNics::Named(nics);
    assert_eq!(read, TeamConfig { name: "lan".into(), nics, standby, unused, settings });
    assert_eq!(team("nics = \"all\"\ndetection = \"link\"\n"), team(""));
    assert_eq!(team("detection = \"beacon\"\n").settings.beacon, Some(BeaconSettings::STANDARD));
    let gateway =
        team("detection = \"beacon\"\ngateway = \"2001:db8::1\"\n").settings.beacon.unwrap().gateway;
    assert_eq!(gateway, Some("2001:db8::1".parse().unwrap()));
    for policy in TeamPolicy::ALL {
        assert_eq!(team(&format!("policy = \"{policy}\"\n")).settings.policy, policy);
    }
}

#[test]
fn teams_pass_through_a_bundle() {
    let text = format!(
        "{}[[team]]\nname = \"t\"\nnics = [\"b\", \"a\"]\ndetection = \"beacon\"\nbeacon_vlans = [5]\n\
         gateway = \"fe80::1\"\n[[team]]\nname = \"lan\"\nstandby = [\"nic1\"]\n{}",
        nics(&["a", "b"]),
        guest_on("t")
    );
    let read = read_text(&text).unwrap();
    let bytes = bundle::pack(&read.system, &[b"\x7fELF".to_vec()]).unwrap();
    assert_eq!(*Bundle::parse(&bytes).unwrap().system(), read.system);
    let heap = bundle::Scale { vms: 1, nics: 8, vnics: 1 };
    assert_eq!(bundle::Scale::read(&bytes), heap, "the team of all NICs may get six more");
}

#[test]
fn a_team_of_all_nics_has_those_that_no_other_team_names() {
    let teams = "[[team]]\nname = \"nic2\"\nnics = [\"b\", \"nic1\"]\n[[team]]\nname = \"lan\"\nstandby = [\"nic3\", \"a\"]\n\
        unused = [\"nic0\"]\n";
    let system =
        read_text(&format!("{}{teams}{}", nics(&["a", "b", "nic1", "c"]), guest_on("nic2"))).unwrap().system;
    assert_eq!(members(&system, 0), all(MemberRole::Active, &["b", "nic1"]));
    let expected = [
        all(MemberRole::Active, &["c", "nic4", "nic5"]),
        all(MemberRole::Standby, &["nic3", "a"]),
        all(MemberRole::Unused, &["nic0"]),
    ];
    assert_eq!(members(&system, 1), expected.concat(), "eight NICs, and nic1 and nic2 are taken");
    let team_of = |nic| system.team_of(nic).map(|team| team.name.as_str());
    assert_eq!(["b", "a", "c", "nic5"].map(team_of), ["nic2", "lan", "lan", "lan"].map(Some));
}

#[test]
fn nics_in_no_team_are_uplinks_and_members_are_not() {
    let team = "[[team]]\nname = \"lan\"\nnics = [\"a\"]\n";
    let with = |uplink| format!("{}{team}{}", nics(&["a", "b"]), guest_on(uplink));
    assert!(["b", "lan"].iter().all(|uplink| read_text(&with(uplink)).is_ok()));
    assert_errors(
        &with("a"),
        &[
            "weir.toml:13: vm[0].vnic[0].uplink: \"a\" is a member of the team \"lan\", which is the uplink: use \"lan\"",
        ],
    );
    assert_errors(
        &with("c"),
        &[
            "weir.toml:13: vm[0].vnic[0].uplink: no [[team]] or [[nic]] is named \"c\" (known teams: \"lan\"; known NICs: \"b\")",
        ],
    );
    // Those that a team of all NICs takes are no uplinks either, with a [[nic]] and without.
    let all = format!("{}[[team]]\nname = \"lan\"\n", nics(&["a"]));
    for nic in ["a", "nic0"] {
        assert_errors(
            &(all.clone() + &guest_on(nic)),
            &[&format!(
                "weir.toml:10: vm[0].vnic[0].uplink: \"{nic}\" is a member of the team \"lan\", which is the uplink: use \"lan\""
            )],
        );
    }
    assert_errors(
        &guest_on("a"),
        &[
            "weir.toml:6: vm[0].vnic[0].uplink: no [[team]] or [[nic]] is named \"a\" (there is none of either)",
        ],
    );
}

#[test]
fn the_vnics_of_a_team_are_counted_together() {
    let guest = |name: &str| GUEST.replace("\"a\"", name) + &"[[vm.vnic]]\nuplink = \"lan\"\n".repeat(8);
    assert_errors(
        &format!("[[team]]\nname = \"lan\"\n{}{}", guest("\"a\""), guest("\"b\"")),
        &["weir.toml:41: vm[1].vnic[7]: too many vNICs on this uplink (at most 15)"],
    );
}

#[test]
fn a_team_has_a_name_of_its_own() {
    assert_errors(
        &format!("{}[[team]]\nname = \"a\"\nnics = [\"a\"]\n[[team]]\nname = \"a\"\n{GUEST}", nics(&["a"])),
        &[
            "weir.toml:4: team[0].name: duplicate NIC or team name \"a\", first used on line 2",
            "weir.toml:7: team[1].name: duplicate NIC or team name \"a\", first used on line 2",
        ],
    );
    assert_errors(
        &format!("[[team]]\nsurprise = 1\n{GUEST}"),
        &[
            "weir.toml:1: team[0].name: missing: expected a name of 1 to 16 letters",
            "weir.toml:2: team[0].surprise: unknown field (known fields: name, nics, standby, unused, policy, failback, \
             up_delay, down_delay, detection, beacon_interval, beacon_lost, beacon_vlans, gateway, notify, notify_spacing, \
             in_doubt)",
        ],
    );
}

#[test]
fn a_nic_that_cannot_be_there_is_no_member() {
    assert_team_errors(
        "nics = [\"a\", \"d\"]\nstandby = [\"nic0\"]\nunused = [\"d\"]\n",
        &[
            "1: nics[1]: no NIC is named \"d\" (known NICs: \"a\", \"b\", \"c\")",
            "2: standby[0]: no NIC is named \"nic0\" (known NICs: \"a\", \"b\", \"c\")",
            "3: unused[0]: no NIC is named \"d\" (known NICs",
        ],
    );
    assert_team_errors(
        "standby = [\"nic4\"]\nunused = [\"nic5\"]\n",
        &[
            "2: unused[0]: no NIC is named \"nic5\" (known NICs: \"a\", \"b\", \"c\", \"nic0\", \"nic1\", \"nic2\", \"nic3\", \"nic4\")",
        ],
    );
    assert_errors(
        &format!("[[team]]\nname = \"t\"\nnics = [\"a\"]\n{GUEST}"),
        &["weir.toml:3: team[0].nics[0]: no NIC is named \"a\" (no [[nic]] is configured)"],
    );
}

#[test]
fn a_nic_has_one_place_in_one_team() {
    assert_team_errors(
        "nics = [\"a\", \"a\", \"b\"]\nstandby = [\"b\"]\nunused = [\"c\", \"a\"]\n",
        &[
            "1: nics[1]: \"a\" is active in the team \"lan\" already, on line 3",
            "2: standby[0]: \"b\" is active in the team \"lan\" already, on line 3",
            "3: unused[1]: \"a\" is active in the team \"lan\" already, on line 3",
        ],
    );
}

#[test]
fn a_nic_is_in_one_team() {
    assert_errors(
        &format!(
            "{}[[team]]\nname = \"s\"\nnics = [\"a\"]\nstandby = [\"b\"]\n[[team]]\nname = \"t\"\nnics = [\"b\"]\nunused = [\"a\"]\n{GUEST}",
            nics(&["a", "b"])
        ),
        &[
            "weir.toml:11: team[1].nics[0]: \"b\" is on standby in the team \"s\" already, on line 8",
            "weir.toml:12: team[1].unused[0]: \"a\" is active in the team \"s\" already, on line 7",
        ],
    );
    assert_errors(
        &format!("[[team]]\nname = \"s\"\n[[team]]\nname = \"t\"\nnics = \"all\"\n{GUEST}"),
        &["weir.toml:5: team[1].nics: \"s\" is the team of all NICs already, and there can be one"],
    );
}

#[test]
fn a_team_can_have_an_active_member() {
    assert_team_errors(
        "nics = []\nstandby = [\"a\"]\n",
        &["1: nics: the team has no active member: at least one NIC must be in nics"],
    );
    let eight = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let teams = |rest: &str| {
        format!(
            "{}[[team]]\nname = \"t\"\nnics = [\"a\", \"b\", \"c\"]\nunused = [\"d\"]\n[[team]]\nname = \"lan\"\n{rest}{GUEST}",
            nics(&eight)
        )
    };
    assert_errors(
        &teams("standby = [\"e\", \"f\"]\nunused = [\"g\", \"h\"]\n"),
        &[
            "weir.toml:21: team[1].nics: the team has no active member: all NICs that there can be are in other teams, on standby or unused",
        ],
    );
    assert!(read_text(&teams("standby = [\"e\", \"f\"]\nunused = [\"g\"]\n")).is_ok());
}

#[test]
fn a_team_that_is_one_link_to_the_switch_has_neither_standby_members_nor_beacons() {
    assert_team_errors(
        "nics = [\"a\", \"b\"]\nstandby = [\"c\"]\npolicy = \"ip-hash\"\ndetection = \"beacon\"\n",
        &[
            "2: standby: a team with policy \"ip-hash\" has no member on standby",
            "4: detection: a team with policy \"ip-hash\" sends no beacons",
        ],
    );
    assert_eq!(team("policy = \"ip-hash\"\nunused = [\"c\"]\n").settings.policy, TeamPolicy::IpHash);
}

#[test]
fn beacons_need_somebody_to_hear_them() {
    assert_team_errors(
        "nics = [\"a\"]\ndetection = \"beacon\"\n",
        &["2: detection: beacons need two NICs that hear each other, and this team can only have one"],
    );
    team("nics = [\"a\"]\nstandby = [\"b\"]\ndetection = \"beacon\"\n");
}

#[test]
fn the_fields_of_beacons_need_beacons() {
    let only = "only a team with detection = \"beacon\" has this field";
    let fields = "beacon_interval = 100\nbeacon_lost = 2\nbeacon_vlans = [5]\ngateway = \"10.0.5.1\"\n";
    let errors = ["1: beacon_interval", "2: beacon_lost", "3: beacon_vlans", "4: gateway"]
        .map(|at| format!("{at}: {only}"));
    let errors: Vec<&str> = errors.iter().map(String::as_str).collect();
    assert_team_errors(fields, &errors);
    assert_team_errors(&format!("{fields}detection = \"link\"\n"), &errors);
    assert_team_errors(
        &format!("{fields}detection = \"carrier\"\n"),
        &["5: detection: \"carrier\" is not one of \"link\", \"beacon\""],
    );
}

#[test]
fn numbers_and_durations_have_a_range() {
    let unit = "as a number of milliseconds or with a unit, like \"100 ms\", \"1 s\" or \"2 min\"";
    assert_team_errors(
        "up_delay = \"11 min\"\ndown_delay = -1\ndetection = \"beacon\"\nbeacon_interval = \"61 s\"\nbeacon_lost = 0\n\
         notify = 11\nnotify_spacing = \"1 h\"\n",
        &[
            &format!("1: up_delay: invalid duration: expected at most 10 min, {unit}"),
            &format!("2: down_delay: invalid duration: expected at most 10 min, {unit}"),
            &format!("4: beacon_interval: invalid duration: expected 1 ms to 60 s, {unit}"),
            "5: beacon_lost: expected a number from 1 to 10",
            "6: notify: expected a number from 0 to 10",
            &format!("7: notify_spacing: invalid duration: expected 1 ms to 10 s, {unit}"),
        ],
    );
    assert_team_errors(
        "detection = \"beacon\"\nbeacon_interval = 1\nbeacon_lost = 2\n",
        &["2: beacon_interval: beacon_interval times beacon_lost must be at least 3 ms: a beacon may wait"],
    );
    team("detection = \"beacon\"\nbeacon_interval = 1\nup_delay = \"10 min\"\ndown_delay = 0\n");
}

#[test]
fn beacon_vlans_and_the_gateway_exist() {
    assert_team_errors(
        "detection = \"beacon\"\nbeacon_vlans = [0, 5, 4095, 5, \"6\"]\ngateway = \"224.0.0.1\"\n",
        &[
            "2: beacon_vlans[0]: expected a VLAN number from 1 to 4094, without quotes",
            "2: beacon_vlans[2]: expected a VLAN number",
            "2: beacon_vlans[3]: duplicate VLAN 5",
            "2: beacon_vlans[4]: expected a VLAN number",
            "3: gateway: \"224.0.0.1\" is not the IPv4 or IPv6 address of one host",
        ],
    );
    assert_team_errors(
        "detection = \"beacon\"\nbeacon_vlans = [1, 2, 3, 4, 5, 6, 7, 8, 9]\ngateway = 10\n",
        &[
            "2: beacon_vlans[8]: too many VLANs: 9 (at most 8)",
            "3: gateway: expected a string with the IPv4 or IPv6 address of one host, like \"192.0.2.1\", but found an integer",
        ],
    );
    for gateway in ["10.0.5", "0.0.0.0", "127.0.0.1", "255.255.255.255", "::", "ff02::1", "10.0.5.1/24"] {
        assert_team_errors(
            &format!("detection = \"beacon\"\ngateway = \"{gateway}\"\n"),
            &[&format!("2: gateway: \"{gateway}\" is not the IPv4 or IPv6")],
        );
    }
}

#[test]
fn unknown_words_and_wrong_types_are_reported() {
    assert_team_errors(
        "nics = \"some\"\nstandby = \"b\"\nunused = [1]\npolicy = \"hash\"\nfailback = \"never\"\nin_doubt = 1\nbeacon_vlans = 5\n",
        &[
            "1: nics: \"some\" is not \"all\", or a list of names, like [\"nic0\", \"nic1\"]",
            "2: standby: expected a list of names, like [\"nic1\"], but found a string",
            "3: unused[0]: expected a string with the name of a NIC, but found an integer",
            "4: policy: \"hash\" is not one of \"order\", \"port\", \"mac\", \"ip-hash\", \"load\"",
            "5: failback: \"never\" is not one of \"always\", \"better\", \"on-failure\", \"manual\"",
            "6: in_doubt: expected a string with one of \"no-duplicate\", \"no-loss\", but found an integer",
            "7: beacon_vlans: expected a list of at most 8 VLAN numbers",
            "7: beacon_vlans: only a team with detection",
        ],
    );
    assert_team_errors(
        "nics = 2\n",
        &["1: nics: expected \"all\", or a list of names, like [\"nic0\", \"nic1\"], but found an integer"],
    );
}
