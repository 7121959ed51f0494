//! Failover, failback, and what protects against links that flap.

mod support;

use base::{Duration, LinkSpeed, LinkStatus, NicCondition};
use nic_manager::{
    AdminState, FailbackMode, MemberFault, MemberId, MemberRole, MoveReason, NoticeSettings, TeamAction,
    TeamEvent, TeamNote, TeamPolicy, TeamSettings, VnicId,
};
use support::{LINK, Rig, id, mac, vnics};

const STANDARD: TeamSettings = TeamSettings::STANDARD;
const SECOND: Duration = Duration::from_secs(1);

fn with_failback(failback: FailbackMode) -> Rig {
    Rig::new(TeamSettings { failback, ..STANDARD }, 2, 4)
}

#[test]
fn f11_on_the_event_the_table_switches_before_anything_else_and_the_dead_nic_is_retired() {
    let mut rig = Rig::new(STANDARD, 2, 4);
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(0), Some(1)]);
    rig.link(0, false);
    assert_eq!(rig.carriers(), [Some(1); 4]);
    assert_eq!(rig.actions[..2], [TeamAction::Switch, TeamAction::Retire(id(0))]);
    let (from, to, cause) = (id(0), Some(id(1)), MemberFault::Link);
    assert!(rig.notes().contains(&TeamNote::Failover { from, to, cause, moved: 2 }));
}

#[test]
fn f11_a_team_without_any_link_carries_nothing_and_says_so_once() {
    let mut rig = Rig::new(STANDARD, 2, 2);
    rig.link(0, false);
    rig.actions.clear();
    rig.link(1, false);
    assert_eq!(rig.carriers(), [None; 2]);
    let links = |rig: &Rig| -> Vec<bool> {
        rig.actions
            .iter()
            .filter_map(|a| if let TeamAction::Link(up) = a { Some(*up) } else { None })
            .collect()
    };
    assert_eq!(links(&rig), [false]);
    rig.pass(SECOND * 10);
    assert_eq!(links(&rig), [false]);
    rig.link(1, true);
    assert_eq!(links(&rig), [false, true]);
    assert_eq!(rig.carriers(), [Some(1); 2], "delays are skipped when there is nothing else");
}

#[test]
fn f15_a_nic_that_is_reset_or_makes_no_progress_is_left_and_used_again_when_it_works() {
    for broken in [NicCondition::Resetting, NicCondition::Failed] {
        let mut rig = Rig::new(STANDARD, 2, 2);
        rig.nic(0, broken, LinkStatus::DOWN);
        assert_eq!(rig.carriers(), [Some(1); 2]);
        rig.link(0, true);
        rig.pass(SECOND * 2);
        assert_eq!(rig.carriers(), [Some(0), Some(1)]);
    }
    let mut rig = Rig::new(STANDARD, 2, 2);
    rig.tell(TeamEvent::Stall { member: id(1), stalled: true });
    assert_eq!(rig.carriers(), [Some(0); 2]);
    assert!(rig.actions.contains(&TeamAction::Retire(id(1))));
    rig.tell(TeamEvent::Stall { member: id(0), stalled: true });
    assert!(rig.carriers().iter().all(Option::is_some), "of two that stall one is still better than none");
}

#[test]
fn f16_each_vnic_that_moves_is_told_with_the_reason_and_those_that_stay_are_not() {
    let mut rig = Rig::new(STANDARD, 2, 4);
    rig.link(1, false);
    let reason = MoveReason::Left(MemberFault::Link);
    let moved: Vec<_> =
        rig.notes().into_iter().filter(|note| matches!(note, TeamNote::Moved { .. })).collect();
    let expected =
        [1, 3].map(|vnic| TeamNote::Moved { vnic: VnicId(vnic), from: Some(id(1)), to: Some(id(0)), reason });
    assert_eq!(moved, expected);
}

#[test]
fn f17_failback_always_waits_for_the_hold_down_and_moves_nobody_else() {
    let mut rig = with_failback(FailbackMode::Always);
    rig.link(0, false);
    rig.pass(SECOND * 20);
    rig.link(0, true);
    assert_eq!(rig.carriers(), [Some(1); 4]);
    rig.actions.clear();
    rig.pass(SECOND * 2);
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(0), Some(1)]);
    assert!(rig.notes().contains(&TeamNote::Failback { member: id(0), moved: 2 }));
}

#[test]
fn f17_failback_on_failure_only_moves_when_the_carrier_fails() {
    let mut rig = with_failback(FailbackMode::OnFailure);
    rig.link(0, false);
    rig.link(0, true);
    rig.pass(SECOND * 500);
    assert_eq!(rig.carriers(), [Some(1); 4]);
    rig.link(1, false);
    assert_eq!(rig.carriers(), [Some(0); 4]);
}

#[test]
fn f17_failback_if_better_returns_to_an_active_or_faster_member_only() {
    let roles = [MemberRole::Active, MemberRole::Standby];
    let settings = TeamSettings { failback: FailbackMode::Better, policy: TeamPolicy::Order, ..STANDARD };
    let mut rig = Rig::with(settings, &roles, &vnics(&[3]));
    rig.start();
    rig.link(0, false);
    assert_eq!(rig.carriers(), [Some(1)]);
    rig.link(0, true);
    rig.pass(SECOND * 2);
    assert_eq!(rig.carriers(), [Some(0)], "an active member is better than a standby");

    let mut rig = with_failback(FailbackMode::Better);
    rig.link(0, false);
    rig.link(0, true);
    rig.pass(SECOND * 500);
    assert_eq!(rig.carriers(), [Some(1); 4], "it is as good as the other");

    let mut rig = with_failback(FailbackMode::Better);
    rig.nic(1, NicCondition::Ready, LinkStatus { speed: LinkSpeed::Mbps100, ..LINK });
    rig.link(0, false);
    rig.link(0, true);
    rig.pass(SECOND * 500);
    assert!(rig.carriers().contains(&Some(0)), "it is faster: {:?}", rig.carriers());
}

#[test]
fn f17_manual_failback_waits_for_the_operator_unless_nothing_else_works() {
    let mut rig = with_failback(FailbackMode::Manual);
    rig.link(0, false);
    rig.link(0, true);
    rig.pass(SECOND * 500);
    assert_eq!(rig.carriers(), [Some(1); 4]);
    assert_eq!(rig.manager().fault(id(0)), Some(MemberFault::Manual));
    rig.tell(TeamEvent::Admin { member: id(0), state: AdminState::Up });
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(0), Some(1)]);

    let mut rig = with_failback(FailbackMode::Manual);
    rig.link(0, false);
    rig.link(0, true);
    rig.link(1, false);
    assert_eq!(rig.carriers(), [Some(0); 4]);
}

#[test]
fn f17_twenty_flaps_move_little_and_the_hold_down_shrinks_with_quiet() {
    let mut rig = Rig::new(STANDARD, 2, 2);
    let mut moves = 0;
    let count =
        |rig: &mut Rig| rig.notes().iter().filter(|note| matches!(note, TeamNote::Moved { .. })).count();
    for _ in 0..20 {
        rig.link(0, false);
        rig.pass(SECOND * 2);
        rig.link(0, true);
        rig.pass(SECOND * 3);
        moves += count(&mut rig);
    }
    assert!((2..=6).contains(&moves), "{moves} moves in 20 flaps");
    // What remains of the longest hold-down, and then a quiet hour.
    rig.pass(SECOND * 3600);
    assert_eq!(rig.carriers(), [Some(0), Some(1)]);
    rig.link(0, false);
    rig.link(0, true);
    rig.pass(SECOND * 2);
    assert_eq!(rig.carriers(), [Some(0), Some(1)], "it is forgiven");
    rig.check_replay();
}

#[test]
fn f18_a_link_that_is_lost_for_less_than_the_down_delay_is_not_left() {
    let mut rig = Rig::new(TeamSettings { down_delay_ms: 500, ..STANDARD }, 2, 2);
    rig.link(0, false);
    rig.pass(Duration::from_millis(400));
    rig.link(0, true);
    rig.pass(SECOND);
    assert_eq!((rig.carriers(), rig.notes()), (vec![Some(0), Some(1)], vec![]));
    rig.link(0, false);
    rig.pass(Duration::from_millis(499));
    assert_eq!(rig.carriers(), [Some(0), Some(1)]);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.carriers(), [Some(1); 2]);
}

#[test]
fn f18_the_up_delay_is_kept_to_the_millisecond_and_skipped_when_nothing_else_is_up() {
    let mut rig = Rig::new(TeamSettings { up_delay_ms: 700, ..STANDARD }, 2, 2);
    rig.link(0, false);
    rig.link(0, true);
    rig.pass(Duration::from_millis(699));
    assert_eq!(rig.carriers(), [Some(1); 2]);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.carriers(), [Some(0), Some(1)]);
    rig.link(0, false);
    rig.link(0, true);
    rig.link(1, false);
    assert_eq!(rig.carriers(), [Some(0); 2], "at once");
}

#[test]
fn f19_switches_are_told_of_each_address_and_vlan_that_has_moved_as_often_as_configured() {
    let notice = NoticeSettings { copies: 2, spacing_ms: 50 };
    let mut rig = Rig::new(TeamSettings { notice, ..STANDARD }, 2, 2);
    rig.tell(TeamEvent::Address { vnic: VnicId(0), mac: mac(0), vlan: Some(7) });
    rig.tell(TeamEvent::Address { vnic: VnicId(0), mac: mac(77), vlan: None });
    assert_eq!(rig.announced(), [], "nothing has moved");
    rig.link(0, false);
    let all = [(mac(0), None, 1), (mac(0), Some(7), 1), (mac(77), None, 1)];
    assert_eq!(rig.announced(), all, "in the pass of the event");
    rig.pass(Duration::from_millis(49));
    assert_eq!(rig.announced(), []);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.announced(), all);
    rig.pass(SECOND * 10);
    assert_eq!(rig.announced(), []);
}

#[test]
fn f19_switches_are_told_when_a_vm_starts_and_not_of_one_that_is_off() {
    let mut rig = Rig::new(STANDARD, 2, 2);
    rig.tell(TeamEvent::Vnic { vnic: VnicId(1), on: false });
    rig.link(1, false);
    rig.pass(SECOND);
    assert_eq!(rig.announced(), [], "its VM is off");
    rig.tell(TeamEvent::Vnic { vnic: VnicId(1), on: true });
    rig.pass(SECOND);
    assert_eq!(rig.announced(), [(mac(1), None, 0); 3]);
}

#[test]
fn f19_switches_are_told_when_a_team_has_a_link_again() {
    let mut rig = Rig::new(STANDARD, 2, 1);
    rig.link(0, false);
    rig.link(1, false);
    rig.pass(SECOND);
    rig.actions.clear();
    rig.link(1, true);
    rig.pass(SECOND);
    assert_eq!(rig.announced(), [(mac(0), None, 1); 3]);
}

#[test]
fn f19_many_addresses_are_told_in_rounds_and_none_is_forgotten() {
    let mut rig =
        Rig::new(TeamSettings { notice: NoticeSettings { copies: 1, spacing_ms: 10 }, ..STANDARD }, 2, 15);
    for vnic in 0..15 {
        for other in 0..20 {
            let mac = mac(100 + other);
            rig.tell(TeamEvent::Address { vnic: VnicId(vnic), mac, vlan: Some(u16::from(vnic)) });
        }
    }
    rig.link(0, false);
    assert!(rig.announced().len() <= 32);
    rig.link(1, false);
    rig.link(1, true);
    rig.actions.clear();
    rig.pass(SECOND);
    let announced = rig.announced();
    assert!(announced.len() > 32 && announced.iter().all(|(.., member)| *member == 1), "{}", announced.len());
}

#[test]
fn f24_a_standby_takes_the_place_of_an_active_member_and_an_unused_one_never_does() {
    let roles = [MemberRole::Active, MemberRole::Active, MemberRole::Unused, MemberRole::Standby];
    let mut rig = Rig::with(STANDARD, &roles, &vnics(&[3; 4]));
    rig.start();
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(0), Some(1)]);
    rig.link(0, false);
    assert_eq!(rig.carriers(), [Some(3), Some(1), Some(3), Some(1)]);
    rig.link(1, false);
    assert_eq!(rig.carriers(), [Some(3); 4]);
    rig.link(3, false);
    assert_eq!(rig.carriers(), [None; 4]);
}

#[test]
fn f24_by_order_everything_goes_by_the_first_that_works() {
    let mut rig = Rig::new(TeamSettings { policy: TeamPolicy::Order, ..STANDARD }, 3, 3);
    assert_eq!(rig.carriers(), [Some(0); 3]);
    rig.link(0, false);
    assert_eq!(rig.carriers(), [Some(1); 3]);
    rig.link(1, false);
    assert_eq!(rig.carriers(), [Some(2); 3]);
    rig.link(0, true);
    rig.pass(SECOND * 2);
    assert_eq!(rig.carriers(), [Some(0); 3]);
}

#[test]
fn f25_important_vms_keep_the_better_nic_when_not_all_fit() {
    let mut rig = Rig::with(STANDARD, &[MemberRole::Active; 3], &vnics(&[0, 3, 7, 3]));
    rig.start();
    for slow in [1, 2] {
        rig.nic(slow, NicCondition::Ready, LinkStatus { speed: LinkSpeed::Mbps100, ..LINK });
    }
    assert_eq!(rig.carriers(), [Some(0); 4], "ten fit on the fast one for each on a slow one");
    rig.link(0, false);
    let carriers = rig.carriers();
    assert_eq!(carriers[2], Some(1), "the most important chooses first: {carriers:?}");
    assert_eq!(carriers.iter().filter(|member| **member == Some(1)).count(), 2, "{carriers:?}");
}

#[test]
fn f30_a_policy_is_changed_at_run_time_and_a_nic_taken_out_and_put_back() {
    let mut rig = Rig::new(STANDARD, 2, 4);
    rig.tell(TeamEvent::Policy(TeamPolicy::Order));
    assert_eq!(rig.carriers(), [Some(0); 4]);
    assert_eq!(rig.notes()[0], TeamNote::Policy { policy: TeamPolicy::Order, moved: 2 });
    rig.tell(TeamEvent::Admin { member: id(0), state: AdminState::Drain });
    assert_eq!(rig.carriers(), [Some(1); 4]);
    assert!(!rig.actions.contains(&TeamAction::Retire(id(0))), "it sends what it has");
    rig.tell(TeamEvent::Admin { member: id(1), state: AdminState::Down });
    assert_eq!(rig.carriers(), [Some(0); 4], "one that is drained is better than none");
    rig.tell(TeamEvent::Admin { member: id(0), state: AdminState::Down });
    assert_eq!(rig.carriers(), [None; 4]);
    rig.tell(TeamEvent::Admin { member: id(0), state: AdminState::Up });
    assert_eq!(rig.carriers(), [Some(0); 4]);
}

#[test]
fn f36_group_frames_are_received_by_one_member_that_works() {
    let mut rig = Rig::new(STANDARD, 3, 2);
    let listens = |rig: &mut Rig| {
        let listens = rig
            .actions
            .iter()
            .filter_map(|a| if let TeamAction::Listen(m) = a { Some(m.map(MemberId::index)) } else { None });
        let all: Vec<_> = listens.collect();
        rig.actions.clear();
        all
    };
    rig.link(1, false);
    assert_eq!(listens(&mut rig), [], "it was not the one");
    rig.link(0, false);
    assert_eq!(listens(&mut rig), [Some(2)]);
    rig.link(1, true);
    rig.pass(SECOND * 3);
    assert_eq!(listens(&mut rig), [Some(1)], "the first that carries frames");
    rig.tell(TeamEvent::Policy(TeamPolicy::IpHash));
    assert_eq!(listens(&mut rig), [None], "the switch sends each frame to one member");
}
