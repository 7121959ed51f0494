//! What is decided, said and asked where members are alone for a while, and where beacons come and go.

mod support;

use base::Duration;
use core::cell::Cell;
use nic_manager::{
    AdminState, BeaconSettings, MemberFault, MemberRole, TeamAction, TeamEvent, TeamNote, TeamPolicy,
    TeamSettings, VnicId,
};
use support::{Rig, hearing, id, vnics};

const SECOND: Duration = Duration::from_secs(1);

/// A team of members that hear each other so far.
fn team(members: usize, beacon: BeaconSettings) -> Rig {
    let settings = TeamSettings { policy: TeamPolicy::Order, beacon: Some(beacon), ..TeamSettings::STANDARD };
    let mut rig = Rig::with(settings, &vec![MemberRole::Active; members], &vnics(&[3]));
    (0..members).for_each(|member| rig.link(member, true));
    rig.pass_with(SECOND * 5, |_| hearing(members, |_, _| true));
    rig.actions.clear();
    rig
}

fn with_gateway() -> BeaconSettings {
    BeaconSettings { gateway: "10.0.5.1".parse().ok(), ..BeaconSettings::STANDARD }
}

/// Two members of which the gateway answers the second one.
fn cut_off(_: usize) -> nic_manager::TeamSample {
    let mut sample = hearing(2, |_, _| false);
    sample.members[1].answered = true;
    sample
}

#[test]
fn f14_a_member_that_is_cut_off_is_so_still_after_a_time_in_which_it_was_alone() {
    let pulled = |rig: &mut Rig, out: bool| rig.link(1, !out);
    let down = |rig: &mut Rig, out: bool| {
        let state = if out { AdminState::Down } else { AdminState::Up };
        rig.tell(TeamEvent::Admin { member: id(1), state });
    };
    for leave in [&pulled as &dyn Fn(&mut Rig, bool), &down] {
        let mut rig = team(2, with_gateway());
        rig.pass_with(SECOND * 8, cut_off);
        assert_eq!((rig.carriers(), rig.manager().fault(id(0))), (vec![Some(1)], Some(MemberFault::CutOff)));
        leave(&mut rig, true);
        rig.pass_with(SECOND * 3, |_| hearing(2, |_, _| false));
        assert_eq!(rig.carriers(), [Some(0)], "it is better than none");
        let _ = rig.notes();
        leave(&mut rig, false);
        rig.pass_with(SECOND * 5, cut_off);
        assert_eq!((rig.carriers(), rig.manager().fault(id(0))), (vec![Some(1)], Some(MemberFault::CutOff)));
        let notes = rig.notes();
        assert!(!notes.contains(&TeamNote::BeaconHeard { member: id(0) }), "{notes:?}");
        rig.pass_with(SECOND * 3, |_| hearing(2, |_, _| true));
        assert_eq!(rig.carriers(), [Some(0)], "now it is heard");
        rig.check_replay();
    }
}

#[test]
fn f13_a_member_that_the_operator_brings_back_has_not_missed_the_round_in_which_he_does() {
    let mut rig = team(3, BeaconSettings { lost: 1, ..BeaconSettings::STANDARD });
    rig.tell(TeamEvent::Admin { member: id(2), state: AdminState::Down });
    rig.pass_with(SECOND * 3, |_| hearing(3, |by, of| by != 2 && of != 2));
    rig.tell(TeamEvent::Admin { member: id(2), state: AdminState::Up });
    let _ = rig.notes();
    rig.pass_with(SECOND, |_| hearing(3, |by, of| by != 2 && of != 2));
    rig.pass_with(SECOND * 3, |_| hearing(3, |_, _| true));
    assert_eq!((rig.notes(), rig.manager().fault(id(2))), (vec![], None));
}

#[test]
fn f13_a_lan_that_loses_most_beacons_fills_neither_the_log_nor_the_wire() {
    for (members, gateway) in [(2, None), (3, None), (2, with_gateway().gateway), (3, with_gateway().gateway)]
    {
        let beacon = BeaconSettings { interval_ms: 1, gateway, ..BeaconSettings::STANDARD };
        let mut rig = team(members, beacon);
        // One of four passes, in no order.
        let random = Cell::new(1_u32);
        let passes = || {
            random.set(random.get().wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
            random.get() >> 30 == 0
        };
        let (mut notes, mut questions) = (0, 0);
        for _ in 0..10 {
            rig.pass_with(SECOND, |_| hearing(members, |_, _| passes()));
            let asks = |action: &&TeamAction| **action == TeamAction::Probe(id(0));
            questions += rig.actions.iter().filter(asks).count();
            notes += rig.notes().len();
        }
        assert!(notes <= 5 + 2 * members, "{members} members, {gateway:?}: {notes} lines in 10 s");
        assert!(questions <= 10 * 5 + 5, "{members} members, {gateway:?}: {questions} questions in 10 s");
    }
}

#[test]
fn f36_who_receives_group_frames_is_one_that_carries_frames() {
    let settings = TeamSettings {
        policy: TeamPolicy::Order,
        failback: nic_manager::FailbackMode::OnFailure,
        ..TeamSettings::STANDARD
    };
    let mut rig = Rig::with(settings, &[MemberRole::Active; 2], &vnics(&[3]));
    rig.start();
    rig.link(0, false);
    rig.actions.clear();
    rig.link(0, true);
    rig.pass(SECOND * 10);
    let listens = rig.actions.iter().any(|action| matches!(action, TeamAction::Listen(_)));
    assert!(rig.carriers() == [Some(1)] && !listens, "{:?}", rig.actions);
}

#[test]
fn f30_who_has_no_link_yet_returns_as_the_failback_says_although_the_operator_wants_it() {
    let settings = TeamSettings { failback: nic_manager::FailbackMode::OnFailure, ..TeamSettings::STANDARD };
    let mut rig = Rig::with(settings, &[MemberRole::Active; 2], &vnics(&[3]));
    rig.start();
    rig.link(0, false);
    rig.tell(TeamEvent::Admin { member: id(0), state: AdminState::Up });
    rig.link(0, true);
    rig.pass(SECOND * 10);
    assert_eq!(rig.carriers(), [Some(1)]);
    rig.tell(TeamEvent::Admin { member: id(0), state: AdminState::Up });
    assert_eq!(rig.carriers(), [Some(0)]);
}

#[test]
fn f16_a_policy_by_which_something_else_decides_tells_of_the_vnics_that_move_and_of_no_others() {
    let mut rig = Rig::new(TeamSettings { policy: TeamPolicy::SourceMac, ..TeamSettings::STANDARD }, 2, 4);
    rig.start();
    let carriers = |rig: &Rig| [0, 1, 2, 3].map(|vnic| rig.manager().carrier_of(VnicId(vnic)));
    let before = carriers(&rig);
    let _ = rig.notes();
    rig.tell(TeamEvent::Policy(TeamPolicy::Port));
    let after = carriers(&rig);
    let moved: Vec<_> = (0..4).filter(|vnic| before[*vnic] != after[*vnic]).collect();
    assert!(!moved.is_empty() && moved.len() < 4, "{before:?} {after:?}");
    let notes = rig.notes();
    assert_eq!(notes[0], TeamNote::Policy { policy: TeamPolicy::Port, moved: moved.len() as u16 });
    let told: Vec<_> = notes[1..]
        .iter()
        .map(|note| if let TeamNote::Moved { vnic, .. } = note { usize::from(vnic.0) } else { usize::MAX })
        .collect();
    assert_eq!(told, moved);
}

/// Two members that do not hear each other, of which the gateway answers one.
fn answered(by: usize) -> impl Fn(usize) -> nic_manager::TeamSample {
    move |_| {
        let mut sample = hearing(2, |_, _| false);
        sample.members[by].answered = true;
        sample
    }
}

#[test]
fn f14_when_the_way_that_was_cut_comes_back_as_the_other_one_goes_frames_follow_at_once() {
    let beacon = BeaconSettings { interval_ms: 1, ..with_gateway() };
    let mut rig = team(2, beacon);
    rig.pass_with(SECOND * 5, answered(1));
    assert_eq!(rig.carriers(), [Some(1)]);
    // Three questions are asked of the gateway meanwhile, five in a second.
    rig.pass_with(Duration::from_millis(800), answered(0));
    assert_eq!(rig.carriers(), [Some(0)]);
}

#[test]
fn f14_who_is_heard_by_one_beacon_and_is_alone_then_is_cut_off_still() {
    let mut rig = team(2, BeaconSettings { interval_ms: 100, ..with_gateway() });
    rig.pass_with(SECOND * 5, answered(1));
    rig.pass_with(Duration::from_millis(100), |_| hearing(2, |_, _| true));
    rig.link(1, false);
    let _ = rig.notes();
    rig.pass_with(SECOND * 5, |_| hearing(2, |_, _| false));
    assert_eq!((rig.carriers(), rig.manager().fault(id(0))), (vec![Some(0)], Some(MemberFault::CutOff)));
    rig.link(1, true);
    rig.pass_with(SECOND * 4, answered(1));
    assert_eq!(rig.carriers(), [Some(1)]);
    let notes = rig.notes();
    assert!(!notes.contains(&TeamNote::BeaconHeard { member: id(0) }), "{notes:?}");
}

#[test]
fn f14_one_beacon_that_passes_does_not_end_an_earlier_verdict() {
    let mut rig = team(2, BeaconSettings { interval_ms: 100, ..BeaconSettings::STANDARD });
    let receives = |by: usize| {
        move |_| {
            let mut sample = hearing(2, |_, _| false);
            sample.members[1 - by].frames = 0;
            sample
        }
    };
    rig.pass_with(SECOND * 5, receives(0));
    assert_eq!(rig.manager().fault(id(1)), Some(MemberFault::CutOff));
    rig.pass_with(Duration::from_millis(100), |_| hearing(2, |_, _| true));
    rig.pass_with(SECOND * 10, receives(1));
    assert_eq!((rig.carriers(), rig.manager().fault(id(1))), (vec![Some(0)], Some(MemberFault::CutOff)));
}

#[test]
fn f13_of_two_that_are_cut_off_together_it_is_said_how_long_those_that_stay_have_not_heard_them() {
    let mut rig = team(5, BeaconSettings::STANDARD);
    rig.pass_with(SECOND * 4, |_| hearing(5, |by, of| (by < 2) == (of < 2)));
    let lost = |member: usize| TeamNote::BeaconLost { member: id(member), missed: 3 };
    let notes = rig.notes();
    assert!([0, 1].map(lost).iter().all(|note| notes.contains(note)), "{notes:?}");
}

#[test]
fn f13_who_sends_beacons_again_after_a_change_of_policy_has_not_missed_any_in_that_round() {
    let mut rig = team(2, BeaconSettings { lost: 1, ..BeaconSettings::STANDARD });
    rig.tell(TeamEvent::Policy(TeamPolicy::IpHash));
    rig.pass_with(SECOND * 3, |_| hearing(2, |_, _| false));
    rig.tell(TeamEvent::Policy(TeamPolicy::Port));
    let _ = rig.notes();
    rig.pass_with(SECOND, |_| hearing(2, |_, _| false));
    rig.pass_with(SECOND * 3, |_| hearing(2, |_, _| true));
    assert_eq!(rig.notes(), []);
}
