//! A manager in virtual time.
#![allow(dead_code, reason = "each test file uses a part of it")]

use base::{Duplex, Duration, Instant, LinkSpeed, LinkStatus, MacAddress, NicCondition};
use nic_manager::{
    Manager, MemberId, MemberRole, MemberSample, MemberSet, Recorder, TeamAction, TeamEvent, TeamNote,
    TeamSample, TeamSettings, VnicId, VnicInfo,
};
use testkit::TeamOracle;

/// A link of 1 Gb/s.
pub const LINK: LinkStatus = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };

/// The member in this place.
pub fn id(place: usize) -> MemberId {
    MemberId::new(place).expect("a place")
}

/// The members in these places.
pub fn set(places: &[usize]) -> MemberSet {
    places.iter().map(|place| id(*place)).collect()
}

/// The address of a vNIC.
pub fn mac(number: u8) -> MacAddress {
    MacAddress([0x52, 0x54, 0, 0, 1, number])
}

/// vNICs at the ports 1, 2, .. of one VM each, with these priorities.
pub fn vnics(priorities: &[u8]) -> Vec<VnicInfo> {
    (0..)
        .zip(priorities)
        .map(|(vm, priority)| VnicInfo { port: vm + 1, vm, number: 0, mac: mac(vm), priority: *priority })
        .collect()
}

/// A manager, the time, and what it has told to do since somebody asked. An oracle looks at each decision.
pub struct Rig {
    pub recorder: Recorder,
    oracle: TeamOracle,
    pub now: Instant,
    pub actions: Vec<TeamAction>,
    pub members: usize,
    vnics: usize,
}

impl Rig {
    /// A team of active members that all have a link, with vNICs of the same priority, which are on.
    pub fn new(settings: TeamSettings, members: usize, vnics: usize) -> Self {
        let mut rig = Self::with(settings, &vec![MemberRole::Active; members], &self::vnics(&vec![3; vnics]));
        rig.start();
        rig
    }

    /// A team to which nothing has happened.
    pub fn with(settings: TeamSettings, roles: &[MemberRole], vnics: &[VnicInfo]) -> Self {
        Self {
            oracle: TeamOracle::new(&settings, roles, vnics),
            recorder: Recorder::new(Manager::new(settings, roles, vnics)),
            now: Instant(1_000_000_000),
            actions: Vec::new(),
            members: roles.len(),
            vnics: vnics.len(),
        }
    }

    /// All members get a link, and all vNICs are switched on.
    pub fn start(&mut self) {
        (0..self.members).for_each(|member| self.link(member, true));
        (0..self.vnics as u8).for_each(|vnic| self.tell(TeamEvent::Vnic { vnic: VnicId(vnic), on: true }));
        self.pass(Duration::from_secs(5));
        self.actions.clear();
    }

    pub fn manager(&self) -> &Manager {
        self.recorder.manager()
    }

    pub fn tell(&mut self, event: TeamEvent) {
        let (before, actions) = (self.actions.len(), &mut self.actions);
        self.oracle.note(&event, self.now);
        self.recorder.handle(event, self.now, &mut |action| actions.push(action));
        self.oracle.check(self.recorder.manager(), &self.actions[before..], self.now);
    }

    pub fn nic(&mut self, member: usize, condition: NicCondition, link: LinkStatus) {
        self.tell(TeamEvent::Nic { member: id(member), condition, link });
    }

    pub fn link(&mut self, member: usize, up: bool) {
        self.nic(member, NicCondition::Ready, if up { LINK } else { LinkStatus::DOWN });
    }

    /// Lets time pass, in which all that is due is told, and nothing is seen.
    pub fn pass(&mut self, time: Duration) {
        self.pass_with(time, |_| TeamSample::default());
    }

    /// The same, where this is seen in each period; its number is given.
    pub fn pass_with(&mut self, time: Duration, mut sample: impl FnMut(usize) -> TeamSample) {
        let (end, mut number) = (self.now + time, 0);
        let due =
            |manager: &Manager| manager.next_deadline().into_iter().fold(manager.sample_due(), Instant::min);
        while due(self.manager()) <= end {
            self.now = self.now.max(due(self.manager()));
            if self.now >= self.manager().sample_due() {
                self.tell(TeamEvent::Sample(sample(number)));
                number += 1;
            } else {
                self.tell(TeamEvent::Tick);
            }
        }
        self.now = end;
    }

    /// The members that carry the vNICs, by place.
    pub fn carriers(&self) -> Vec<Option<usize>> {
        (1..=self.vnics).map(|port| self.manager().table().get(port).map(MemberId::index)).collect()
    }

    /// What was told to the operator since the last call.
    pub fn notes(&mut self) -> Vec<TeamNote> {
        let notes = self.actions.iter().filter_map(|action| match action {
            TeamAction::Say(note) => Some(*note),
            _ => None,
        });
        let notes = notes.collect();
        self.actions.clear();
        notes
    }

    /// What was announced since the last call: address, VLAN, member.
    pub fn announced(&mut self) -> Vec<(MacAddress, Option<u16>, usize)> {
        let announced = self.actions.iter().filter_map(|action| match action {
            TeamAction::Announce { mac, vlan, member } => Some((*mac, *vlan, member.index())),
            _ => None,
        });
        let announced = announced.collect();
        self.actions.clear();
        announced
    }

    /// Replays the history, and checks that it leads to the same.
    pub fn check_replay(&self) {
        testkit::check_replay(&self.recorder);
    }

    /// The history as bytes.
    pub fn history(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.recorder.read_out(|piece| bytes.extend_from_slice(piece));
        bytes
    }
}

/// A sample in which members hear each other as this says: `(by, of)`.
pub fn hearing(members: usize, hears: impl Fn(usize, usize) -> bool) -> TeamSample {
    let sample = |by: usize| {
        let heard = (0..members).filter(|of| *of != by && hears(by, *of)).map(id).collect();
        MemberSample { heard, frames: 1, ..MemberSample::default() }
    };
    TeamSample { ends_round: true, members: (0..members).map(sample).collect(), ..TeamSample::default() }
}
