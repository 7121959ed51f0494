//! A team between a switch and NICs that keep frames, lose some, and give back others; and the wire, on which all of them send.
#![allow(dead_code, reason = "each test file uses a part of it")]

use base::{
    Duplex, Effects, Instant, LinkSpeed, LinkStatus, MacAddress, NicCondition, NicInfo, Port, RetiredFrames,
};
use nic_manager::{
    MemberId, MemberRole, Team, TeamMember, TeamPlace, TeamSecrets, TeamSettings, VnicId, VnicInfo,
};
use path::{PortConfig, PortId};
use testkit::frame::{Station, mac, tagged, udp};
use testkit::{Lan, QueuePort};

pub const LINK: LinkStatus = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
const READY: NicInfo = NicInfo { condition: NicCondition::Ready, link: LINK, ..NicInfo::STARTING };
/// How long the reset takes of a NIC that hangs, in nanoseconds.
const RESET: u64 = 5_000_000;
/// How often a NIC is looked after.
const CHECK: u64 = 1_000_000;
/// Flows of each guest: two of its own address to two stations, one of another address, and one in a VLAN.
pub const FLOWS: usize = 4;
const RARP: [u8; 2] = [0x80, 0x35];

/// The member in this place.
pub fn id(place: usize) -> MemberId {
    MemberId::new(place).expect("a place")
}

/// A NIC. Without a link it gives back what it has not sent, and after a hang when it has been reset.
pub struct WiredMember {
    pub nic: QueuePort,
    pub info: NicInfo,
    own: MacAddress,
    /// How many frames are in doubt when it is stopped next, and how many have been.
    pub doubt: usize,
    pub in_doubt: usize,
    /// How many of the frames that it was given have left it.
    left: usize,
    /// When its reset is done.
    gives_back_at: Option<Instant>,
    /// It has given back all that it had when it was stopped.
    pub stopped: bool,
    /// It accepts nothing while it cannot send; else what it is given then shows.
    pub refuses: bool,
}

impl WiredMember {
    fn new(place: u8) -> Self {
        let mut nic = QueuePort::new();
        nic.keeps = true;
        let own = mac(200 + place);
        Self {
            nic,
            info: READY,
            own,
            doubt: 0,
            in_doubt: 0,
            left: 0,
            gives_back_at: None,
            stopped: false,
            refuses: false,
        }
    }

    /// Sends so many frames, and returns the numbers of those of guests among them.
    fn send(&mut self, count: usize) -> Vec<u32> {
        let until = self.left.saturating_add(count).min(self.nic.sent.len() - self.nic.unsent());
        self.nic.send_kept(until - self.left);
        self.info.waits_since = self.info.waits_since.filter(|_| until == self.left);
        let sent = self.nic.sent[self.left..until].iter().filter_map(|frame| number(frame)).collect();
        self.left = until;
        sent
    }

    /// It is in this condition, and has a link if it is ready: what has been reset has nothing to send.
    pub fn set_condition(&mut self, condition: NicCondition) {
        let is_ready = condition == NicCondition::Ready;
        if is_ready && self.gives_back_at.take().is_some() {
            self.give_up();
        }
        let link = if is_ready { LINK } else { LinkStatus::DOWN };
        self.info = NicInfo { condition, link, waits_since: None, ..self.info };
        self.stopped = false;
        self.set_space(usize::MAX);
    }

    /// It accepts so many more frames.
    pub fn set_space(&mut self, space: usize) {
        self.nic.space = if self.refuses && !self.info.can_send() { 0 } else { space };
    }

    /// How many frames of guests it has not sent.
    pub fn holds(&self) -> usize {
        self.nic.sent[self.left..].iter().filter_map(|frame| number(frame)).count()
    }

    /// Its link is lost, with so many frames in doubt.
    pub fn unplug(&mut self, doubt: usize) {
        (self.doubt, self.info.link, self.stopped) = (doubt, LinkStatus::DOWN, false);
        self.set_space(self.nic.space);
    }

    /// Gives back what it has not sent, but for what is in doubt.
    fn give_up(&mut self) -> RetiredFrames {
        let mut in_doubt = 0;
        if self.nic.unsent() == 0 {
            let doubt = core::mem::take(&mut self.doubt);
            in_doubt = self.send(doubt).len();
            self.in_doubt += in_doubt;
        }
        self.nic.give_up();
        self.stopped = true;
        RetiredFrames { returned: self.nic.unsent(), in_doubt }
    }
}

impl TeamMember for WiredMember {
    type Nic = QueuePort;

    fn nic(&mut self) -> &mut QueuePort {
        &mut self.nic
    }

    fn info(&self) -> NicInfo {
        NicInfo { waits_since: self.info.waits_since.filter(|_| self.nic.kept() > 0), ..self.info }
    }

    fn mac(&self) -> MacAddress {
        self.own
    }

    fn kept(&self) -> usize {
        self.nic.kept_tickets()
    }

    fn check(&mut self, now: Instant) -> Instant {
        if self.gives_back_at.is_some_and(|at| now >= at) {
            self.gives_back_at = None;
            self.give_up();
        } else if !self.info.can_send() && self.gives_back_at.is_none() {
            if self.info.condition == NicCondition::Ready {
                self.give_up();
            } else if self.nic.kept() > 0 {
                self.gives_back_at = Some(Instant(now.0 + RESET));
            }
        }
        Instant(now.0 + CHECK)
    }

    fn retire(&mut self, now: Instant) -> RetiredFrames {
        if self.info.condition == NicCondition::Ready && !self.info.link.up {
            return self.give_up();
        }
        self.info = NicInfo {
            condition: NicCondition::Resetting,
            link: LinkStatus::DOWN,
            waits_since: None,
            ..self.info
        };
        self.gives_back_at.get_or_insert(Instant(now.0 + RESET));
        RetiredFrames::default()
    }
}

/// A team at port 0, guests at the ports after it, and what is on the wire.
pub struct WiredTeam {
    pub lan: Lan,
    pub team: Team<WiredMember>,
    pub guests: Vec<QueuePort>,
    pub roles: Vec<MemberRole>,
    /// Which members could send when the team has last looked after them.
    pub known: Vec<bool>,
    /// Which of them the operator has not taken out.
    pub wanted: Vec<bool>,
    pub now: u64,
    /// The guest and the flow of each frame, by its number.
    pub flows: Vec<(usize, usize)>,
    /// The numbers of those that have left a NIC, in their order.
    pub wire: Vec<u32>,
}

impl WiredTeam {
    /// All members have a link, and all guests are on.
    pub fn new(settings: TeamSettings, roles: &[MemberRole], guests: usize) -> Self {
        let vnic = |port: u8| VnicInfo { port, vm: port - 1, number: 0, mac: mac(port), priority: 3 };
        let vnics: Vec<_> = (1..=guests as u8).map(vnic).collect();
        let ports = vnics.iter().map(|vnic| PortConfig::guest(vnic.mac));
        let ports: Vec<_> = std::iter::once(PortConfig::uplink()).chain(ports).collect();
        let secrets = TeamSecrets { beacons: [1, 2], copies: [3, 5] };
        let place = TeamPlace { number: 0, secrets, now: Instant::ZERO };
        let refuses = settings.down_delay_ms > 0;
        let members = (0..).zip(roles);
        let members =
            members.map(|(place, role)| (WiredMember { refuses, ..WiredMember::new(place) }, *role));
        let mut team = Self {
            lan: Lan::new(&ports, 1).expect("few ports"),
            team: Team::new(members, settings, &vnics, place),
            guests: (0..guests).map(|_| QueuePort::new()).collect(),
            roles: roles.to_vec(),
            known: vec![true; roles.len()],
            wanted: vec![true; roles.len()],
            now: 0,
            flows: Vec::new(),
            wire: Vec::new(),
        };
        (0..guests as u8).for_each(|guest| team.team.note_vnic(VnicId(guest), true, Instant::ZERO));
        team.attend();
        team
    }

    pub fn member(&mut self, place: usize) -> &mut WiredMember {
        self.team.members_mut().nth(place).expect("a member")
    }

    /// A guest sends so many frames of a flow.
    pub fn arrive(&mut self, guest: usize, flow: usize, count: usize) {
        for _ in 0..count {
            let frame = frame(guest, flow, self.flows.len() as u32);
            self.guests[guest].arrive(&frame);
            self.flows.push((guest, flow));
        }
        self.lan.note(guest + 1, Effects::TX_KICK);
    }

    /// So many frames leave a NIC, if it works.
    pub fn leave(&mut self, place: usize, count: usize) {
        if self.member(place).info.can_send() {
            let sent = self.member(place).send(count);
            self.wire.extend(sent);
        }
    }

    /// The team looks after its members.
    pub fn attend(&mut self) {
        // One that it stops now shows that at the next look.
        self.known = self.team.members().map(|member| member.info.can_send()).collect();
        self.team.attend(Instant(self.now));
        assert!(self.team.next_check() > Instant(self.now), "time stands still");
    }

    /// The switch does all that there is to do.
    pub fn run(&mut self) {
        self.lan.interrupt();
        let guests = self.guests.iter_mut().map(|guest| guest as &mut dyn Port);
        let mut ports: Vec<_> = std::iter::once(&mut self.team as &mut dyn Port).chain(guests).collect();
        self.lan.run(&mut ports, Instant(self.now));
    }

    /// How many frames for the wire the switch has dropped.
    pub fn dropped(&self) -> u64 {
        let of = |port| self.lan.switch.counters(PortId::new(port).expect("a port")).expect("counters");
        let arrivals: u64 = (1..=self.guests.len()).map(|guest| of(guest).dropped_on_arrival()).sum();
        of(0).dropped_on_departure() + arrivals
    }
}

/// A frame of a flow of a guest, which ends with its number.
fn frame(guest: usize, flow: usize, number: u32) -> Vec<u8> {
    let (own, to) = (1 + guest as u8, Station::number(100 + flow as u8));
    let from = Station::number(if flow == 2 { 50 + own } else { own });
    let payload = [&[0x5a; 60][..], &number.to_be_bytes()].concat();
    let frame = udp(&from, &to, &payload);
    if flow == 3 { tagged(&frame, 7) } else { frame }
}

/// The number of a frame, unless it is one of the team's own.
pub fn number(frame: &[u8]) -> Option<u32> {
    let own = frame[12..14] == RARP || frame[16..18] == RARP;
    frame.last_chunk().filter(|_| !own).map(|last| u32::from_be_bytes(*last))
}
