//! A team between a switch and its NIC, and the choice of a member.

use base::{Duplex, Duration, Effects, Instant, LinkSpeed, LinkStatus, NicCondition, NicInfo, Port};
use nic_manager::{Ingress, Team, TeamMember, await_start, choose};
use path::{PortConfig, PortCounters, PortId};
use std::cell::Cell;
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, QueuePort};

const LINK: LinkStatus = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
const READY: NicInfo = NicInfo { condition: NicCondition::Ready, link: LINK, ..NicInfo::STARTING };
const FAILED: NicInfo = NicInfo { condition: NicCondition::Failed, ..NicInfo::STARTING };

/// A NIC that is checked every so many nanoseconds.
struct Member {
    nic: QueuePort,
    info: NicInfo,
    checks: Vec<Instant>,
}

const INTERVAL: u64 = 1_000_000;

impl TeamMember for Member {
    type Nic = QueuePort;

    fn nic(&mut self) -> &mut QueuePort {
        &mut self.nic
    }

    fn info(&self) -> NicInfo {
        self.info
    }

    fn check(&mut self, now: Instant) -> Instant {
        self.checks.push(now);
        Instant(now.0 + INTERVAL)
    }
}

/// A guest at port 0 whose frames the team at port 1 carries.
struct Bench {
    lan: Lan,
    guest: QueuePort,
    team: Team<Member>,
    arrived: u32,
}

impl Bench {
    fn new(info: NicInfo) -> Self {
        let mut nic = QueuePort::new();
        nic.keeps = true;
        let lan = Lan::new(&[PortConfig::guest(mac(0)), PortConfig::uplink()], 1).expect("two ports");
        let team = Team::new(Member { nic, info, checks: Vec::new() });
        Self { lan, guest: QueuePort::new(), team, arrived: 0 }
    }

    fn send(&mut self, count: u32, now: u64) {
        for _ in 0..count {
            self.guest.arrive(&numbered(mac(9), mac(0), self.arrived, 300));
            self.arrived += 1;
        }
        self.lan.note(0, Effects::TX_KICK);
        self.run(now);
    }

    fn run(&mut self, now: u64) {
        self.lan.interrupt();
        self.lan.run(&mut [&mut self.guest as &mut dyn Port, &mut self.team], Instant(now));
    }

    fn sent(&self) -> Vec<u32> {
        self.team.member().nic.sent.iter().filter_map(|frame| number_of(frame)).collect()
    }

    fn wire(&self) -> PortCounters {
        *self.lan.switch.counters(PortId::new(1).expect("a port")).expect("it has counters")
    }
}

#[test]
fn a_team_carries_frames_by_its_member_both_ways() {
    let mut bench = Bench::new(READY);
    bench.team.member_mut().nic.arrive(&numbered(mac(0), mac(9), 77, 200));
    bench.send(5, 0);
    assert_eq!(bench.sent(), [0, 1, 2, 3, 4]);
    assert_eq!(bench.guest.sent.iter().filter_map(|frame| number_of(frame)).collect::<Vec<_>>(), [77]);
    assert_eq!(bench.guest.lent(), 5, "the NIC has not sent them");
    bench.team.member_mut().nic.send_kept(5);
    bench.run(200_000);
    assert_eq!((bench.guest.lent(), bench.team.member().nic.lent()), (0, 0));
}

#[test]
fn what_a_member_gives_back_is_sent_by_the_team_in_order_when_it_can_again() {
    let mut bench = Bench::new(READY);
    bench.send(10, 0);
    let member = bench.team.member_mut();
    member.nic.send_kept(3);
    member.nic.give_up();
    member.info.condition = NicCondition::Resetting;
    bench.run(1_000_000);
    bench.send(5, 2_000_000);
    assert_eq!((bench.sent(), bench.wire().link_down), (vec![0, 1, 2], 5));
    bench.team.member_mut().info = READY;
    bench.send(1, 3_000_000);
    assert_eq!(bench.sent(), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15]);
    assert_eq!(bench.wire().taken_back, 7);
}

#[test]
fn a_failed_member_stays_and_is_used_when_it_works() {
    let mut bench = Bench::new(FAILED);
    assert_eq!(bench.team.attend(Instant(0)), Some(false), "guests take the link as up at first");
    bench.send(3, 0);
    assert_eq!((bench.sent(), bench.wire().link_down), (vec![], 3));
    bench.team.member_mut().info = NicInfo { link: LinkStatus::DOWN, ..READY };
    assert_eq!(bench.team.attend(Instant(1)), None);
    bench.team.member_mut().info = READY;
    assert_eq!(bench.team.attend(Instant(2)), Some(true));
    assert_eq!(bench.team.attend(Instant(3)), None);
    bench.send(3, 4);
    assert_eq!(bench.sent(), [3, 4, 5]);
}

#[test]
fn a_member_is_looked_after_when_it_is_due_and_not_before() {
    let mut team = Bench::new(READY).team;
    for now in (0..3 * INTERVAL).step_by(100_000) {
        team.attend(Instant(now));
        assert!(team.next_check() > Instant(now));
    }
    assert_eq!(team.member().checks, [0, 1, 2].map(|turn| Instant(turn * INTERVAL)));
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

    fn check(&mut self, now: Instant) -> Instant {
        self.left -= 1;
        now
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

#[test]
fn frames_of_one_port_and_vlan_stay_with_one_member_while_the_same_ones_can_send() {
    let all = (0..4).flat_map(|port| [None, Some(0), Some(1), Some(4094)].map(|vlan| Ingress { port, vlan }));
    let mut used = [0; 3];
    for ingress in all {
        let member = choose(&[READY; 3], ingress).expect("all can send");
        used[member] += 1;
        let busy = NicInfo { errors: 7, ..READY };
        assert_eq!(choose(&[busy, READY, busy], ingress), Some(member));
        let left = choose(&[READY, FAILED, READY], ingress);
        assert!(left.is_some_and(|place| place != 1));
        assert_eq!(choose(&[FAILED, NicInfo { link: LinkStatus::DOWN, ..READY }], ingress), None);
        assert_eq!(choose(&[], ingress), None);
    }
    assert!(used.iter().all(|count| *count > 0), "{used:?}");
    let in_vlan = |vlan| choose(&[READY; 2], Ingress { port: 0, vlan: Some(vlan) });
    assert_ne!(in_vlan(10), in_vlan(11));
}
