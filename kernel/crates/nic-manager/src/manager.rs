//! The manager of a team: what happens goes in, what is to be done comes out.

use crate::action::{MemberFault, TeamAction, TeamNote};
use crate::bucket::{CarrierTable, FrameKey};
use crate::event::{AdminState, MAX_VNICS, TeamEvent};
use crate::hearing::Hearing;
use crate::load_meter::LoadMeter;
use crate::member_state::{Grade, MemberState};
use crate::told::ToldState;
use crate::vnic::{VnicInfo, VnicState};
use crate::watch::{ErrorWatch, WaitWatch};
use crate::{
    FailbackMode, MAX_MEMBERS, MemberId, MemberRole, MemberSet, PolicyConflict, TeamPolicy, TeamSettings,
    VnicId,
};
use base::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// Where actions go.
pub type Act<'a> = &'a mut dyn FnMut(TeamAction);

/// How long a member that the operator has taken out goes on receiving.
const DEAF_AFTER: Duration = Duration::from_secs(1);

/// Members that become ready within so long after the first one start with it.
const START: Duration = Duration::from_secs(5);

/// What has changed of the rules by which members carry frames: what is later includes what is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RuleChange {
    /// Nothing.
    None,
    /// Who may carry some.
    Members,
    /// The speeds by which members are weighed.
    Speeds,
    /// The policy.
    Policy,
}

/// The manager of a team. Everything that changes a decision is in it, and it learns of everything by [`handle`](Self::handle): the same
/// events at the same times lead to the same actions, on the host as well as on the machine.
///
/// ```
/// use base::{Duplex, Instant, LinkSpeed, LinkStatus, MacAddress, NicCondition};
/// use nic_manager::{Manager, MemberId, MemberRole, TeamAction, TeamEvent, TeamSettings, VnicInfo};
///
/// let vnic = VnicInfo { port: 1, vm: 0, number: 0, mac: MacAddress([2, 0, 0, 0, 0, 1]), priority: 3 };
/// let mut manager = Manager::new(TeamSettings::STANDARD, &[MemberRole::Active; 2], &[vnic]);
/// let [first, second] = [0, 1].map(|place| MemberId::new(place).unwrap());
///
/// // Both members have a link: the vNIC at port 1 is carried by the first one.
/// let link = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
/// let nic = |member, link| TeamEvent::Nic { member, condition: NicCondition::Ready, link };
/// manager.handle(&nic(first, link), Instant::ZERO, &mut drop);
/// manager.handle(&nic(second, link), Instant::ZERO, &mut drop);
/// assert_eq!(manager.table().get(1), Some(first));
///
/// // Then the first one loses its link.
/// let mut actions = Vec::new();
/// manager.handle(&nic(first, LinkStatus::DOWN), Instant(5), &mut |action| actions.push(action));
/// assert_eq!(manager.table().get(1), Some(second));
/// assert_eq!(actions[..2], [TeamAction::Switch, TeamAction::Retire(first)]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manager {
    pub(crate) settings: TeamSettings,
    pub(crate) members: heapless::Vec<MemberState, MAX_MEMBERS>,
    pub(crate) vnics: heapless::Vec<VnicState, MAX_VNICS>,
    pub(crate) table: CarrierTable,
    /// Homes that load has changed, by port.
    pub(crate) moved: [Option<MemberId>; MAX_VNICS + 1],
    /// Members that get back what is theirs as soon as they can carry it.
    pub(crate) returned: MemberSet,
    /// The best members at the last look, those without a link or in a reset, and the one that receives group frames.
    pub(crate) usable: MemberSet,
    dead: MemberSet,
    pub(crate) listener: Option<MemberId>,
    /// What was wrong with each member at the last look.
    pub(crate) faults: [Option<MemberFault>; MAX_MEMBERS],
    pub(crate) hearing: Hearing,
    pub(crate) undecided: ToldState,
    pub(crate) errors: [ErrorWatch; MAX_MEMBERS],
    pub(crate) waits: [WaitWatch; MAX_MEMBERS],
    pub(crate) load: LoadMeter,
    pub(crate) last_sample: Instant,
    /// Since when some member has carried frames.
    carries_since: Option<Instant>,
    link: bool,
}

impl Manager {
    /// The manager of a team whose members have these roles, and which serves these vNICs. More members or vNICs than there can be
    /// are left out.
    #[must_use]
    pub fn new(settings: TeamSettings, roles: &[MemberRole], vnics: &[VnicInfo]) -> Self {
        let members: heapless::Vec<_, MAX_MEMBERS> =
            roles.iter().take(MAX_MEMBERS).map(|role| MemberState::new(*role)).collect();
        let all = (0..members.len()).filter_map(MemberId::new).collect();
        Self {
            settings,
            members,
            vnics: vnics.iter().take(MAX_VNICS).map(|info| VnicState::new(*info)).collect(),
            table: CarrierTable::default(),
            moved: [None; MAX_VNICS + 1],
            returned: all,
            usable: MemberSet::EMPTY,
            dead: all,
            listener: None,
            faults: [None; MAX_MEMBERS],
            hearing: Hearing::new(),
            undecided: ToldState::default(),
            errors: Default::default(),
            waits: Default::default(),
            load: LoadMeter::default(),
            last_sample: Instant::ZERO,
            carries_since: None,
            // Whoever depends on the team's link takes it as up until it is told otherwise.
            link: true,
        }
    }

    /// What has happened, and when; `act` is told what to do, in that order.
    pub fn handle(&mut self, event: &TeamEvent, now: Instant, act: Act<'_>) {
        let change = match event {
            TeamEvent::Nic { .. } | TeamEvent::Admin { .. } => RuleChange::Members,
            TeamEvent::Policy(_) => RuleChange::Policy,
            _ => RuleChange::None,
        };
        let cut_off = self.cut_off();
        match event {
            TeamEvent::Nic { member, condition, link } => {
                if let Some(state) = self.members.get_mut(member.index()) {
                    if (state.condition, state.link.up) != (*condition, link.up) {
                        self.hearing.forget(*member, cut_off, now);
                    }
                    state.note_nic((*condition, *link), &self.settings, now);
                }
            }
            TeamEvent::Stall { member, stalled } => {
                let known = self.members.get_mut(member.index());
                known.into_iter().for_each(|state| state.stalled = *stalled);
            }
            TeamEvent::Sample(sample) => self.take_sample(sample, now, act),
            TeamEvent::Vnic { vnic, on } => self.switch_vnic(*vnic, *on, now),
            TeamEvent::Address { vnic, mac, vlan } => {
                let known = self.vnics.get_mut(usize::from(vnic.0));
                known.into_iter().for_each(|state| _ = state.note(*mac, *vlan));
            }
            TeamEvent::Admin { member, state } => self.administer(*member, *state, now),
            TeamEvent::Policy(policy) => {
                self.change_policy(*policy);
            }
            TeamEvent::Tick => {}
        }
        self.find_heard(now, act);
        self.look(change, now, act);
        self.announce(now, act);
    }

    /// Finds out who can carry frames, and lets them.
    fn look(&mut self, change: RuleChange, now: Instant, act: Act<'_>) {
        let (manual, late) = (self.settings.failback == FailbackMode::Manual, self.is_settled(now));
        let mut change = change;
        for state in &mut self.members {
            if state.look(&self.settings, (manual, late), now) {
                change = change.max(RuleChange::Speeds);
            }
        }
        let (before, carried) = (self.faults, (self.usable, self.returned));
        let (mut usable, mut best, mut dead) = (MemberSet::EMPTY, Grade::Out, MemberSet::EMPTY);
        for (state, id) in self.members.iter().zip((0..).map_while(MemberId::new)) {
            let (grade, fault) = state.grade(now);
            self.faults[id.index()] = fault;
            if grade < best {
                (best, usable) = (grade, MemberSet::EMPTY);
            }
            if grade == best && grade != Grade::Out {
                usable = usable.with(id);
            }
            if state.is_dead(now) {
                dead = dead.with(id);
            }
        }
        let died = dead.minus(core::mem::replace(&mut self.dead, dead));
        let gone = self.usable.minus(usable);
        self.usable = usable;
        self.returned = self.returned.minus(gone);
        // What is used for want of anything better has not returned.
        if (self.settings.failback == FailbackMode::Always || manual) && best <= Grade::Degraded {
            self.returned = self.returned.union(usable);
        }
        let fresh = self.starting().intersection(usable);
        let mut told = MemberSet::EMPTY;
        if change != RuleChange::None || !died.is_empty() || carried != (self.usable, self.returned) {
            told = self.place(change, (died, fresh), now, act);
        }
        self.tell_faults(&before, told, act);
        fresh.iter().for_each(|member| self.members[member.index()].started = true);
        if !usable.is_empty() {
            self.carries_since.get_or_insert(now);
        }
        let link = !usable.is_empty();
        if core::mem::replace(&mut self.link, link) != link {
            act(TeamAction::Link(link));
        }
    }

    /// Members that have never carried frames.
    fn starting(&self) -> MemberSet {
        let ids = (0..).map_while(MemberId::new).zip(&self.members);
        ids.filter(|(_, state)| !state.started).map(|(id, _)| id).collect()
    }

    /// Tells of faults that come and go, but for those of members that have never worked, and of those of which a failover or a
    /// failback has told.
    fn tell_faults(&self, before: &[Option<MemberFault>; MAX_MEMBERS], told: MemberSet, act: Act<'_>) {
        let (ids, silent) = ((0..self.members.len()).filter_map(MemberId::new), self.starting().union(told));
        let changed = |id: &MemberId| before[id.index()] != self.faults[id.index()];
        for member in ids.filter(|id| changed(id) && !silent.contains(*id)) {
            let fault = self.faults[member.index()];
            act(TeamAction::Say(TeamNote::Member { member, fault }));
        }
    }

    /// How many buckets that stand for something each member carries.
    pub(crate) fn counts(&self) -> [u64; MAX_MEMBERS] {
        let mut counts = [0; MAX_MEMBERS];
        for member in self.carried().filter_map(|bucket| self.table.get(bucket)) {
            counts[member.index()] += 1;
        }
        counts
    }

    /// True if the team has carried frames for a while: what becomes ready now is late.
    fn is_settled(&self, now: Instant) -> bool {
        self.carries_since.is_some_and(|since| now >= since + START)
    }

    /// Frames are divided in another way. If something else of a frame decides about its bucket, nobody carries any yet, but for vNICs.
    fn change_policy(&mut self, policy: TeamPolicy) {
        let before = self.key();
        let ids = (0..self.vnics.len()).filter_map(|index| u8::try_from(index).ok()).map(VnicId);
        let carriers: heapless::Vec<_, MAX_VNICS> = ids.map(|vnic| self.carrier_of(vnic)).collect();
        self.settings.policy = policy;
        (self.moved, self.returned) = ([None; MAX_VNICS + 1], self.returned.union(self.usable));
        if self.key() != before {
            self.table = CarrierTable::default();
        }
        if self.key() == FrameKey::Port {
            for (vnic, carrier) in self.vnics.iter().zip(carriers) {
                self.table.set(vnic.info.port.into(), carrier);
            }
        }
        if self.is_one_line() {
            (self.hearing, self.undecided) = (Hearing::new(), ToldState::default());
            for state in &mut self.members {
                (state.cut_off, state.heard_since) = (false, None);
            }
        }
    }

    /// Members that are cut off behind their switch, as far as that is known.
    pub(crate) fn cut_off(&self) -> MemberSet {
        let ids = (0..).map_while(MemberId::new).zip(&self.members);
        ids.filter(|(_, state)| state.cut_off).map(|(id, _)| id).collect()
    }

    fn switch_vnic(&mut self, vnic: VnicId, on: bool, now: Instant) {
        let Some(state) = self.vnics.get_mut(usize::from(vnic.0)) else { return };
        if core::mem::replace(&mut state.on, on) != on && on {
            // Switches may know its address from elsewhere.
            self.schedule_notices(vnic, now);
        }
    }

    fn administer(&mut self, member: MemberId, admin: AdminState, now: Instant) {
        let Some(state) = self.members.get_mut(member.index()) else { return };
        let was_down = core::mem::replace(&mut state.admin, admin) == AdminState::Down;
        state.admin_at = now;
        if admin == AdminState::Up {
            // The operator knows better than the delays.
            (state.waits, state.settles_at) = (false, None);
            if state.has_link() {
                self.returned = self.returned.with(member);
            }
        }
        if was_down && admin != AdminState::Down {
            // It has sent no beacon in this round.
            self.hearing.forget(member, self.cut_off(), now);
        }
    }

    /// The settings in force.
    #[must_use]
    pub fn settings(&self) -> &TeamSettings {
        &self.settings
    }

    /// The member that carries each bucket.
    #[must_use]
    pub fn table(&self) -> &CarrierTable {
        &self.table
    }

    /// What of a frame decides about its bucket.
    #[must_use]
    pub fn key(&self) -> FrameKey {
        FrameKey::of(self.settings.policy)
    }

    /// What is wrong with a member, if anything is.
    #[must_use]
    pub fn fault(&self, member: MemberId) -> Option<MemberFault> {
        self.faults.get(member.index()).copied().flatten()
    }

    /// The members from which nothing is received: those that are not used at all, for a while at least.
    #[must_use]
    pub fn deaf(&self, now: Instant) -> MemberSet {
        let ids = (0..).map_while(MemberId::new).zip(&self.members);
        // Until switches have been told, they send to it what it has carried.
        let down =
            |state: &MemberState| state.admin == AdminState::Down && now >= state.admin_at + DEAF_AFTER;
        let deaf = |state: &MemberState| state.role == MemberRole::Unused || down(state);
        ids.filter(|(_, state)| deaf(state)).map(|(id, _)| id).collect()
    }

    /// How long a member may make no progress until its owner tells of a [stall](TeamEvent::Stall).
    #[must_use]
    pub fn patience(&self, member: MemberId) -> Duration {
        self.waits[member.index()].patience()
    }

    /// Time from one round of beacons to the next.
    #[must_use]
    pub fn round_period(&self) -> Duration {
        let interval = self.settings.beacon.as_ref().map_or(1000, |beacon| beacon.interval_ms);
        Duration::from_millis(interval.into())
    }

    /// When the next sample is due: at the end of each round, and once a second. One that tells nothing may be left out.
    #[must_use]
    pub fn sample_due(&self) -> Instant {
        self.last_sample + self.round_period().min(Duration::from_secs(1))
    }

    /// When a [tick](TeamEvent::Tick) must be told, if nothing else happens before.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let members = self.members.iter().filter_map(MemberState::next_deadline);
        let notices = self.vnics.iter().flat_map(|vnic| &vnic.addresses);
        let notices = notices.filter(|address| address.left > 0).map(|address| address.next);
        members.chain(notices).min()
    }

    /// The members that can carry frames now, the best that there are.
    #[must_use]
    pub fn usable(&self) -> MemberSet {
        self.usable
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> TeamPolicy {
        self.settings.policy
    }

    /// What stands in the way of this policy.
    pub fn conflicts(&self, policy: TeamPolicy) -> impl Iterator<Item = PolicyConflict> {
        let standby = self.members.iter().any(|member| member.role == MemberRole::Standby);
        policy.conflicts(standby, self.settings.beacon.is_some())
    }
}
