//! A team between a switch and NICs that keep frames, lose some, and give back others; and the wire, on which all of them send, and
//! hear what the team itself says there.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "flows.rs"]
mod flows;

use base::{
    Duplex, Effects, Instant, LinkSpeed, LinkStatus, MacAddress, NicCondition, NicInfo, Port, RetiredFrames,
};
pub use flows::{FLOWS, bucket, number};
use nic_manager::{
    MemberId, MemberRole, Team, TeamMember, TeamPlace, TeamSecrets, TeamSettings, VnicId, VnicInfo,
};
use path::{PortConfig, PortId};
use testkit::frame::{ETHERTYPE_ARP, Station, arp_reply, mac};
use testkit::{Lan, QueuePort};

pub const LINK: LinkStatus = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
const READY: NicInfo = NicInfo { condition: NicCondition::Ready, link: LINK, ..NicInfo::STARTING };
/// How often a NIC is looked after.
const CHECK: u64 = 1_000_000;
/// No NIC is given longer to send anything, in nanoseconds.
const PATIENCE: u64 = 1_000_000_000;
/// The station that members ask who of them is cut off.
pub const GATEWAY: [u8; 4] = [10, 0, 0, 240];

/// The member in this place.
pub fn id(place: usize) -> MemberId {
    MemberId::new(place).expect("a place")
}

/// A NIC. Without a link it gives back what it has not sent, and after a hang when it has been reset.
pub struct WiredMember {
    pub nic: QueuePort,
    pub info: NicInfo,
    own: MacAddress,
    /// The speed of its links.
    pub speed: LinkSpeed,
    /// How long its reset takes when it hangs, in nanoseconds.
    reset: u64,
    /// Since when it has not sent what it has, although it has its link.
    hangs_since: Option<Instant>,
    /// It works again, and the team has not looked at it since: no hang can have lasted for long.
    fresh: bool,
    /// How many frames are in doubt when it is stopped next, and how many have been.
    pub doubt: usize,
    pub in_doubt: usize,
    /// Those in doubt are given back, although they have left it: these are on the wire already.
    pub repeats: bool,
    left_in_doubt: Vec<u32>,
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
    fn new(place: u8, reset: u64) -> Self {
        let mut nic = QueuePort::new();
        nic.keeps = true;
        let own = mac(200 + place);
        Self {
            nic,
            info: READY,
            own,
            speed: LinkSpeed::Mbps1000,
            reset,
            hangs_since: None,
            fresh: false,
            doubt: 0,
            in_doubt: 0,
            repeats: false,
            left_in_doubt: Vec::new(),
            left: 0,
            gives_back_at: None,
            stopped: false,
            refuses: false,
        }
    }

    /// Sends so many frames, unless it hangs, and returns them.
    fn send(&mut self, count: usize) -> Vec<Vec<u8>> {
        let count = if self.hangs_since.is_some() { 0 } else { count };
        let until = self.left.saturating_add(count).min(self.nic.sent.len() - self.nic.unsent());
        self.nic.send_kept(until - self.left);
        let sent = self.nic.sent[self.left..until].to_vec();
        self.left = until;
        sent
    }

    /// It sends nothing any more: since now, or since long ago if that can be. Without frames it is not seen that it does.
    pub fn hang(&mut self, long_ago: bool, now: Instant) {
        let since = if long_ago && !self.fresh { Instant::ZERO } else { now };
        self.hangs_since = Some(since).filter(|_| self.info.can_send());
    }

    /// Its links have this speed.
    pub fn set_speed(&mut self, speed: LinkSpeed) {
        self.speed = speed;
        if self.info.link.up {
            self.info.link.speed = speed;
        }
    }

    /// It is in this condition, and has a link if it is ready: what has been reset has nothing to send.
    pub fn set_condition(&mut self, condition: NicCondition) {
        let is_ready = condition == NicCondition::Ready;
        if is_ready && self.gives_back_at.take().is_some() {
            self.give_up();
        }
        let link = if is_ready { LinkStatus { speed: self.speed, ..LINK } } else { LinkStatus::DOWN };
        self.info = NicInfo { condition, link, ..self.info };
        (self.stopped, self.hangs_since, self.fresh) = (false, None, is_ready);
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
        self.hangs_since = None;
        self.set_space(self.nic.space);
    }

    /// Gives back what it has not sent, but for what is in doubt.
    fn give_up(&mut self) -> RetiredFrames {
        let mut in_doubt = 0;
        if self.nic.unsent() == 0 {
            let doubt = core::mem::take(&mut self.doubt);
            if self.repeats {
                let sent = self.nic.sent[self.left..].iter().take(doubt);
                self.left_in_doubt.extend(sent.filter_map(|frame| number(frame)));
            } else {
                in_doubt = numbers(&self.send(doubt)).count();
                self.in_doubt += in_doubt;
            }
        }
        self.nic.give_up();
        (self.stopped, self.hangs_since) = (true, None);
        RetiredFrames { returned: self.nic.unsent(), in_doubt }
    }
}

impl TeamMember for WiredMember {
    type Nic = QueuePort;

    fn nic(&mut self) -> &mut QueuePort {
        &mut self.nic
    }

    fn info(&self) -> NicInfo {
        NicInfo { waits_since: self.hangs_since.filter(|_| self.nic.kept() > 0), ..self.info }
    }

    fn mac(&self) -> MacAddress {
        self.own
    }

    fn kept(&self) -> usize {
        self.nic.kept_tickets()
    }

    fn check(&mut self, now: Instant) -> Instant {
        if self.nic.kept() == 0 {
            self.hangs_since = self.hangs_since.map(|since| since.max(now));
        }
        if self.gives_back_at.is_some_and(|at| now >= at) {
            self.gives_back_at = None;
            self.give_up();
        } else if !self.info.can_send() && self.gives_back_at.is_none() {
            if self.info.condition == NicCondition::Ready {
                self.give_up();
            } else if self.nic.kept() > 0 {
                self.gives_back_at = Some(Instant(now.0 + self.reset));
            }
        }
        Instant(now.0 + CHECK)
    }

    fn retire(&mut self, now: Instant) -> RetiredFrames {
        if self.info.condition == NicCondition::Ready && !self.info.link.up {
            return self.give_up();
        }
        self.info = NicInfo { condition: NicCondition::Resetting, link: LinkStatus::DOWN, ..self.info };
        self.hangs_since = None;
        self.gives_back_at.get_or_insert(Instant(now.0 + self.reset));
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
    /// The numbers of those that have left a NIC, in their order, and how often NICs have given back one that had left them.
    pub wire: Vec<u32>,
    pub repeated: usize,
    /// The flows that guests send in this history.
    pub chosen: Vec<usize>,
    /// Which members are behind another switch than the rest, from where nothing comes across.
    pub apart: Vec<bool>,
}

impl WiredTeam {
    /// All members have a link, and all guests are on.
    pub fn new(settings: TeamSettings, roles: &[MemberRole], guests: usize, reset_ms: u64) -> Self {
        let vnic = |port: u8| VnicInfo { port, vm: port - 1, number: 0, mac: mac(port), priority: 3 };
        let vnics: Vec<_> = (1..=guests as u8).map(vnic).collect();
        let ports = vnics.iter().map(|vnic| PortConfig::guest(vnic.mac));
        let ports: Vec<_> = std::iter::once(PortConfig::uplink()).chain(ports).collect();
        let secrets = TeamSecrets { beacons: [1, 2], copies: [3, 5] };
        let place = TeamPlace { number: 0, secrets, now: Instant::ZERO };
        let (refuses, repeats) = (settings.down_delay_ms > 0, settings.holds_back());
        let member =
            |place| WiredMember { refuses, repeats, ..WiredMember::new(place, reset_ms * 1_000_000) };
        let members = (0..).zip(roles).map(|(place, role)| (member(place), *role));
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
            repeated: 0,
            chosen: (0..FLOWS).collect(),
            apart: vec![false; roles.len()],
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
            let frame = flows::frame(guest, flow, self.flows.len() as u32);
            self.guests[guest].arrive(&frame);
            self.flows.push((guest, flow));
        }
        self.lan.note(guest + 1, Effects::TX_KICK);
    }

    /// So many frames leave a NIC, if it works.
    pub fn leave(&mut self, place: usize, count: usize) {
        // What has left NICs before they gave it back comes first.
        let doubtful = self.team.members_mut().map(|member| core::mem::take(&mut member.left_in_doubt));
        let doubtful: Vec<u32> = doubtful.flatten().collect();
        self.repeated += doubtful.len();
        self.wire.extend(doubtful);
        if self.member(place).info.can_send() {
            let sent = self.member(place).send(count);
            self.wire.extend(numbers(&sent));
            sent.iter().filter(|frame| number(frame).is_none()).for_each(|frame| self.spread(place, frame));
        }
    }

    /// What the team itself says reaches all its members on the same side, and the gateway, which is not on the other one.
    fn spread(&mut self, from: usize, frame: &[u8]) {
        let (side, own) = (self.apart[from], self.member(from).own);
        let heard: Vec<_> =
            (0..self.roles.len()).filter(|to| *to != from && self.apart[*to] == side).collect();
        for to in heard {
            self.hear(to, frame);
        }
        if !side && frame[12..14] == ETHERTYPE_ARP.to_be_bytes() {
            let gateway = Station { ip: GATEWAY, ..Station::number(240) };
            self.hear(from, &arp_reply(&gateway, &Station { mac: own, ip: [0; 4], port: 0 }));
        }
    }

    fn hear(&mut self, place: usize, frame: &[u8]) {
        let member = self.member(place);
        if member.info.can_send() {
            member.nic.arrive(frame);
            member.info.received_frames += 1;
        }
    }

    /// The team looks after its members.
    pub fn attend(&mut self) {
        // One that it stops now shows that at the next look.
        self.known = self.team.members().map(|member| member.info.can_send()).collect();
        let overdue = |member: &WiredMember, now: u64| {
            member.info().waits_since.is_some_and(|since| now >= since.0 + PATIENCE)
        };
        let hang: Vec<_> = self.team.members().map(|member| overdue(member, self.now)).collect();
        self.team.attend(Instant(self.now));
        let still = self.team.members().zip(hang).any(|(member, hung)| hung && overdue(member, self.now));
        self.team.members_mut().for_each(|member| member.fresh = false);
        assert!(!still, "a NIC hangs, and is left what it does not send");
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

/// The numbers of those of guests among these frames.
fn numbers(frames: &[Vec<u8>]) -> impl Iterator<Item = u32> {
    frames.iter().filter_map(|frame| number(frame))
}
