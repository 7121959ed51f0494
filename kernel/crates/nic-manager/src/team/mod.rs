//! A team as a port of a switch: it executes what its manager decides.

mod carriers;
mod explain;
mod note;
mod own;
mod port;
mod report_log;
mod rounds;
mod routes;
mod slot;
mod sources;
mod wire;

pub use explain::FrameDestination;
pub use note::TeamReport;
pub use slot::{TeamMember, await_start};
pub use wire::{TeamCounters, TeamSecrets};

use crate::action::{TeamAction, TeamNote};
use crate::event::{AdminState, TeamEvent};
use crate::{
    FrameKey, InDoubtPolicy, MAX_BEACON_VLANS, MAX_MEMBERS, MAX_VNICS, Manager, MemberId, MemberRole,
    MemberSet, Recorder, TeamPolicy, TeamSettings, VnicId, VnicInfo, frames,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use base::{Capabilities, Duration, Instant, Port, RetiredFrames};
use carriers::Carriers;
use port::CollectedTickets;
use report_log::ReportLog;
use routes::{PORTS, Routes};
use slot::TeamSlot;
use sources::Sources;
use wire::TeamWire;

/// However little is new, the manager is told so often.
const SECOND: Duration = Duration::from_secs(1);

/// Members that are due within so long are looked after together: the core wakes once for all.
const EARLY: Duration = Duration::from_millis(5);

/// What tells a team from others, and what is random about it.
#[derive(Clone, Copy, Debug)]
pub struct TeamPlace {
    /// Its number on this host.
    pub number: u8,
    /// What nobody else knows.
    pub secrets: TeamSecrets,
    /// The present.
    pub now: Instant,
}

/// A team.
pub struct Team<M> {
    slots: Vec<TeamSlot<M>>,
    recorder: Recorder,
    key: FrameKey,
    carriers: Carriers,
    routes: Routes,
    /// Bytes that were accepted from each port of the switch since the last sample.
    bytes: [u64; PORTS],
    vnics: Vec<VnicInfo>,
    /// Which of them are on, as the manager knows, and since when.
    on: u16,
    on_since: [Option<Instant>; MAX_VNICS],
    /// Members from which nothing is received, and how much they have received.
    deaf: MemberSet,
    unwanted: u64,
    capabilities: Capabilities,
    /// What it says and hears on the wire, and whose addresses it has to tell of; nothing where there is nobody to tell.
    wire: Option<Box<TeamWire>>,
    sources: Option<Box<Sources>>,
    collected: CollectedTickets,
    /// Where the next fetch begins.
    turn: usize,
    /// When a round of beacons ends, when the manager was last told of one, and whether all members had heard each other in it.
    next_round: Instant,
    told_at: Instant,
    told_quiet: bool,
    /// When members or the manager have to be told the time.
    next_check: Instant,
    decides_at: Option<Instant>,
    /// The link state that is to be passed on.
    link: Option<bool>,
    reports: ReportLog,
}

impl<M: TeamMember> Team<M> {
    /// A team of these members, of which each has a role, that serves these vNICs. Whoever depends on its link takes it as up until
    /// [`attend`](Self::attend) tells otherwise.
    #[must_use]
    pub fn new(
        members: impl IntoIterator<Item = (M, MemberRole)>,
        settings: TeamSettings,
        vnics: &[VnicInfo],
        place: TeamPlace,
    ) -> Self {
        let (members, roles): (Vec<M>, Vec<MemberRole>) = members.into_iter().take(MAX_MEMBERS).unzip();
        let several = members.len() > 1 || settings.speaks();
        let TeamPlace { number, secrets, now } = place;
        let wire = several.then(|| Box::new(TeamWire::new(number, &settings, vnics, secrets, now)));
        let sources = several.then(|| Box::new(Sources::new(vnics)));
        let manager = Manager::new(settings, &roles, vnics);
        let period = manager.round_period();
        Self {
            slots: members.into_iter().map(TeamSlot::new).collect(),
            key: manager.key(),
            recorder: Recorder::new(manager),
            carriers: Carriers::new(),
            routes: Routes::new(),
            bytes: [0; PORTS],
            vnics: vnics.to_vec(),
            on: 0,
            on_since: [None; MAX_VNICS],
            deaf: MemberSet::EMPTY,
            unwanted: 0,
            capabilities: Capabilities {
                max_frame: 0,
                link_up: false,
                segments: false,
                takes_segments: false,
            },
            wire,
            sources,
            collected: if several { CollectedTickets::new() } else { CollectedTickets::default() },
            turn: 0,
            next_round: now + period,
            told_at: now,
            told_quiet: false,
            next_check: now,
            decides_at: None,
            link: None,
            reports: ReportLog::new(),
        }
    }

    /// Its members, in order.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &M> {
        self.slots.iter().map(|slot| &slot.member)
    }

    /// A member, for what concerns the NIC alone.
    pub fn members_mut(&mut self) -> impl ExactSizeIterator<Item = &mut M> {
        self.slots.iter_mut().map(|slot| &mut slot.member)
    }

    /// Its manager.
    #[must_use]
    pub fn manager(&self) -> &Manager {
        self.recorder.manager()
    }

    /// Its manager's history.
    pub fn recorder(&mut self) -> &mut Recorder {
        &mut self.recorder
    }

    /// Looks after the members, when it is time, and lets the manager know what has become known. Returns whether the team has a link if
    /// that has changed since the last call.
    pub fn attend(&mut self, now: Instant) -> Option<bool> {
        let is_due = self.slots.iter().any(|slot| now >= slot.next_check);
        for index in 0..self.slots.len() {
            let slot = &mut self.slots[index];
            if is_due && now + EARLY >= slot.next_check {
                slot.next_check = slot.member.check(now);
            }
            let info = slot.member.info();
            let Some(member) = MemberId::new(index) else { break };
            if core::mem::replace(&mut slot.told, (info.condition, info.link)) != slot.told {
                self.tell(TeamEvent::Nic { member, condition: info.condition, link: info.link }, now);
            }
            self.note_wait(member, &info, now);
        }
        if now >= self.next_round {
            self.end_round(now);
        } else if now >= self.told_at + SECOND {
            self.take_sample(false, now);
        }
        if self.decides_at.is_some_and(|due| now >= due) {
            self.tell(TeamEvent::Tick, now);
        }
        self.collect_own(now);
        self.release(Some(now));
        let rounds = self.next_round.min(self.told_at + SECOND);
        self.next_check = self.slots.iter().map(|slot| slot.next_check).fold(rounds, Instant::min);
        self.link.take()
    }

    /// When [`attend`](Self::attend) is due.
    #[must_use]
    pub fn next_check(&self) -> Instant {
        let due = self.next_check.min(self.decides_at.unwrap_or(self.next_check));
        self.carriers.next_deadline().map_or(due, |until| due.min(until))
    }

    /// A vNIC is on, or off, with its VM. As its guest can switch it, too, the manager is told at most once a second: as it is then.
    pub fn note_vnic(&mut self, vnic: VnicId, on: bool, now: Instant) {
        let bit = 1 << (vnic.0 % 16);
        let Some(since) = self.on_since.get_mut(usize::from(vnic.0)) else { return };
        if (self.on & bit != 0) != on && since.is_none_or(|since| now >= since + SECOND) {
            *since = Some(now);
            self.on ^= bit;
            self.wire.iter_mut().for_each(|wire| wire.note_vnic(vnic.0.into(), on));
            self.tell(TeamEvent::Vnic { vnic, on }, now);
        }
    }

    /// The operator wants this of a member.
    pub fn administer(&mut self, member: MemberId, state: AdminState, now: Instant) {
        self.tell(TeamEvent::Admin { member, state }, now);
    }

    /// The operator wants frames to be divided in this way.
    pub fn set_policy(&mut self, policy: TeamPolicy, now: Instant) {
        self.tell(TeamEvent::Policy(policy), now);
    }

    /// Takes the oldest report that nobody has taken, now that all frames have found their way and so many were dropped meanwhile.
    pub fn next_report(&mut self, now: Instant, lost: u64) -> Option<TeamReport> {
        self.reports.take((now, lost))
    }

    /// The last reports that came after the first `count`, oldest first, taken or not.
    pub fn reports_since(&self, count: u64) -> impl Iterator<Item = &TeamReport> {
        self.reports.since(count)
    }

    /// Number of reports so far, and of those that had to make room before anybody took them.
    #[must_use]
    pub fn report_counts(&self) -> (u64, u64) {
        (self.reports.made(), self.reports.lost())
    }

    /// Tells the manager, and does what it says.
    fn tell(&mut self, event: TeamEvent, now: Instant) {
        let mut actions: heapless::Vec<TeamAction, 256> = heapless::Vec::new();
        // Of a NIC that is alone its driver says what happens to it.
        let by_operator = matches!(event, TeamEvent::Admin { .. } | TeamEvent::Policy(_));
        let speaks = by_operator || self.wire.is_some();
        self.recorder.handle(event, now, &mut |action| _ = actions.push(action));
        for action in actions.into_iter().filter(|action| speaks || !matches!(action, TeamAction::Say(_))) {
            self.act(action, now);
        }
        self.slots.iter_mut().for_each(|slot| slot.retired = RetiredFrames::default());
        self.capabilities = self.ask_capabilities();
        self.decides_at = self.manager().next_deadline();
        self.deaf = self.manager().deaf(now);
    }

    fn act(&mut self, action: TeamAction, now: Instant) {
        match action {
            TeamAction::Switch => self.take_over(now),
            TeamAction::Retire(member) => {
                self.wire.iter_mut().for_each(|wire| wire.own.forget(member.index()));
                if let Some(slot) = self.slots.get_mut(member.index()) {
                    slot.retired = slot.member.retire(now);
                }
            }
            TeamAction::Announce { .. } | TeamAction::Probe(_) => self.speak(action, now),
            TeamAction::Link(up) => self.link = Some(up),
            TeamAction::Listen(member) => {
                self.wire.iter_mut().for_each(|wire| wire.listen(member, now));
            }
            TeamAction::Say(note) => {
                let left = match note {
                    TeamNote::Failover { from, .. } => self.slots.get_mut(from.index()),
                    _ => None,
                };
                let retired = left.map(|slot| core::mem::take(&mut slot.retired)).unwrap_or_default();
                self.reports.push(TeamReport { at: now, note, retired, done: None });
            }
        }
    }

    /// Makes room at a member for frames of the team's own.
    fn collect_from(&mut self, member: MemberId, now: Instant) {
        if self.wire.is_some() && member.index() < self.slots.len() {
            self.collect(member.index(), now);
        }
    }

    /// Sends what is to be said on the wire.
    fn speak(&mut self, action: TeamAction, now: Instant) {
        let (TeamAction::Announce { member, .. } | TeamAction::Probe(member)) = action else { return };
        self.collect_from(member, now);
        let (Some(wire), Some(slot)) = (&mut self.wire, self.slots.get_mut(member.index())) else { return };
        match (action, wire.gateway) {
            (TeamAction::Announce { mac, vlan, .. }, _) => {
                wire.announce(slot.member.nic(), member, (mac, vlan), now);
            }
            (TeamAction::Probe(_), Some(gateway)) => {
                wire.await_answer(member, now);
                let probe = frames::probe(gateway, slot.member.mac(), wire.vlan);
                wire.own.send(slot.member.nic(), member.index(), &probe, now);
            }
            _ => {}
        }
    }

    /// Sends a member's beacons, one in each VLAN.
    fn send_beacons(&mut self, member: MemberId, now: Instant) {
        self.collect_from(member, now);
        let (Some(wire), Some(slot)) = (&mut self.wire, self.slots.get_mut(member.index())) else { return };
        let beacons: heapless::Vec<_, MAX_BEACON_VLANS> =
            wire.beacons.beacons(member, slot.member.mac()).collect();
        beacons.iter().for_each(|beacon| wire.own.send(slot.member.nic(), member.index(), beacon, now));
    }

    /// What it has said and heard on the wire.
    #[must_use]
    pub fn counters(&self) -> TeamCounters {
        let known = self.wire.as_ref().map(|wire| {
            let (own_sent, own_dropped) = (wire.own.sent, wire.own.dropped);
            TeamCounters { own_sent, own_dropped, ..wire.counters }
        });
        TeamCounters { unwanted: self.unwanted, ..known.unwrap_or_default() }
    }

    /// What all members that could carry a frame take.
    fn ask_capabilities(&mut self) -> Capabilities {
        let usable = self.recorder.manager().usable();
        let none =
            Capabilities { max_frame: usize::MAX, link_up: false, segments: true, takes_segments: true };
        let add = |all: Capabilities, (index, slot): (usize, &mut TeamSlot<M>)| {
            let one = slot.member.nic().capabilities();
            let used = MemberId::new(index).is_some_and(|id| usable.contains(id));
            Capabilities {
                max_frame: all.max_frame.min(one.max_frame),
                link_up: all.link_up || used,
                // What is left whole for a member may have to be sent by any other one, at whatever speed.
                segments: all.segments && one.takes_segments && (one.segments || !used),
                takes_segments: all.takes_segments && one.takes_segments,
            }
        };
        self.slots.iter_mut().enumerate().fold(none, add)
    }
}

impl TeamSettings {
    /// True if the team sends frames of its own.
    fn speaks(&self) -> bool {
        self.beacon.is_some() || self.notice.copies > 0
    }

    /// True if NICs are to hold frames back until they have left them.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        self.in_doubt == InDoubtPolicy::NoLoss
    }
}
