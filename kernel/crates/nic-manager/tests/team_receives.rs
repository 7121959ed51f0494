//! What a team receives: one copy of each frame, and what is for the team itself.

#[path = "support/team.rs"]
mod support;

use base::{Instant, MacAddress};
use nic_manager::frames::{Beacon, BeaconKey, announcement, beacon};
use nic_manager::{
    AdminState, BeaconSettings, MemberFault, MemberId, TeamNote, TeamPolicy, TeamSettings, VnicId,
};
use support::{Bench, READY, SILENT, STATION};
use testkit::frame::{mac, numbered};

#[test]
fn f36_a_group_frame_is_received_from_one_member_only() {
    let mut bench = Bench::new(SILENT, &[READY; 3], 2);
    let frame = numbered(MacAddress::BROADCAST, mac(STATION), 1, 200);
    (0..3).for_each(|member| bench.receive(member, &frame));
    assert_eq!((bench.got(1), bench.got(2), bench.team.counters().group_copies), (1, 1, 2));
    bench.unplug(0);
    bench.run(1);
    let frame = numbered(MacAddress::BROADCAST, mac(STATION), 2, 200);
    (1..3).for_each(|member| bench.receive(member, &frame));
    assert_eq!((bench.got(1), bench.team.counters().group_copies), (2, 3));
}

#[test]
fn f36_unicast_is_received_from_any_member_and_a_copy_from_another_one_is_dropped() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 1);
    let frame = |number| numbered(mac(1), mac(STATION), number, 200);
    bench.receive(0, &frame(1));
    bench.receive(1, &frame(2));
    assert_eq!(bench.got(1), 2);
    // A switch that does not know the address floods.
    bench.receive(0, &frame(3));
    bench.receive(1, &frame(3));
    assert_eq!((bench.got(1), bench.team.counters().duplicates), (3, 1));
    // The station itself repeats it, by the same way.
    bench.receive(0, &frame(3));
    assert_eq!((bench.got(1), bench.team.counters().duplicates), (4, 1));
}

#[test]
fn f36_from_a_member_that_is_not_used_nothing_is_received_and_by_ip_hash_group_frames_from_all_others() {
    let mut bench = Bench::new(TeamSettings { policy: TeamPolicy::IpHash, ..SILENT }, &[READY; 3], 1);
    bench.team.administer(MemberId::new(2).unwrap(), AdminState::Down, Instant(bench.now));
    bench.receive(2, &numbered(mac(1), mac(STATION), 99, 200));
    assert_eq!(bench.got(1), 1, "until switches know");
    bench.run(1_000_000_000);
    bench.run(1_000_000_000);
    for member in 0..3 {
        bench.receive(member, &numbered(MacAddress::BROADCAST, mac(STATION), member as u32, 200));
        bench.receive(member, &numbered(mac(1), mac(STATION), member as u32 + 10, 200));
    }
    let counters = bench.team.counters();
    assert_eq!((bench.got(1), counters.unwanted, counters.group_copies), (5, 2, 0));
}

#[test]
fn f36_a_frame_of_a_guest_that_comes_back_from_the_wire_is_dropped() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 2);
    bench.receive(0, &numbered(MacAddress::BROADCAST, mac(1), 1, 200));
    bench.receive(1, &numbered(mac(2), mac(1), 2, 200));
    assert_eq!((bench.got(1), bench.got(2), bench.team.counters().reflected), (0, 0, 2));
    assert_eq!(bench.wire().source_conflict, 0, "the switch does not see it");
}

#[test]
fn f36_a_vm_that_is_off_here_may_be_on_elsewhere() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 2);
    bench.run(2_000_000_000);
    bench.team.note_vnic(VnicId(0), false, Instant(bench.now));
    bench.receive(0, announcement(mac(1), None).bytes());
    bench.receive(1, &numbered(mac(2), mac(1), 2, 200));
    assert_eq!((bench.got(2), bench.team.counters().moved_away, bench.team.counters().reflected), (2, 1, 0));
}

#[test]
fn f36_a_station_that_moves_from_one_member_to_the_other_moves_in_no_table() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 1);
    for round in 0..10 {
        bench.receive(round % 2, &numbered(mac(1), mac(STATION), round as u32, 200));
    }
    assert_eq!((bench.got(1), bench.wire().moved), (10, 0));
}

/// Carries what the members send to each other, except where `cut` says so, and what the gateway answers.
fn exchange(bench: &mut Bench, cut: impl Fn(usize, usize) -> bool, gateway: impl Fn(usize) -> bool) {
    let count = bench.team.members().len();
    for from in 0..count {
        let own = bench.member(from).own;
        let sent = bench.member(from).nic.take_sent();
        bench.member(from).nic.send_kept(usize::MAX / 2);
        for frame in sent {
            for to in (0..count).filter(|to| *to != from && !cut(from, *to)) {
                bench.member(to).nic.arrive(&frame);
            }
            if frame[12..14] == [0x08, 0x06] && gateway(from) {
                let mut answer =
                    [&own.0[..], &mac(STATION).0, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 2], &mac(STATION).0].concat();
                answer.extend([10, 0, 5, 1]);
                answer.extend(own.0);
                answer.extend([0; 4]);
                answer.resize(60, 0);
                bench.member(from).nic.arrive(&answer);
            }
        }
    }
}

fn beacons(gateway: bool) -> TeamSettings {
    let gateway = gateway.then(|| "10.0.5.1".parse().expect("an address"));
    TeamSettings { beacon: Some(BeaconSettings { gateway, ..BeaconSettings::STANDARD }), ..SILENT }
}

#[test]
fn f13_members_hear_each_other_by_beacons_that_no_guest_sees_and_one_that_is_cut_off_is_left() {
    let mut bench = Bench::new(beacons(false), &[READY; 3], 3);
    for _ in 0..10 {
        bench.run(1_000_000_000);
        exchange(&mut bench, |_, _| false, |_| false);
    }
    assert!(bench.team.counters().beacons_heard >= 48, "{:?}", bench.team.counters());
    assert_eq!((bench.notes(), [1, 2, 3].map(|guest| bench.got(guest))), (vec![], [0; 3]));
    for _ in 0..5 {
        bench.run(1_000_000_000);
        exchange(&mut bench, |from, to| from == 1 || to == 1, |_| false);
    }
    let notes = bench.notes();
    let failover = |note: &TeamNote| matches!(note, TeamNote::Failover { cause: MemberFault::CutOff, .. });
    assert_eq!(notes.iter().filter(|note| failover(note)).count(), 1, "{notes:?}");
}

#[test]
fn f13_a_member_that_is_cut_off_in_one_vlan_of_several_is_left() {
    let mut settings = beacons(false);
    settings.beacon.as_mut().expect("beacons").vlans.extend([5, 7]);
    let mut bench = Bench::new(settings, &[READY; 3], 3);
    let mut lost = false;
    for round in 0..20 {
        lost |= round >= 10;
        bench.run(1_000_000_000);
        let sent: Vec<_> = (0..3).map(|member| bench.member(member).nic.take_sent()).collect();
        for (from, frame) in
            sent.iter().enumerate().flat_map(|(from, sent)| sent.iter().map(move |f| (from, f)))
        {
            let crosses = frame[12..16] == [0x81, 0, 0, 7] && lost;
            for to in (0..3).filter(|to| *to != from && !(crosses && (from == 2 || *to == 2))) {
                bench.member(to).nic.arrive(frame);
            }
        }
        (0..3).for_each(|member| bench.member(member).nic.send_kept(100));
        let usable: Vec<_> = bench.team.manager().usable().iter().map(MemberId::index).collect();
        match round {
            0..13 => assert_eq!(usable, [0, 1, 2], "round {round}"),
            13..15 => {}
            _ => assert_eq!(usable, [0, 1], "round {round}"),
        }
    }
}

#[test]
fn f46_beacons_that_are_heard_as_ever_do_not_fill_the_history() {
    let mut settings = beacons(false);
    settings.beacon.as_mut().expect("beacons").interval_ms = 1;
    let mut bench = Bench::new(settings, &[READY; 2], 2);
    for _ in 0..10_000 {
        bench.run(1_000_000);
        exchange(&mut bench, |_, _| false, |_| false);
    }
    assert!(bench.team.counters().beacons_heard > 19_000);
    let events = bench.team.recorder().counts().1;
    assert!(events < 40, "{events} events in 10 s");
    for _ in 0..5 {
        bench.run(1_000_000);
        exchange(&mut bench, |_, _| true, |_| false);
    }
    assert!(bench.notes().contains(&TeamNote::Undecided), "a loss is found in milliseconds all the same");
}

#[test]
fn f14_a_team_of_two_asks_the_gateway_which_of_them_is_cut_off() {
    for cut in [0, 1] {
        let mut bench = Bench::new(beacons(true), &[READY; 2], 2);
        for _ in 0..12 {
            bench.run(1_000_000_000);
            exchange(&mut bench, |_, _| true, |member| member != cut);
        }
        let usable = bench.team.manager().usable();
        assert_eq!(usable.iter().map(MemberId::index).collect::<Vec<_>>(), [1 - cut]);
        assert!(
            bench.team.counters().answers > 2 && bench.got(1) + bench.got(2) == 0,
            "{:?}",
            bench.team.counters()
        );
    }
}

#[test]
fn f14_the_gateway_is_heard_at_any_interval() {
    for interval_ms in [500, 1001, 2000] {
        let mut settings = beacons(true);
        settings.beacon.as_mut().expect("beacons").interval_ms = interval_ms;
        let mut bench = Bench::new(settings, &[READY; 2], 2);
        let rounds = |bench: &mut Bench, count: u32, cut: Option<usize>| {
            for _ in 0..count * interval_ms / 100 {
                bench.run(100_000_000);
                exchange(bench, |_, _| cut.is_some(), |member| cut != Some(member));
            }
            bench.team.manager().usable().iter().map(MemberId::index).collect::<Vec<_>>()
        };
        assert_eq!(rounds(&mut bench, 10, None), [0, 1]);
        assert_eq!(rounds(&mut bench, 10, Some(1)), [0], "{interval_ms} ms");
        assert_eq!(rounds(&mut bench, 20, Some(0)), [1], "{interval_ms} ms");
    }
}

#[test]
fn f14_what_switches_say_to_their_neighbours_and_beacons_of_others_are_no_sign_of_life() {
    let spanning_tree = numbered(MacAddress([0x01, 0x80, 0xc2, 0, 0, 0]), mac(STATION), 0, 60);
    let discovery = numbered(MacAddress([0x01, 0x00, 0x0c, 0xcc, 0xcc, 0xcc]), mac(STATION), 0, 60);
    let foreign = BeaconKey::new([77, 78]);
    let beacon =
        |round: u64| Beacon { team: 0, member: MemberId::new(0).unwrap(), vlan: None, sequence: round + 1 };
    for silent in 0..2 {
        let mut bench = Bench::new(beacons(false), &[READY; 2], 2);
        for round in 0..20_u64 {
            bench.run(1_000_000_000);
            exchange(&mut bench, |_, _| round > 5, |_| false);
            let foreign = beacon(round).frame(&foreign, mac(150));
            for frame in [&spanning_tree, &discovery, &foreign.bytes().to_vec()] {
                bench.receive(silent, frame);
                bench.member(silent).info.received_frames += 1;
            }
            bench.receive(1 - silent, &numbered(mac(2), mac(STATION), round as u32, 200));
            bench.member(1 - silent).info.received_frames += 1;
        }
        let usable: Vec<_> = bench.team.manager().usable().iter().map(MemberId::index).collect();
        assert_eq!(usable, [1 - silent]);
    }
}

#[test]
fn f44_beacons_of_guests_and_stations_prove_nothing_and_are_counted() {
    let mut bench = Bench::new(beacons(false), &[READY; 2], 1);
    let mut seen = Vec::new();
    for round in 0..8 {
        bench.run(1_000_000_000);
        let sent = bench.member(0).nic.take_sent();
        seen.extend(sent.into_iter().filter(|frame| beacon::is_beacon(frame)));
        bench.member(1).nic.take_sent();
        (0..2).for_each(|member| bench.member(member).nic.send_kept(100));
        // An old one is played back, and one is changed.
        let old = seen[0].clone();
        let mut forged = seen[round].clone();
        forged[40] ^= 1;
        [old, forged].iter().filter(|_| round > 1).for_each(|frame| bench.receive(1, frame));
    }
    let counters = bench.team.counters();
    assert_eq!(
        (counters.beacons_heard, counters.beacons_refused.iter().sum::<u64>(), bench.got(1)),
        (0, 12, 0)
    );
    assert!(bench.notes().contains(&TeamNote::Undecided), "nobody believes that they hear each other");
}
