//! A team between a switch and its NICs.

#[path = "support/team.rs"]
mod support;

use base::{Capabilities, Duration, Effects, Instant, MacAddress, NicInfo, Port, RetiredFrames};
use nic_manager::frames::announcement;
use nic_manager::{
    AdminState, MemberFault, MemberId, NoticeSettings, TeamMember, TeamNote, TeamPolicy, TeamSettings,
    await_start,
};
use std::cell::Cell;
use support::{Bench, FAILED, INTERVAL, READY, SILENT, STATION};
use testkit::QueuePort;
use testkit::frame::{mac, numbered};

#[test]
fn a_team_of_one_carries_frames_both_ways_and_says_nothing() {
    let mut bench = Bench::new(SILENT, &[READY], 1);
    bench.member(0).nic.arrive(&numbered(mac(1), mac(STATION), 77, 200));
    bench.send(1, 5);
    assert_eq!((bench.sent(0), bench.got(1)), (vec![0, 1, 2, 3, 4], 1));
    assert_eq!(bench.guests[0].lent(), 5, "the NIC has not sent them");
    bench.member(0).nic.send_kept(5);
    bench.run(200_000);
    assert_eq!((bench.guests[0].lent(), bench.member(0).nic.lent()), (0, 0));
    bench.run(5_000_000_000);
    assert_eq!((bench.sent(0).len(), bench.notes()), (5, vec![]));
}

#[test]
fn frames_of_several_members_go_back_to_the_member_that_has_received_them() {
    let mut bench = Bench::new(SILENT, &[READY; 3], 2);
    for round in 0..50 {
        for member in 0..3 {
            bench.member(member).nic.arrive(&numbered(
                mac(1 + member as u8 % 2),
                mac(STATION),
                round * 3 + member as u32,
                400,
            ));
        }
        bench.run(10_000);
    }
    assert_eq!(bench.got(1) + bench.got(2), 150);
    assert_eq!([0, 1, 2].map(|member| bench.member(member).nic.lent()), [0; 3]);
}

#[test]
fn f11_what_the_dead_member_has_not_sent_is_sent_by_the_survivor_in_the_same_pass_and_before_what_comes_later()
 {
    let mut bench = Bench::new(SILENT, &[READY; 2], 2);
    bench.send(1, 10);
    assert_eq!((bench.sent(0).len(), bench.sent(1).len()), (10, 0));
    bench.member(0).nic.send_kept(3);
    bench.unplug(0);
    bench.send(1, 5);
    assert_eq!((bench.sent(0), bench.sent(1)), (vec![0, 1, 2], (3..15).collect()));
    assert_eq!((bench.wire().taken_back, bench.wire().lost()), (7, 0));
    let report = std::iter::from_fn(|| bench.team.next_report(Instant(0), 0))
        .find(|report| matches!(report.note, TeamNote::Failover { .. }))
        .expect("it is told");
    assert_eq!(report.retired, RetiredFrames { returned: 7, in_doubt: 0 });
    assert_eq!(bench.member(0).retired, 1);
}

#[test]
fn f11_frames_find_their_way_through_two_failures_in_a_row_in_order() {
    let mut bench = Bench::new(SILENT, &[READY; 3], 1);
    bench.send(1, 10);
    bench.unplug(0);
    bench.send(1, 10);
    bench.member(1).nic.send_kept(4);
    bench.unplug(1);
    bench.send(1, 10);
    assert_eq!((bench.sent(0), bench.sent(1), bench.sent(2)), (vec![], vec![0, 1, 2, 3], (4..30).collect()));
    assert_eq!(bench.wire().lost(), 0);
}

#[test]
fn f11_without_any_link_frames_are_dropped_and_counted_and_the_guests_are_told() {
    let mut bench = Bench::new(SILENT, &[FAILED, READY], 1);
    assert_eq!(bench.run(0), None, "one has a link");
    bench.unplug(1);
    assert_eq!(bench.run(1), Some(false));
    bench.send(1, 3);
    assert_eq!(bench.wire().link_down, 3);
    bench.member(0).info = READY;
    assert_eq!(bench.run(1), Some(true));
    bench.send(1, 3);
    assert_eq!(bench.sent(0), [3, 4, 5]);
}

#[test]
fn f30_a_change_of_policy_holds_what_moves_until_the_old_member_has_sent_and_loses_nothing() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 2);
    bench.send(2, 4);
    assert_eq!(bench.sent(1), [0, 1, 2, 3]);
    bench.team.set_policy(TeamPolicy::Order, Instant(bench.now));
    bench.send(2, 4);
    bench.send(1, 2);
    assert_eq!(
        (bench.sent(0), bench.sent(1)),
        (vec![8, 9], vec![0, 1, 2, 3]),
        "the other vNIC has not moved and does not wait"
    );
    bench.member(1).nic.send_kept(3);
    bench.run(1_000_000);
    assert_eq!(bench.sent(0), [8, 9], "one frame is still there");
    bench.member(1).nic.send_kept(1);
    bench.run(1_000_000);
    assert_eq!((bench.sent(0), bench.wire().lost()), (vec![8, 9, 4, 5, 6, 7], 0));
}

#[test]
fn f30_a_member_that_never_gets_rid_of_its_frames_holds_nobody_for_ever() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 1);
    bench.send(1, 4);
    bench.team.administer(MemberId::new(0).unwrap(), AdminState::Drain, Instant(bench.now));
    bench.send(1, 4);
    assert_eq!(bench.sent(1), []);
    for _ in 0..2001 {
        bench.run(1_000_000);
    }
    assert_eq!((bench.sent(0), bench.sent(1), bench.wire().lost()), (vec![0, 1, 2, 3], vec![4, 5, 6, 7], 0));
}

#[test]
fn f15_a_member_that_makes_no_progress_is_left_and_what_it_has_goes_another_way() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 1);
    bench.send(1, 4);
    bench.member(0).info.waits_since = Some(Instant(bench.now));
    bench.run(99_000_000);
    assert_eq!(bench.member(0).retired, 0);
    bench.run(1_000_000);
    assert_eq!((bench.member(0).retired, bench.sent(1)), (1, vec![0, 1, 2, 3]));
    assert!(
        bench.notes().iter().any(|note| matches!(note, TeamNote::Failover { cause: MemberFault::Stall, .. }))
    );
}

#[test]
fn f19_switches_are_told_by_rarp_in_the_pass_of_the_failover_of_every_address_that_was_seen() {
    let settings =
        TeamSettings { notice: NoticeSettings { copies: 2, spacing_ms: 10 }, ..TeamSettings::STANDARD };
    let mut bench = Bench::new(settings, &[READY; 2], 1);
    bench.send(1, 1);
    let mut other = numbered(mac(STATION), mac(55), 1, 100);
    bench.guests[0].arrive(&other);
    other.splice(12..12, [0x81, 0x00, 0xa0, 0x07]);
    bench.guests[0].arrive(&other);
    bench.lan.note(1, Effects::TX_KICK);
    bench.run(5_000_000_000);
    bench.unplug(0);
    bench.run(0);
    let told = |bench: &mut Bench| -> Vec<Vec<u8>> {
        bench.member(1).nic.take_sent().into_iter().filter(|frame| frame[..6] == [0xff; 6]).collect()
    };
    let all = [(mac(1), None), (mac(55), None), (mac(55), Some(7))]
        .map(|(mac, vlan)| announcement(mac, vlan).bytes().to_vec());
    assert_eq!(told(&mut bench), all);
    bench.run(10_000_000);
    assert_eq!(told(&mut bench), all);
    bench.run(1_000_000_000);
    assert_eq!(told(&mut bench), Vec::<Vec<u8>>::new());
    assert_eq!(bench.team.counters().own_dropped, 0);
}

#[test]
fn the_teams_own_frames_come_back_although_the_switch_does_not_ask_for_any() {
    let mut bench = Bench::new(TeamSettings::STANDARD, &[READY; 2], 2);
    for _ in 0..10 {
        bench.member(0).nic.send_kept(100);
        bench.member(1).nic.send_kept(100);
        bench.team.attend(Instant(bench.now));
        bench.now += 100_000_000;
    }
    let left = |bench: &mut Bench| [0, 1].map(|member| bench.member(member).nic.kept());
    assert_eq!(left(&mut bench), [0; 2]);
    assert!(bench.team.counters().own_sent >= 6);
    bench.unplug(0);
    bench.team.attend(Instant(bench.now));
    assert_eq!(left(&mut bench)[0], 0);
}

#[test]
fn f19_a_guest_that_makes_up_addresses_makes_few_events() {
    let mut bench = Bench::new(TeamSettings::STANDARD, &[READY; 2], 1);
    let before = bench.team.recorder().counts().1;
    for number in 0..2000_u32 {
        let [.., a, b] = number.to_be_bytes();
        bench.guests[0].arrive(&numbered(mac(STATION), MacAddress([2, 0, 0, 0, a, b]), number, 60));
        bench.lan.note(1, Effects::TX_KICK);
        bench.run(1_000_000);
    }
    let events = bench.team.recorder().counts().1 - before;
    assert!(events < 30, "{events} events");
}

#[test]
fn a_team_leaves_packets_whole_only_if_every_member_can_cut_them() {
    let can = Capabilities { max_frame: 9018, link_up: true, segments: true, takes_segments: true };
    let slow = Capabilities { segments: false, ..can };
    let cannot = Capabilities { takes_segments: false, ..slow };
    for (second, segments) in [(can, true), (slow, false), (cannot, false)] {
        let mut bench = Bench::new(SILENT, &[READY; 2], 1);
        bench.member(0).nic.capabilities = can;
        bench.member(1).nic.capabilities = second;
        bench.unplug(1);
        bench.run(1);
        let alone = second.takes_segments;
        assert_eq!(
            bench.team.capabilities().segments,
            alone,
            "the other one has no link, and may have to take over"
        );
        bench.member(1).info = READY;
        bench.run(1);
        bench.run(2_000_000_000);
        assert_eq!(bench.team.capabilities().segments, segments);
    }
}

#[test]
fn a_member_is_looked_after_when_it_is_due_and_not_before() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 1);
    for now in (0..3 * INTERVAL).step_by(100_000) {
        bench.team.attend(Instant(now));
        assert!(bench.team.next_check() > Instant(now));
    }
    for member in 0..2 {
        assert_eq!(bench.member(member).checks, [0, 1, 2].map(|turn| Instant(turn * INTERVAL)));
    }
}

/// A NIC that works after so many checks.
struct Slow {
    nic: QueuePort,
    left: usize,
}

impl TeamMember for Slow {
    type Nic = QueuePort;

    fn nic(&mut self) -> &mut QueuePort {
        &mut self.nic
    }

    fn info(&self) -> NicInfo {
        if self.left == 0 { READY } else { NicInfo::STARTING }
    }

    fn mac(&self) -> MacAddress {
        mac(0)
    }

    fn kept(&self) -> usize {
        self.nic.kept_tickets()
    }

    fn check(&mut self, now: Instant) -> Instant {
        self.left -= 1;
        now
    }

    fn retire(&mut self, _now: Instant) -> RetiredFrames {
        RetiredFrames::default()
    }
}

#[test]
fn the_boot_waits_for_nics_that_start_and_for_a_limited_time() {
    let time = Cell::new(0);
    let clock = || Instant(time.replace(time.get() + 1_000));
    let mut members = [0, 7, 20].map(|left| Slow { nic: QueuePort::new(), left });
    await_start(&mut members, Duration::from_secs(1), clock);
    assert!(members.iter().all(|member| !member.is_starting()) && time.get() < 1_000_000);
    members[1].left = usize::MAX;
    await_start(&mut members, Duration::from_secs(1), clock);
    assert!(
        members[1].is_starting() && (1_000_000_000..1_001_000_000).contains(&time.get()),
        "{}",
        time.get()
    );
}
