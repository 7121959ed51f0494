//! A team between a switch and its NICs, and the wire behind these.

use base::{
    Capabilities, Duplex, Duration, Effects, Instant, LinkSpeed, LinkStatus, MacAddress, NicCondition,
    NicInfo, Port, RetiredFrames,
};
use nic_manager::frames::{announcement, beacon};
use nic_manager::{
    AdminState, BeaconSettings, MemberFault, MemberId, MemberRole, NoticeSettings, Team, TeamMember,
    TeamNote, TeamPlace, TeamPolicy, TeamSecrets, TeamSettings, VnicId, VnicInfo, await_start,
};
use path::{PortConfig, PortCounters, PortId};
use std::cell::Cell;
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, QueuePort};

const LINK: LinkStatus = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
const READY: NicInfo = NicInfo { condition: NicCondition::Ready, link: LINK, ..NicInfo::STARTING };
const FAILED: NicInfo = NicInfo { condition: NicCondition::Failed, ..NicInfo::STARTING };
const PLACE: TeamPlace =
    TeamPlace { number: 0, secrets: TeamSecrets { beacons: [1, 2], copies: [3, 5] }, now: Instant(0) };
/// A station on the wire.
const STATION: u8 = 99;
const SILENT: TeamSettings =
    TeamSettings { notice: NoticeSettings { copies: 0, spacing_ms: 1 }, ..TeamSettings::STANDARD };

/// A NIC that is checked every so many nanoseconds.
struct Member {
    nic: QueuePort,
    info: NicInfo,
    own: MacAddress,
    checks: Vec<Instant>,
    retired: usize,
}

const INTERVAL: u64 = 1_000_000;

impl Member {
    fn new(number: usize, info: NicInfo) -> Self {
        let mut nic = QueuePort::new();
        nic.keeps = true;
        Self { nic, info, own: mac(200 + number as u8), checks: Vec::new(), retired: 0 }
    }

    fn numbers(&self) -> Vec<u32> {
        self.nic.sent.iter().filter_map(|frame| number_of(frame)).collect()
    }
}

impl TeamMember for Member {
    type Nic = QueuePort;

    fn nic(&mut self) -> &mut QueuePort {
        &mut self.nic
    }

    fn info(&self) -> NicInfo {
        self.info
    }

    fn mac(&self) -> MacAddress {
        self.own
    }

    fn check(&mut self, now: Instant) -> Instant {
        self.checks.push(now);
        Instant(now.0 + INTERVAL)
    }

    fn retire(&mut self, _now: Instant) -> RetiredFrames {
        self.nic.give_up();
        self.retired += 1;
        RetiredFrames { returned: self.nic.unsent(), in_doubt: 0 }
    }
}

/// A team at port 0, and guests at the ports after it, with the addresses 1, 2, ..
struct Bench {
    lan: Lan,
    team: Team<Member>,
    guests: Vec<QueuePort>,
    now: u64,
    arrived: u32,
}

impl Bench {
    fn new(settings: TeamSettings, members: &[NicInfo], guests: usize) -> Self {
        let ports = (1..=guests as u8).map(|guest| PortConfig::guest(mac(guest)));
        let ports: Vec<_> = std::iter::once(PortConfig::uplink()).chain(ports).collect();
        let vnics: Vec<_> = (1..=guests as u8)
            .map(|port| VnicInfo { port, vm: port - 1, number: 0, mac: mac(port), priority: 3 })
            .collect();
        let members =
            members.iter().enumerate().map(|(number, info)| (Member::new(number, *info), MemberRole::Active));
        let mut bench = Self {
            lan: Lan::new(&ports, 1).expect("few ports"),
            team: Team::new(members, settings, &vnics, PLACE),
            guests: (0..guests).map(|_| QueuePort::new()).collect(),
            now: 0,
            arrived: 0,
        };
        for guest in 0..guests as u8 {
            bench.team.note_vnic(VnicId(guest), true, Instant(0));
        }
        bench.team.attend(Instant(0));
        bench
    }

    fn member(&mut self, place: usize) -> &mut Member {
        self.team.members_mut().nth(place).expect("a member")
    }

    /// A guest sends so many numbered frames to the wire.
    fn send(&mut self, guest: usize, count: u32) {
        for _ in 0..count {
            let frame = numbered(mac(STATION), mac(guest as u8), self.arrived, 300);
            self.guests[guest - 1].arrive(&frame);
            self.arrived += 1;
        }
        self.lan.note(guest, Effects::TX_KICK);
        self.run(0);
    }

    /// So many nanoseconds later, everything has its turn.
    fn run(&mut self, later: u64) -> Option<bool> {
        self.now += later;
        let now = Instant(self.now);
        let link = self.team.attend(now);
        self.lan.interrupt();
        let mut ports: Vec<&mut dyn Port> = vec![&mut self.team];
        ports.extend(self.guests.iter_mut().map(|guest| guest as &mut dyn Port));
        self.lan.run(&mut ports, now);
        link
    }

    /// A frame comes in at a member.
    fn receive(&mut self, member: usize, frame: &[u8]) {
        self.member(member).nic.arrive(frame);
        self.run(0);
    }

    fn unplug(&mut self, place: usize) {
        self.member(place).info.link = LinkStatus::DOWN;
    }

    fn sent(&mut self, place: usize) -> Vec<u32> {
        self.member(place).numbers()
    }

    fn got(&self, guest: usize) -> usize {
        self.guests[guest - 1].sent.len()
    }

    fn wire(&self) -> PortCounters {
        *self.lan.switch.counters(PortId::new(0).expect("a port")).expect("it has counters")
    }

    fn notes(&mut self) -> Vec<TeamNote> {
        std::iter::from_fn(|| self.team.next_report()).map(|report| report.note).collect()
    }
}

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
    let report = std::iter::from_fn(|| bench.team.next_report())
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
fn f30_a_member_that_does_not_get_rid_of_its_frames_holds_nobody_for_long() {
    let mut bench = Bench::new(SILENT, &[READY; 2], 1);
    bench.send(1, 4);
    bench.team.administer(MemberId::new(0).unwrap(), AdminState::Drain, Instant(bench.now));
    bench.send(1, 4);
    assert_eq!(bench.sent(1), []);
    for _ in 0..20 {
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
fn f36_a_group_frame_is_received_from_one_member_only() {
    let mut bench = Bench::new(SILENT, &[READY; 3], 2);
    let frame = numbered(MacAddress::BROADCAST, mac(STATION), 1, 200);
    (0..3).for_each(|member| bench.receive(member, &frame));
    assert_eq!((bench.got(1), bench.got(2), bench.team.counters().group_copies), (1, 1, 2));
    bench.unplug(0);
    bench.run(1);
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
    bench.team.note_vnic(VnicId(0), false, Instant(1));
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
