//! A team between a switch and its NICs.
#![allow(dead_code, reason = "each test file uses a part of it")]

use base::{
    Duplex, Effects, Instant, LinkSpeed, LinkStatus, MacAddress, NicCondition, NicInfo, Port, RetiredFrames,
};
use nic_manager::{
    MemberRole, NoticeSettings, Team, TeamMember, TeamNote, TeamPlace, TeamSecrets, TeamSettings, VnicId,
    VnicInfo,
};
use path::{PortConfig, PortCounters, PortId};
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, QueuePort};

pub const LINK: LinkStatus = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
pub const READY: NicInfo = NicInfo { condition: NicCondition::Ready, link: LINK, ..NicInfo::STARTING };
pub const FAILED: NicInfo = NicInfo { condition: NicCondition::Failed, ..NicInfo::STARTING };
pub const PLACE: TeamPlace =
    TeamPlace { number: 0, secrets: TeamSecrets { beacons: [1, 2], copies: [3, 5] }, now: Instant(0) };
/// A station on the wire.
pub const STATION: u8 = 99;
pub const SILENT: TeamSettings =
    TeamSettings { notice: NoticeSettings { copies: 0, spacing_ms: 1 }, ..TeamSettings::STANDARD };

/// A NIC that is checked every so many nanoseconds.
pub struct Member {
    pub nic: QueuePort,
    pub info: NicInfo,
    pub own: MacAddress,
    pub checks: Vec<Instant>,
    pub retired: usize,
    /// When it gives back what it has not sent, after it was retired; else at once.
    pub resets_at: Option<Instant>,
}

pub const INTERVAL: u64 = 1_000_000;

impl Member {
    pub fn new(number: usize, info: NicInfo) -> Self {
        let mut nic = QueuePort::new();
        nic.keeps = true;
        Self { nic, info, own: mac(200 + number as u8), checks: Vec::new(), retired: 0, resets_at: None }
    }

    pub fn numbers(&self) -> Vec<u32> {
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

    fn kept(&self) -> usize {
        self.nic.kept_tickets()
    }

    fn check(&mut self, now: Instant) -> Instant {
        self.checks.push(now);
        if self.retired > 0 && self.resets_at.take_if(|at| *at <= now).is_some() {
            self.nic.give_up();
        }
        Instant(now.0 + INTERVAL)
    }

    fn retire(&mut self, _now: Instant) -> RetiredFrames {
        if self.resets_at.is_none() {
            self.nic.give_up();
        }
        self.retired += 1;
        RetiredFrames { returned: self.nic.unsent(), in_doubt: 0 }
    }
}

/// A team at port 0, and guests at the ports after it, with the addresses 1, 2, ..
pub struct Bench {
    pub lan: Lan,
    pub team: Team<Member>,
    pub guests: Vec<QueuePort>,
    pub now: u64,
    pub arrived: u32,
}

impl Bench {
    pub fn new(settings: TeamSettings, members: &[NicInfo], guests: usize) -> Self {
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

    pub fn member(&mut self, place: usize) -> &mut Member {
        self.team.members_mut().nth(place).expect("a member")
    }

    /// A guest sends so many numbered frames to the wire.
    pub fn send(&mut self, guest: usize, count: u32) {
        for _ in 0..count {
            let frame = numbered(mac(STATION), mac(guest as u8), self.arrived, 300);
            self.guests[guest - 1].arrive(&frame);
            self.arrived += 1;
        }
        self.lan.note(guest, Effects::TX_KICK);
        self.run(0);
    }

    /// So many nanoseconds later, everything has its turn.
    pub fn run(&mut self, later: u64) -> Option<bool> {
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
    pub fn receive(&mut self, member: usize, frame: &[u8]) {
        self.member(member).nic.arrive(frame);
        self.run(0);
    }

    pub fn unplug(&mut self, place: usize) {
        self.member(place).info.link = LinkStatus::DOWN;
    }

    pub fn sent(&mut self, place: usize) -> Vec<u32> {
        self.member(place).numbers()
    }

    pub fn got(&self, guest: usize) -> usize {
        self.guests[guest - 1].sent.len()
    }

    pub fn wire(&self) -> PortCounters {
        *self.lan.switch.counters(PortId::new(0).expect("a port")).expect("it has counters")
    }

    pub fn notes(&mut self) -> Vec<TeamNote> {
        std::iter::from_fn(|| self.team.next_report(Instant(0), 0)).map(|report| report.note).collect()
    }
}
