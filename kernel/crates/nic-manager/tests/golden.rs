//! A short history of a team, as it was once written: a change of what a team decides, or of how its history is written, shows as a change
//! of the files in `golden/`, for a reviewer to see.

mod support;

use base::{Duration, NicCondition};
use nic_manager::{
    ActionLine, AdminState, BeaconSettings, EventLine, FailbackMode, HistoryText, MemberId, MemberRole,
    Replay, TeamEvent, TeamNames, TeamPolicy, TeamSettings, VnicId, read_histories, write_history,
};
use std::fmt::Write;
use std::path::PathBuf;
use support::{LINK, Rig, hearing, id, mac, vnics};

fn golden(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name].iter().collect()
}

struct GoldenNames;

impl TeamNames for GoldenNames {
    fn team(&self) -> &str {
        "lan"
    }

    fn nic(&self, member: MemberId) -> &str {
        ["nic0", "nic1", "nic2"].get(member.index()).copied().unwrap_or_default()
    }

    fn vnic(&self, vnic: VnicId) -> (&str, usize) {
        if vnic.0 < 2 { ("web", vnic.0.into()) } else { ("db", 0) }
    }
}

/// A bit of everything: failures and returns, a NIC that is cut off, the operator, another policy.
fn lived() -> Rig {
    let beacon = BeaconSettings { gateway: Some("10.0.5.1".parse().unwrap()), ..BeaconSettings::STANDARD };
    let settings =
        TeamSettings { beacon: Some(beacon), failback: FailbackMode::Better, ..TeamSettings::STANDARD };
    let roles = [MemberRole::Active, MemberRole::Active, MemberRole::Standby];
    let mut rig = Rig::with(settings, &roles, &vnics(&[3, 5, 3]));
    let second = Duration::from_secs(1);
    rig.start();
    rig.tell(TeamEvent::Address { vnic: VnicId(0), mac: mac(9), vlan: Some(7) });
    rig.link(0, false);
    rig.pass_with(second * 2, |_| hearing(3, |_, _| true));
    rig.link(0, true);
    rig.pass_with(second * 3, |_| hearing(3, |_, _| true));
    rig.pass_with(second * 5, |_| hearing(3, |by, of| by != 1 && of != 1));
    rig.pass_with(second * 2, |_| hearing(3, |_, _| true));
    rig.nic(0, NicCondition::Resetting, LINK);
    rig.tell(TeamEvent::Stall { member: id(2), stalled: true });
    rig.tell(TeamEvent::Admin { member: id(1), state: AdminState::Drain });
    rig.pass(second);
    rig.tell(TeamEvent::Policy(TeamPolicy::SourceMac));
    rig.pass(second);
    rig
}

fn text(rig: &Rig) -> String {
    let mut text = String::new();
    write_history(&rig.recorder, &GoldenNames, &mut |line| writeln!(text, "weir| {line}").unwrap());
    text
}

/// Events and decisions as text.
fn decisions(history: &HistoryText) -> String {
    let mut replay = Replay::new(history.bytes().expect("it is whole")).expect("it is whole");
    let (mut text, mut actions) = (String::new(), Vec::new());
    while let Some(step) = replay.next(&mut |action| actions.push(action)).expect("it is whole") {
        let event = EventLine { event: &step.event, names: history };
        writeln!(text, "{} {event}", step.at).unwrap();
        for action in actions.drain(..) {
            writeln!(text, "    {}", ActionLine { action, names: history }).unwrap();
        }
        assert!(step.same, "other decisions than the history has:\n{text}");
    }
    text
}

fn kept(name: &str) -> String {
    let path = golden(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn a_history_of_long_ago_replays_to_the_same_decisions() {
    let log = kept("team.log");
    let [history] = &read_histories(&log)[..] else { panic!("one history") };
    assert_eq!(decisions(history), kept("team.decisions"));
}

#[test]
fn a_history_is_written_as_long_ago() {
    assert_eq!(text(&lived()), kept("team.log"));
}

/// `cargo test -p nic-manager --test golden -- --ignored` after a change that is meant.
#[test]
#[ignore = "writes to the source tree"]
fn write_the_history() {
    let log = text(&lived());
    std::fs::write(golden("team.log"), &log).unwrap();
    std::fs::write(golden("team.decisions"), decisions(&read_histories(&log)[0])).unwrap();
}
