//! What guests send while it moves from one member of a team to another, and what switches on the wire are told of it.

#[path = "support/team.rs"]
mod support;

use base::{Effects, Instant};
use nic_manager::frames::announcement;
use nic_manager::{AdminState, MemberId, NoticeSettings, TeamPolicy, TeamSettings};
use support::{Bench, Member, READY, SILENT, STATION};
use testkit::frame::{mac, number_of, numbered, tagged};

const MILLISECOND: u64 = 1_000_000;
const COPIES: usize = 3;
const SPACING: u64 = 100 * MILLISECOND;
const TELLING: TeamSettings = TeamSettings {
    notice: NoticeSettings { copies: COPIES as u8, spacing_ms: 100 },
    ..TeamSettings::STANDARD
};

fn administer(bench: &mut Bench, place: usize, state: AdminState) {
    let member = MemberId::new(place).expect("a member");
    bench.team.administer(member, state, Instant(bench.now));
    bench.run(0);
}

/// The announcements that a member was given since the last call.
fn told(bench: &mut Bench, place: usize) -> Vec<Vec<u8>> {
    let member = bench.member(place);
    member.nic.send_kept(100);
    member.nic.take_sent().into_iter().filter(|frame| frame[..6] == [0xff; 6]).collect()
}

#[test]
fn f19_an_address_that_moves_faster_than_switches_learn_is_told_at_each_move_by_who_carries_it_then() {
    const MOVES: usize = 8;
    let mut bench = Bench::new(TELLING, &[READY; 2], 1);
    (0..5).for_each(|_| _ = bench.run(SPACING));
    (0..2).for_each(|place| _ = told(&mut bench, place));
    let notice = announcement(mac(1), None).bytes().to_vec();
    for number in 1..=MOVES {
        bench.run(SPACING / 20);
        administer(&mut bench, 0, if number % 2 == 1 { AdminState::Drain } else { AdminState::Up });
        let (carrier, other) = (number % 2, 1 - number % 2);
        assert_eq!(told(&mut bench, carrier), std::slice::from_ref(&notice), "move {number}");
        assert_eq!(told(&mut bench, other), Vec::<Vec<u8>>::new(), "move {number}");
    }
    // Told again as often as configured, since the last move, and not since each of them.
    let last = MOVES % 2;
    for copy in 1..COPIES {
        bench.run(SPACING - 1);
        assert_eq!(told(&mut bench, last), Vec::<Vec<u8>>::new(), "copy {copy} is early");
        bench.run(1);
        assert_eq!(told(&mut bench, last), std::slice::from_ref(&notice), "copy {copy}");
    }
    for _ in 0..20 {
        bench.run(SPACING);
        assert_eq!((told(&mut bench, 0), told(&mut bench, 1)), (vec![], vec![]));
    }
    assert_eq!(bench.team.counters().own_sent as usize, COPIES + MOVES + COPIES - 1);
}

#[test]
fn f19_a_link_that_flickers_is_told_of_by_the_survivor_alone() {
    let mut bench = Bench::new(TELLING, &[READY; 2], 1);
    bench.run(5 * SPACING);
    (0..2).for_each(|place| _ = told(&mut bench, place));
    for _ in 0..6 {
        bench.run(SPACING / 20);
        bench.unplug(0);
        bench.run(MILLISECOND);
        bench.member(0).info = READY;
        bench.run(MILLISECOND);
    }
    bench.run(2 * SPACING);
    bench.run(2 * SPACING);
    // It has moved once: what comes and goes is held down.
    assert_eq!((told(&mut bench, 0).len(), told(&mut bench, 1).len()), (0, COPIES));
}

#[test]
fn f19_what_a_member_had_no_room_to_tell_is_not_told_by_it_when_another_one_carries_the_address() {
    let mut bench = Bench::new(TELLING, &[READY; 2], 1);
    bench.run(5 * SPACING);
    administer(&mut bench, 0, AdminState::Drain);
    (0..2).for_each(|place| _ = told(&mut bench, place));
    bench.member(0).nic.space = 0;
    administer(&mut bench, 0, AdminState::Up);
    assert_eq!((told(&mut bench, 0).len(), told(&mut bench, 1).len()), (0, 0), "there is no room");
    administer(&mut bench, 0, AdminState::Drain);
    assert_eq!(told(&mut bench, 1).len(), 1);
    bench.member(0).nic.space = usize::MAX;
    (0..10).for_each(|_| _ = bench.run(SPACING / 10));
    let late = told(&mut bench, 0);
    assert_eq!(
        late,
        Vec::<Vec<u8>>::new(),
        "switches would send the guest's frames to a member that is not used"
    );
}

const VLAN: u8 = 7;
/// The tag of a guest's frames, with a priority.
const TAG: [u8; 4] = [0x81, 0, 0xa0, VLAN];

/// The guest sends numbered frames in its VLAN.
fn send_tagged(bench: &mut Bench, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let frame =
            tagged(&numbered(mac(STATION), mac(1), number, 200), u16::from_be_bytes([TAG[2], TAG[3]]));
        bench.guests[0].arrive(&frame);
    }
    bench.lan.note(1, Effects::TX_KICK);
    bench.run(0);
}

/// The number of a frame that it has sent.
fn number_in_vlan(frame: &[u8]) -> Option<u32> {
    number_of(&[&frame[..12], &frame[16..]].concat()).filter(|_| frame[12..16] == TAG)
}

/// The member that carries it is given ten frames, sends four and loses its link.
fn tagged_frames_follow(policy: TeamPolicy) {
    let mut bench = Bench::new(TeamSettings { policy, ..TELLING }, &[READY; 2], 1);
    send_tagged(&mut bench, 0..1);
    let carries = |member: &Member| member.nic.sent.iter().any(|frame| number_in_vlan(frame).is_some());
    let carrier = bench.team.members().position(carries).expect("one of them carries it");
    let survivor = 1 - carrier;
    let pass = |bench: &mut Bench| {
        for _ in 0..10 {
            bench.team.members_mut().for_each(|member| member.nic.send_kept(100));
            bench.run(SPACING);
        }
    };
    pass(&mut bench);
    bench.team.members_mut().for_each(|member| _ = member.nic.take_sent());
    send_tagged(&mut bench, 1..11);
    bench.member(carrier).nic.send_kept(4);
    bench.unplug(carrier);
    send_tagged(&mut bench, 11..16);
    let numbers = |frames: &[Vec<u8>]| -> Vec<u32> {
        frames.iter().filter_map(|frame| number_in_vlan(frame)).collect()
    };
    assert_eq!(numbers(&bench.member(carrier).nic.sent), [1, 2, 3, 4], "{policy}");
    let sent = bench.member(survivor).nic.take_sent();
    assert_eq!(numbers(&sent), (5..16).collect::<Vec<_>>(), "{policy}");
    // Told before the first of them, and again.
    let notice = announcement(mac(1), Some(VLAN.into())).bytes().to_vec();
    assert_eq!(notice[12..16], [0x81, 0, 0, VLAN], "as most guests' frames, without a priority");
    let told = sent.iter().position(|frame| *frame == notice);
    let first = sent.iter().position(|frame| number_in_vlan(frame).is_some());
    assert!(told.is_some() && told < first, "{policy}: {told:?}, {first:?}");
    pass(&mut bench);
    let copies = bench.member(survivor).nic.sent.iter().filter(|frame| **frame == notice).count();
    assert_eq!((copies, bench.wire().lost()), (COPIES - 1, 0), "{policy}");
}

#[test]
fn f19_tagged_frames_go_by_the_survivor_in_order_and_switches_are_told_in_their_vlan() {
    [TeamPolicy::Port, TeamPolicy::SourceMac, TeamPolicy::Order].into_iter().for_each(tagged_frames_follow);
}

/// All members send what they have.
fn drain(bench: &mut Bench) {
    for _ in 0..5 {
        bench.team.members_mut().for_each(|member| member.nic.send_kept(100));
        bench.run(MILLISECOND);
    }
}

/// The members by which guests send.
fn carriers(bench: &mut Bench, guests: usize) -> Vec<usize> {
    let one = |guest| {
        drain(bench);
        bench.send(guest, 1);
        bench.team.members().position(|member| member.nic.kept() > 0).expect("one has it")
    };
    let carriers = (1..=guests).map(one).collect();
    drain(bench);
    carriers
}

#[test]
fn f30_what_waits_after_a_change_of_policy_waits_for_the_member_too_that_it_was_to_go_to_but_does_not() {
    const GUESTS: usize = 6;
    let mut bench = Bench::new(SILENT, &[READY; 3], GUESTS);
    let by_port = carriers(&mut bench, GUESTS);
    bench.team.set_policy(TeamPolicy::SourceMac, Instant(bench.now));
    let by_mac = carriers(&mut bench, GUESTS);
    bench.team.set_policy(TeamPolicy::Port, Instant(bench.now));
    assert_eq!(carriers(&mut bench, GUESTS), by_port);
    // A guest that the change would leave where it is, and one elsewhere for which all wait.
    let guest = (1..=GUESTS).find(|guest| by_port[guest - 1] == by_mac[guest - 1]).expect("some stay");
    let home = by_port[guest - 1];
    let other = (1..=GUESTS).find(|other| by_port[other - 1] != home).expect("there are three members");
    bench.send(other, 1);
    let first = bench.arrived;
    bench.send(guest, 4);
    bench.team.set_policy(TeamPolicy::SourceMac, Instant(bench.now));
    administer(&mut bench, home, AdminState::Drain);
    bench.send(guest, 4);
    bench.member(by_port[other - 1]).nic.send_kept(1);
    bench.run(MILLISECOND);
    let late = |bench: &mut Bench| -> Vec<u32> {
        let others = (0..3).filter(|place| *place != home);
        others.flat_map(|place| bench.sent(place)).filter(|number| *number >= first).collect()
    };
    assert_eq!(late(&mut bench), Vec::<u32>::new(), "member {home} still has what comes before");
    drain(&mut bench);
    assert_eq!((late(&mut bench), bench.wire().lost()), ((first + 4..first + 8).collect(), 0));
}
