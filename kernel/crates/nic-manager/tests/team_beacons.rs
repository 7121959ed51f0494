//! Members of a whole team hear each other's beacons, or do not for a while.

#[path = "support/team.rs"]
mod support;

use nic_manager::{BeaconSettings, MemberFault, MemberId, TeamSettings};
use support::{Bench, READY, SILENT};

const MEMBERS: usize = 3;
/// Rounds and seconds do not end together.
const INTERVAL_MS: u32 = 70;
const STEP_MS: u64 = 10;

fn team() -> Bench {
    let beacon = BeaconSettings { interval_ms: INTERVAL_MS, ..BeaconSettings::STANDARD };
    let mut bench = Bench::new(TeamSettings { beacon: Some(beacon), ..SILENT }, &[READY; MEMBERS], 2);
    pass(&mut bench, 10_000, None);
    bench
}

/// So many milliseconds, in which all that a member sends reaches the others, but for what is from or for one that is cut off.
fn pass(bench: &mut Bench, millis: u64, cut_off: Option<usize>) {
    for _ in 0..millis / STEP_MS {
        bench.run(STEP_MS * 1_000_000);
        for from in 0..MEMBERS {
            bench.member(from).nic.send_kept(100);
            for frame in bench.member(from).nic.take_sent() {
                let reached =
                    (0..MEMBERS).filter(|to| *to != from && ![from, *to].map(Some).contains(&cut_off));
                reached.for_each(|to| bench.member(to).nic.arrive(&frame));
            }
        }
        bench.run(0);
    }
}

fn usable(bench: &Bench) -> Vec<usize> {
    bench.team.manager().usable().iter().map(MemberId::index).collect()
}

fn is_cut_off(bench: &Bench) -> bool {
    bench.team.manager().members().next().is_some_and(|first| first.fault == Some(MemberFault::CutOff))
}

#[test]
fn f13_a_member_that_was_cut_off_is_used_again_when_it_was_heard_for_a_second_and_not_before() {
    let mut bench = team();
    assert_eq!(usable(&bench), [0, 1, 2]);
    pass(&mut bench, 400, Some(0));
    assert_eq!(usable(&bench), [1, 2]);
    pass(&mut bench, 900, None);
    assert!(is_cut_off(&bench));
    pass(&mut bench, 400, None);
    assert!(!is_cut_off(&bench));
    pass(&mut bench, 3_000, None);
    assert_eq!(usable(&bench), [0, 1, 2]);
}

#[test]
fn f13_a_member_that_was_cut_off_and_then_alone_is_heard_by_those_that_come_back() {
    let mut bench = team();
    pass(&mut bench, 400, Some(0));
    (1..MEMBERS).for_each(|member| bench.unplug(member));
    pass(&mut bench, 5_000, Some(0));
    assert_eq!(usable(&bench), [0]);
    (1..MEMBERS).for_each(|member| bench.member(member).info = READY);
    pass(&mut bench, 1_300, None);
    assert!(!is_cut_off(&bench));
}
