//! How a member that cannot carry frames is found although it has a link: beacons, the gateway, errors.

mod support;

use base::Duration;
use nic_manager::{
    AdminState, BeaconSettings, MemberFault, MemberRole, MemberSample, TeamAction, TeamEvent, TeamNote,
    TeamPolicy, TeamSample, TeamSettings,
};
use support::{Rig, hearing, id, set, vnics};

const SECOND: Duration = Duration::from_secs(1);

fn with_beacons(members: usize, gateway: bool) -> Rig {
    let gateway = gateway.then(|| "10.0.5.1".parse().expect("an address"));
    let beacon = Some(BeaconSettings { gateway, ..BeaconSettings::STANDARD });
    let roles = vec![MemberRole::Active; members];
    let mut rig =
        Rig::with(TeamSettings { beacon, ..TeamSettings::STANDARD }, &roles, &vnics(&vec![3; members]));
    (0..members).for_each(|member| rig.link(member, true));
    rig.pass_with(SECOND * 5, |_| hearing(members, |_, _| true));
    rig.actions.clear();
    rig
}

/// Two members that do not hear each other, of which these have an answer of the gateway, and receive frames.
fn two(answered: [bool; 2], frames: [u64; 2]) -> TeamSample {
    let sample = |member: usize| MemberSample {
        answered: answered[member],
        frames: frames[member],
        ..MemberSample::default()
    };
    TeamSample {
        ends_round: true,
        members: [0, 1].map(sample).into_iter().collect(),
        ..TeamSample::default()
    }
}

#[test]
fn f13_members_with_a_link_send_beacons_unless_switches_take_them_for_one_line() {
    let mut rig = with_beacons(3, false);
    assert_eq!(rig.manager().speakers(), set(&[0, 1, 2]));
    rig.link(0, false);
    rig.tell(TeamEvent::Admin { member: id(1), state: AdminState::Down });
    assert_eq!(rig.manager().speakers(), set(&[2]));
    rig.tell(TeamEvent::Policy(TeamPolicy::IpHash));
    assert_eq!(rig.manager().speakers(), set(&[]));
}

#[test]
fn f13_of_three_the_one_that_hears_none_and_is_heard_by_none_is_cut_off_after_three_periods() {
    let mut rig = with_beacons(3, false);
    let cut = |_| hearing(3, |by, of| by != 1 && of != 1);
    rig.pass_with(SECOND * 2, cut);
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(2)]);
    rig.pass_with(SECOND, cut);
    assert_eq!(rig.manager().fault(id(1)), Some(MemberFault::CutOff));
    assert!(!rig.carriers().contains(&Some(1)));
    let notes = rig.notes();
    assert!(notes.contains(&TeamNote::BeaconLost { member: id(1), missed: 3 }), "{notes:?}");
    assert!(matches!(notes[1], TeamNote::Failover { cause: MemberFault::CutOff, .. }), "{notes:?}");
    rig.pass_with(SECOND * 3, |_| hearing(3, |_, _| true));
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(2)], "it is heard again, and the hold-down is over");
    rig.check_replay();
}

#[test]
fn f13_a_member_that_is_heard_but_hears_nothing_is_cut_off_too() {
    for deaf in [true, false] {
        let mut rig = with_beacons(4, false);
        rig.pass_with(SECOND * 3, |_| hearing(4, |by, of| if deaf { by != 2 } else { of != 2 }));
        assert_eq!(rig.manager().fault(id(2)), Some(MemberFault::CutOff), "deaf: {deaf}");
        assert_eq!([0, 1, 3].map(|member| rig.manager().fault(id(member))), [None; 3]);
    }
}

#[test]
fn f13_a_beacon_that_is_missed_now_and_then_moves_nothing() {
    let mut rig = with_beacons(3, false);
    rig.pass_with(SECOND * 60, |number| hearing(3, |_, _| number % 3 == 0));
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(2)]);
    assert_eq!(rig.notes(), []);
}

#[test]
fn f13_in_fast_mode_a_loss_is_found_in_three_milliseconds() {
    let beacon = Some(BeaconSettings { interval_ms: 1, ..BeaconSettings::STANDARD });
    let settings = TeamSettings { beacon, ..TeamSettings::STANDARD };
    let mut rig = Rig::with(settings, &[MemberRole::Active; 3], &vnics(&[3; 3]));
    (0..3).for_each(|member| rig.link(member, true));
    rig.pass_with(SECOND, |_| hearing(3, |_, _| true));
    rig.pass_with(Duration::from_millis(3), |_| hearing(3, |by, of| by != 0 && of != 0));
    assert!(!rig.carriers().contains(&Some(0)));
    rig.check_replay();
}

#[test]
fn f14_of_two_the_one_that_the_gateway_does_not_answer_is_cut_off() {
    for answered in [[true, false], [false, true]] {
        let mut rig = with_beacons(2, true);
        rig.pass_with(SECOND * 2, |_| two(answered, [1; 2]));
        assert!(
            rig.actions.contains(&TeamAction::Probe(id(0))),
            "asked from the first beacon on that is missed"
        );
        assert_eq!(rig.carriers(), [Some(0), Some(1)]);
        rig.pass_with(SECOND * 6, |_| two(answered, [1; 2]));
        let asked = rig.actions.iter().filter(|action| matches!(action, TeamAction::Probe(_))).count();
        assert!(asked >= 2, "both sides ask");
        let stays = usize::from(answered[1]);
        assert_eq!(rig.carriers(), [Some(stays); 2], "{answered:?}");
        rig.pass_with(SECOND * 100, |_| two(answered, [1; 2]));
        assert_eq!(rig.carriers(), [Some(stays); 2], "{answered:?}");
        rig.pass_with(SECOND * 3, |_| hearing(2, |_, _| true));
        assert_eq!(rig.carriers(), [Some(0), Some(1)]);
    }
}

#[test]
fn f14_without_a_gateway_the_one_that_receives_nothing_is_cut_off() {
    for frames in [[5, 0], [0, 5]] {
        let mut rig = with_beacons(2, false);
        rig.pass_with(SECOND * 4, |_| two([false; 2], frames));
        assert_eq!(rig.carriers(), [Some(usize::from(frames[1] > 0)); 2], "{frames:?}");
    }
}

#[test]
fn f14_when_nothing_tells_which_of_two_is_cut_off_nothing_moves_and_it_is_said_once() {
    for (answered, frames) in [([false; 2], [0; 2]), ([true; 2], [3; 2])] {
        let mut rig = with_beacons(2, true);
        rig.pass_with(SECOND * 30, |_| two(answered, frames));
        assert_eq!(rig.carriers(), [Some(0), Some(1)]);
        assert_eq!(rig.notes(), [TeamNote::Undecided]);
    }
}

#[test]
fn f14_what_was_decided_stays_when_the_gateway_falls_silent_later() {
    let mut rig = with_beacons(2, true);
    rig.pass_with(SECOND * 8, |_| two([false, true], [1; 2]));
    assert_eq!(rig.carriers(), [Some(1); 2]);
    rig.pass_with(SECOND * 30, |_| two([false; 2], [0; 2]));
    assert_eq!(rig.carriers(), [Some(1); 2]);
}

#[test]
fn f14_a_side_that_the_gateway_answers_no_longer_is_left_also_when_the_sides_change_at_once() {
    let mut rig = with_beacons(2, true);
    rig.pass_with(SECOND * 8, |_| two([true, false], [1; 2]));
    assert_eq!(rig.carriers(), [Some(0); 2]);
    rig.pass_with(SECOND * 5, |_| two([false, true], [1; 2]));
    assert_eq!(rig.carriers(), [Some(1); 2]);

    // Of three, one is cut off for an hour, and then another one.
    let mut rig = with_beacons(3, true);
    let split = |together: [usize; 2], answered: [bool; 3]| {
        let mut sample = hearing(3, |by, of| together.contains(&by) && together.contains(&of));
        sample.members.iter_mut().zip(answered).for_each(|(member, is)| member.answered = is);
        sample
    };
    rig.pass_with(SECOND * 3600, |_| split([0, 2], [true, false, true]));
    assert!(!rig.carriers().contains(&Some(1)));
    rig.pass_with(SECOND * 5, |_| split([2, 2], [false, false, true]));
    assert_eq!(rig.carriers(), [Some(2); 3]);
}

/// Two members that do not hear each other, in periods of so many milliseconds. The gateway answers each of them after so many periods,
/// but for some questions, by their numbers.
fn two_ask(interval_ms: u32, periods: usize, answers: [(usize, Option<usize>); 2]) -> Rig {
    let beacon = BeaconSettings { interval_ms, gateway: "10.0.5.1".parse().ok(), ..BeaconSettings::STANDARD };
    let settings = TeamSettings { beacon: Some(beacon), ..TeamSettings::STANDARD };
    let mut rig = Rig::with(settings, &[MemberRole::Active; 2], &vnics(&[3; 2]));
    (0..2).for_each(|member| rig.link(member, true));
    rig.pass_with(SECOND * 5, |_| hearing(2, |_, _| true));
    let mut asked = Vec::new();
    for period in 0..periods {
        rig.actions.clear();
        let answered = answers.map(|(after, lost)| {
            let numbers = 0_usize..;
            numbers
                .zip(&asked)
                .any(|(number, at)| at + after == period && lost.is_none_or(|lost| lost != number))
        });
        rig.now = rig.now + Duration::from_millis(interval_ms.into());
        rig.tell(TeamEvent::Sample(two(answered, [1; 2])));
        if rig.actions.contains(&TeamAction::Probe(id(0))) {
            asked.push(period);
        }
    }
    rig
}

#[test]
fn f14_one_answer_of_the_gateway_that_is_lost_cuts_nobody_off() {
    for lost in 0..12 {
        let rig = two_ask(100, 200, [(1, Some(lost)), (1, None)]);
        assert_eq!(rig.carriers(), [Some(0), Some(1)], "question {lost}");
    }
}

#[test]
fn f14_in_fast_mode_the_gateway_has_ten_milliseconds_to_answer() {
    for after in [1, 8] {
        let rig = two_ask(1, 100, [(1, None), (after, None)]);
        assert_eq!(rig.carriers(), [Some(0), Some(1)], "both are answered");
        let rig = two_ask(1, 13, [(1000, None), (after, None)]);
        assert_eq!(rig.carriers(), [Some(1); 2], "only one is");
    }
}

#[test]
fn f13_two_halves_of_a_team_of_four_are_told_apart_by_the_gateway() {
    let mut rig = with_beacons(4, true);
    let halves = |_| {
        let mut sample = hearing(4, |by, of| by / 2 == of / 2);
        sample.members[3].answered = true;
        sample
    };
    rig.pass_with(SECOND * 8, halves);
    let carriers = rig.carriers();
    assert!(carriers.iter().all(|member| matches!(member, Some(2 | 3))), "{carriers:?}");
}

#[test]
fn f13_the_port_of_a_switch_that_is_slow_to_forward_fails_no_member_for_ever() {
    // Both ports block for 30 s after the link came up, as with a spanning tree.
    let beacon = Some(BeaconSettings::STANDARD);
    let settings = TeamSettings { beacon, ..TeamSettings::STANDARD };
    let mut rig = Rig::with(settings, &[MemberRole::Active; 2], &vnics(&[3; 2]));
    (0..2).for_each(|member| rig.link(member, true));
    rig.pass_with(SECOND * 30, |_| two([false; 2], [0; 2]));
    assert_eq!(rig.carriers(), [Some(0), Some(1)]);
    rig.pass_with(SECOND * 2, |_| hearing(2, |_, _| true));
    assert_eq!([0, 1].map(|member| rig.manager().fault(id(member))), [None; 2]);
}

/// A second in which a member receives so many frames, of which some are damaged.
fn errors(member: usize, frames: u64, errors: u64) -> TeamSample {
    let mut sample =
        TeamSample { members: [MemberSample::default(); 2].into_iter().collect(), ..TeamSample::default() };
    sample.members[member] = MemberSample { frames, errors, ..MemberSample::default() };
    sample
}

#[test]
fn f15_a_nic_that_receives_damaged_frames_is_drained_and_not_reset() {
    let mut rig = Rig::new(TeamSettings::STANDARD, 2, 2);
    rig.pass_with(SECOND * 3, |_| errors(0, 900, 100));
    assert_eq!(rig.carriers(), [Some(1); 2]);
    assert_eq!(rig.manager().fault(id(0)), Some(MemberFault::Errors));
    assert!(!rig.actions.iter().any(|action| matches!(action, TeamAction::Retire(_))));
    rig.link(1, false);
    assert_eq!(rig.carriers(), [Some(0); 2], "it is better than none");
    rig.link(1, true);
    rig.pass_with(SECOND * 40, |_| errors(0, 1000, 0));
    assert_eq!(rig.carriers(), [Some(0), Some(1)]);
}

#[test]
fn f15_a_few_errors_drain_nothing() {
    let mut rig = Rig::new(TeamSettings::STANDARD, 2, 2);
    rig.pass_with(SECOND * 60, |number| errors(0, 1000, [0, 9, 0, 40][number % 4]));
    assert_eq!((rig.carriers(), rig.notes()), (vec![Some(0), Some(1)], vec![]));
}
