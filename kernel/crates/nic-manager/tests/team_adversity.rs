//! A team beside NICs that are full, hang or come back late, and guests that make work.

#[path = "support/team.rs"]
mod support;

use base::{Effects, Instant, MacAddress, NicCondition, NicInfo};
use nic_manager::{
    AdminState, MAX_ADDRESSES, MemberId, NoticeSettings, TeamNote, TeamPolicy, TeamSettings, VnicId,
};
use std::collections::BTreeSet;
use support::{Bench, READY, SILENT, STATION};
use testkit::frame::{mac, numbered};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const NOTICES: TeamSettings =
    TeamSettings { notice: NoticeSettings { copies: 3, spacing_ms: 100 }, ..TeamSettings::STANDARD };

fn id(place: usize) -> MemberId {
    MemberId::new(place).expect("a place")
}

/// All members send what they have, which is not looked at.
fn drain(bench: &mut Bench) {
    let count = bench.team.members().len();
    for member in 0..count {
        bench.member(member).nic.send_kept(1000);
        bench.member(member).nic.take_sent();
    }
}

/// A guest sends one frame from an address of its own making.
fn send_from(bench: &mut Bench, guest: u8, source: MacAddress) {
    bench.guests[usize::from(guest) - 1].arrive(&numbered(mac(STATION), source, 1, 100));
    bench.lan.note(guest.into(), Effects::TX_KICK);
    bench.run(1000);
}

/// Guests that send from as many addresses as are remembered. Returns them all.
fn with_addresses(bench: &mut Bench, guests: u8) -> BTreeSet<MacAddress> {
    let mut all = BTreeSet::new();
    for guest in 1..=guests {
        all.insert(mac(guest));
        for number in 1..MAX_ADDRESSES as u8 {
            let source = MacAddress([2, 0, 0, 0, guest, number]);
            all.insert(source);
            send_from(bench, guest, source);
        }
    }
    for _ in 0..2 {
        drain(bench);
        bench.run(5 * SECOND);
    }
    drain(bench);
    all
}

/// The addresses that a member has announced.
fn announced(bench: &mut Bench, member: usize) -> BTreeSet<MacAddress> {
    let sent = bench.member(member).nic.sent.iter().filter(|frame| frame[12..14] == [0x80, 0x35]);
    sent.filter_map(|frame| MacAddress::source_of(frame)).collect()
}

#[test]
fn f19_however_many_addresses_move_all_are_announced_by_a_survivor_without_room() {
    for room_each in [1, 100] {
        let mut bench = Bench::new(TeamSettings { policy: TeamPolicy::Order, ..NOTICES }, &[READY; 2], 4);
        let all = with_addresses(&mut bench, 4);
        bench.member(1).nic.space = 0;
        bench.unplug(0);
        for number in 0..1000 {
            bench.run(MILLISECOND);
            bench.member(1).nic.send_kept(1000);
            bench.member(1).nic.space = if number % room_each == room_each / 2 { 1000 } else { 0 };
        }
        assert_eq!((announced(&mut bench, 1), bench.team.counters().own_dropped), (all, 0));
    }
}

#[test]
fn f19_addresses_are_announced_beside_a_guest_that_fills_the_survivor() {
    let mut bench = Bench::new(NOTICES, &[READY; 2], 4);
    let all = with_addresses(&mut bench, 4);
    bench.member(1).nic.space = 100;
    (0..3).for_each(|_| bench.send(2, 100));
    bench.unplug(0);
    for _ in 0..2000 {
        bench.send(2, 10);
        let before = bench.member(1).nic.kept();
        bench.member(1).nic.send_kept(8);
        bench.run(100_000);
        let left = before.saturating_sub(8);
        bench.member(1).nic.space += before - left;
    }
    // Those of the guests 1 and 3.
    let guest = |address: &MacAddress| if address.0[0] == 2 { address.0[4] } else { address.0[5] };
    let moved = all.into_iter().filter(|address| matches!(guest(address), 1 | 3));
    let told = announced(&mut bench, 1);
    let missing: Vec<_> = moved.filter(|address| !told.contains(address)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn f19_a_member_that_had_no_room_announces_nothing_when_it_carries_nothing_any_more() {
    let mut bench = Bench::new(NOTICES, &[READY; 2], 2);
    with_addresses(&mut bench, 2);
    // Both cables are pulled at once: the drivers accept nothing before the manager knows.
    for member in 0..2 {
        bench.unplug(member);
        bench.member(member).nic.space = 0;
    }
    bench.run(MILLISECOND);
    bench.run(2 * SECOND);
    (bench.member(0).info, bench.member(0).nic.space) = (READY, usize::MAX);
    for _ in 0..60 {
        bench.run(SECOND);
        bench.member(0).nic.send_kept(1000);
    }
    // A minute later the other one has its link again, and is held down.
    (bench.member(1).info, bench.member(1).nic.space) = (READY, usize::MAX);
    bench.send(1, 1);
    bench.run(MILLISECOND);
    assert_eq!(announced(&mut bench, 1), BTreeSet::new());
}

/// After how many milliseconds frames go on that wait for a member that hangs, while others send, and after each something else happens.
fn patience(each: impl Fn(&mut Bench, usize)) -> Option<usize> {
    let mut bench = Bench::new(SILENT, &[READY; 3], 3);
    bench.send(1, 4);
    bench.send(2, 1);
    bench.team.administer(id(0), AdminState::Drain, Instant(bench.now));
    bench.send(1, 4);
    let mut went_on = None;
    for number in 0..2500 {
        (2..=3).for_each(|guest| bench.send(guest, 1));
        (1..3).for_each(|member| bench.member(member).nic.send_kept(1000));
        bench.run(MILLISECOND);
        let sent = [bench.sent(1), bench.sent(2)].concat();
        went_on = went_on.or(sent.contains(&5).then_some(number));
        each(&mut bench, number);
    }
    went_on
}

#[test]
fn frames_that_wait_for_a_member_that_hangs_go_on_whatever_others_send() {
    let went_on = patience(|_, _| {});
    assert!(went_on.is_some_and(|after| (1990..2010).contains(&after)), "after {went_on:?} ms");
}

#[test]
fn frames_that_wait_for_a_member_that_hangs_go_on_whatever_happens_to_others() {
    let went_on = patience(|bench, number| {
        let state = if number % 100 < 50 { AdminState::Drain } else { AdminState::Up };
        if number % 50 == 0 {
            bench.team.administer(id(2), state, Instant(bench.now));
        }
    });
    assert!(went_on.is_some_and(|after| (1990..2010).contains(&after)), "after {went_on:?} ms");
}

#[test]
fn f15_what_a_member_that_hangs_gives_back_late_goes_before_what_came_later() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 1);
    bench.send(1, 4);
    bench.team.administer(id(0), AdminState::Drain, Instant(bench.now));
    bench.member(0).info.waits_since = Some(Instant(bench.now));
    bench.member(0).resets_at = Some(Instant(bench.now + 350 * MILLISECOND));
    bench.send(1, 4);
    for _ in 0..400 {
        bench.run(MILLISECOND);
    }
    assert_eq!((bench.member(0).retired, bench.sent(1)), (1, (0..8).collect()));
}

#[test]
fn f15_a_member_that_is_drained_and_hangs_is_retired() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 1);
    bench.send(1, 4);
    bench.team.administer(id(0), AdminState::Drain, Instant(bench.now));
    bench.member(0).info.waits_since = Some(Instant(bench.now));
    for _ in 0..100 {
        bench.run(10 * MILLISECOND);
    }
    assert_eq!((bench.member(0).retired, bench.sent(1)), (1, vec![0, 1, 2, 3]));
}

#[test]
fn f46_a_guest_that_switches_its_vnic_on_and_off_does_not_fill_the_history_nor_the_wire() {
    let mut bench = Bench::new(NOTICES, &[READY; 2], 1);
    bench.run(10 * SECOND);
    drain(&mut bench);
    let (before, mut announced) = (bench.team.recorder().counts().1, 0);
    for number in 0..10_000 {
        bench.team.note_vnic(VnicId(0), number % 2 == 1, Instant(bench.now));
        bench.run(MILLISECOND);
        for member in 0..2 {
            bench.member(member).nic.send_kept(1000);
            announced += bench.member(member).nic.take_sent().len();
        }
    }
    let events = bench.team.recorder().counts().1 - before;
    assert!(events < 150 && announced <= 10 * 3, "{events} events, {announced} frames in 10 s");
}

#[test]
fn f19_an_address_for_which_there_was_no_place_is_known_when_there_is_one() {
    let mut bench = Bench::new(NOTICES, &[READY; 2], 1);
    for number in 0..=MAX_ADDRESSES as u8 {
        send_from(&mut bench, 1, MacAddress([2, 0, 0, 0, 0, number]));
    }
    let last = MacAddress([2, 0, 0, 0, 0, MAX_ADDRESSES as u8]);
    let knows = |bench: &Bench| bench.team.manager().addresses(VnicId(0)).any(|(known, _)| known == last);
    assert!(!knows(&bench));
    for _ in 0..110 {
        drain(&mut bench);
        bench.run(100 * MILLISECOND);
        send_from(&mut bench, 1, last);
    }
    assert!(knows(&bench));
}

#[test]
fn f30_what_the_operator_does_to_a_nic_that_is_alone_is_told_and_done() {
    let mut bench = Bench::new(SILENT, &[READY], 1);
    bench.run(1);
    assert_eq!(bench.notes(), []);
    bench.team.administer(id(0), AdminState::Down, Instant(bench.now));
    assert!(!bench.notes().is_empty());
    assert_eq!(bench.run(1), Some(false));
    bench.run(5 * SECOND);
    bench.receive(0, &numbered(mac(1), mac(STATION), 1, 200));
    assert_eq!((bench.got(1), bench.team.counters().unwanted), (0, 1));
    bench.team.administer(id(0), AdminState::Up, Instant(bench.now));
    assert_eq!(bench.run(1), Some(true));
    bench.receive(0, &numbered(mac(1), mac(STATION), 2, 200));
    bench.send(1, 3);
    assert_eq!((bench.got(1), bench.sent(0).len()), (1, 3));
    bench.notes();
    bench.team.set_policy(TeamPolicy::Order, Instant(bench.now));
    assert!(matches!(bench.notes()[..], [TeamNote::Policy { policy: TeamPolicy::Order, .. }]));
    // Of its link and of its resets its driver tells.
    bench.unplug(0);
    bench.run(1);
    bench.member(0).info = NicInfo { condition: NicCondition::Resetting, ..READY };
    bench.run(1);
    assert_eq!(bench.notes(), []);
}
