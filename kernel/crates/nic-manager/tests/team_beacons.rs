//! Members of a whole team hear each other's beacons, or do not for a while.

#[path = "support/team.rs"]
mod support;

use nic_manager::{BeaconSettings, MemberId, TeamSettings};
use support::{Bench, READY, SILENT};

const MEMBERS: usize = 3;
const INTERVAL_MS: u32 = 100;

/// So many intervals, in which all that a member sends reaches the others, but for what is from or for one that is cut off.
fn pass(bench: &mut Bench, rounds: usize, cut_off: Option<usize>) {
    for _ in 0..rounds {
        bench.run(u64::from(INTERVAL_MS) * 1_000_000);
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

#[test]
fn f13_a_member_that_was_cut_off_is_used_again_when_it_was_heard_for_a_second_and_not_before() {
    let beacon = BeaconSettings { interval_ms: INTERVAL_MS, ..BeaconSettings::STANDARD };
    let mut bench = Bench::new(TeamSettings { beacon: Some(beacon), ..SILENT }, &[READY; MEMBERS], 2);
    let usable =
        |bench: &Bench| bench.team.manager().usable().iter().map(MemberId::index).collect::<Vec<_>>();
    pass(&mut bench, 100, None);
    assert_eq!(usable(&bench), [0, 1, 2]);
    pass(&mut bench, 5, Some(0));
    assert_eq!(usable(&bench), [1, 2]);
    pass(&mut bench, 9, None);
    assert_eq!(usable(&bench), [1, 2]);
    pass(&mut bench, 30, None);
    assert_eq!(usable(&bench), [0, 1, 2]);
}
