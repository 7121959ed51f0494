//! What must hold of a team's manager, whatever happens to it: the oracle of its property tests and of its fuzz target.

mod truth;

use alloc::vec::Vec;
use base::{Duration, Instant};
use nic_manager::{
    AdminState, BUCKETS, CarrierTable, FailbackMode, FrameKey, Manager, MemberFault, MemberId, MemberRole,
    MemberSet, MoveReason, Recorder, Replay, TeamAction, TeamEvent, TeamNote, TeamPolicy, TeamSettings,
    VnicId, VnicInfo,
};
use truth::MemberTruth;

/// The longest hold-down that failures lead to, and a little more: clocks of several cores may differ by as much.
const LONGEST_HOLD_DOWN: Duration = Duration::from_secs(300);
/// A member that was cut off is heard for so long until it is so no more.
const HEARD: Duration = Duration::from_secs(1);
const LITTLE: Duration = Duration::from_millis(1);

/// Knows, by the events alone, which members can carry frames, and in which order they are to be preferred.
#[derive(Clone, Debug)]
pub struct TeamOracle {
    settings: TeamSettings,
    members: Vec<MemberTruth>,
    ports: Vec<u8>,
    /// The members that may carry frames, and those that may take back what is theirs though nothing has failed.
    able: MemberSet,
    unfailed: MemberSet,
    listener: Option<MemberId>,
    /// What the manager had decided at the last look.
    before: (FrameKey, CarrierTable),
    /// Buckets may move without a failure, and beacons that were missed may count.
    divided: bool,
    ends_round: bool,
}

impl TeamOracle {
    /// For the manager of such a team.
    #[must_use]
    pub fn new(settings: &TeamSettings, roles: &[MemberRole], vnics: &[VnicInfo]) -> Self {
        Self {
            settings: settings.clone(),
            members: roles.iter().map(|role| MemberTruth::new(*role)).collect(),
            ports: vnics.iter().map(|vnic| vnic.port).collect(),
            able: MemberSet::EMPTY,
            unfailed: (0..roles.len()).filter_map(MemberId::new).collect(),
            listener: None,
            before: (FrameKey::of(settings.policy), CarrierTable::default()),
            divided: false,
            ends_round: false,
        }
    }

    /// This happens now.
    pub fn note(&mut self, event: &TeamEvent, now: Instant) {
        (self.divided, self.ends_round) = (false, false);
        match event {
            TeamEvent::Nic { member, condition, link } => {
                self.member(*member, |known| known.note_nic(*condition, link.up, now));
            }
            TeamEvent::Stall { member, stalled } => self.member(*member, |known| known.stalled = *stalled),
            TeamEvent::Admin { member, state } => {
                self.member(*member, |known| known.note_admin(*state));
                if *state == AdminState::Up {
                    self.unfailed = self.unfailed.with(*member);
                }
            }
            TeamEvent::Policy(policy) => {
                (self.settings.policy, self.divided) = (*policy, true);
                if FrameKey::of(*policy) == FrameKey::IpHash {
                    self.members.iter_mut().for_each(|known| known.cut_off = false);
                }
            }
            TeamEvent::Sample(sample) => {
                (self.divided, self.ends_round) =
                    (self.settings.policy == TeamPolicy::Load, sample.ends_round);
            }
            TeamEvent::Vnic { .. } | TeamEvent::Address { .. } | TeamEvent::Tick => {}
        }
    }

    fn member(&mut self, member: MemberId, change: impl FnMut(&mut MemberTruth)) {
        self.members.get_mut(member.index()).into_iter().for_each(change);
    }

    fn can(&self, member: MemberId) -> bool {
        self.members.get(member.index()).is_some_and(|known| known.works() && known.is_wanted())
    }

    /// Checks what the manager has decided on the last event, or that nothing was due since then.
    ///
    /// # Panics
    /// When a member carries frames, or is to say something, while a better one could; when nobody carries frames that somebody
    /// could carry; when a member that dies is not given up, or one is that does not; when the table changes and nobody is told; when
    /// group frames are received by a member that carries none; or when nothing is due later than now, so that time would stand still.
    pub fn check(&mut self, manager: &Manager, actions: &[TeamAction], now: Instant) {
        self.check_deaths(actions, now);
        self.check_faults(manager, actions, now);
        self.check_table(manager, actions);
        self.check_roles(manager);
        actions.iter().for_each(|action| self.check_action(action, manager));
        self.check_listener(manager);
        if manager.next_deadline().is_some_and(|due| due <= now) {
            assert!(manager.sample_due() <= now, "{:?} is due at {now:?}", manager.next_deadline());
        }
    }

    /// Who can send nothing any more is given up, once.
    fn check_deaths(&mut self, actions: &[TeamAction], now: Instant) {
        let settings = &self.settings;
        for (id, known) in (0..).map_while(MemberId::new).zip(&mut self.members) {
            let retired = actions.iter().filter(|action| **action == TeamAction::Retire(id)).count();
            let died = known.look(settings, retired > 0, now);
            assert_eq!(retired, usize::from(died), "{id} is retired so often: {known:?} at {now:?}");
        }
    }

    /// What the manager says is wrong with members is what events say; and the best ones are those that it uses.
    fn check_faults(&mut self, manager: &Manager, actions: &[TeamAction], now: Instant) {
        let longest = LONGEST_HOLD_DOWN.max(Duration::from_millis(self.settings.up_delay_ms.into()));
        for action in actions {
            let (member, is_cut) = match action {
                TeamAction::Say(TeamNote::BeaconLost { member, .. }) => (*member, true),
                TeamAction::Say(TeamNote::BeaconHeard { member }) => (*member, false),
                _ => continue,
            };
            // It is heard by the clock, and missed in a round.
            assert!(self.ends_round || !is_cut, "{action:?} within a round");
            let known = &mut self.members[member.index()];
            assert_ne!(core::mem::replace(&mut known.cut_off, is_cut), is_cut, "{action:?} was known");
            assert!(is_cut || now + LITTLE >= known.cut_off_at + HEARD, "{action:?} at once");
            known.cut_off_at = now;
        }
        let standings = manager.members().zip(&mut self.members).zip((0..).map_while(MemberId::new));
        for ((standing, known), id) in standings {
            let (fault, sure) = (standing.fault, known.known_fault());
            known.judge(fault, &self.settings, now);
            known.returns = standing.settles_at.is_some();
            let context = |what: &str| alloc::format!("{id} {what}: {fault:?} of {known:?} at {now:?}");
            if sure.is_some() {
                assert_eq!(fault, sure, "{}", context("has another fault"));
                continue;
            }
            assert!(!known.waits || fault == Some(MemberFault::Manual), "{}", context("waits"));
            let is_held = matches!(fault, Some(MemberFault::Settling | MemberFault::Manual));
            assert!(!known.trusted || !is_held, "{}", context("is held down against the operator's will"));
            match fault {
                None | Some(MemberFault::Errors) => {
                    assert!(known.held_until.is_none(), "{}", context("is not held down"));
                }
                Some(MemberFault::Settling) => {
                    let in_time =
                        standing.settles_at.is_some_and(|at| now < at && at <= now + longest + LITTLE);
                    assert!(in_time, "{}", context("settles too long"));
                }
                Some(MemberFault::Manual) => {
                    assert_eq!(self.settings.failback, FailbackMode::Manual, "{}", context("waits"));
                }
                _ => panic!("{}", context("has a fault")),
            }
        }
        let best = self.members.iter().filter_map(MemberTruth::grade).min();
        let ids = (0..).map_while(MemberId::new).zip(&self.members);
        let able = ids.filter(|(_, known)| best.is_some() && known.grade() == best).map(|(id, _)| id);
        let able: MemberSet = able.collect();
        let gone = core::mem::replace(&mut self.able, able).minus(able);
        self.unfailed = self.unfailed.minus(gone);
        if self.divided {
            self.unfailed = self.unfailed.union(able);
        }
        assert_eq!(manager.usable(), able, "the best are others: {:?}", self.members);
    }

    /// The buckets that stand for something.
    fn carried(&self, key: FrameKey) -> Vec<usize> {
        match key {
            FrameKey::Port => self.ports.iter().map(|port| usize::from(*port)).collect(),
            FrameKey::SourceMac | FrameKey::IpHash => (0..BUCKETS).collect(),
        }
    }

    /// The best members carry all, and nothing moves that need not, or in secret.
    fn check_table(&mut self, manager: &Manager, actions: &[TeamAction]) {
        let (key, table) = (manager.key(), manager.table());
        assert_eq!(key, FrameKey::of(self.settings.policy));
        for bucket in self.carried(key) {
            match table.get(bucket) {
                Some(member) => assert!(
                    self.able.contains(member),
                    "bucket {bucket} by {member} and not by one of {:?}: {:?}",
                    self.able,
                    self.members
                ),
                None => assert!(self.able.is_empty(), "bucket {bucket} by nobody"),
            }
            if self.settings.failback == FailbackMode::OnFailure && !self.divided && key == self.before.0 {
                let (old, new) = (self.before.1.get(bucket), table.get(bucket));
                let needs = old.is_none_or(|old| !self.able.contains(old));
                let may = needs || old == new || new.is_some_and(|new| self.unfailed.contains(new));
                assert!(may, "bucket {bucket} moves from {old:?} to {new:?}, and nothing has failed");
            }
        }
        let place = |wanted: fn(&TeamAction) -> bool| actions.iter().position(wanted);
        let last = actions.iter().rposition(|action| *action == TeamAction::Switch);
        let is_same = *table == self.before.1 && (key == self.before.0 || self.able.is_empty());
        assert!(is_same || last.is_some(), "the table has changed, and nobody was told");
        let after = place(|action| matches!(action, TeamAction::Retire(_) | TeamAction::Announce { .. }));
        let in_order = last.is_none_or(|last| after.is_none_or(|after| last < after));
        assert!(in_order, "what is given back would go to where it came from: {actions:?}");
        self.before = (key, table.clone());
    }

    /// A member on standby carries frames in the place of an active one, unless these may not return.
    fn check_roles(&self, manager: &Manager) {
        let best = self.members.iter().filter_map(MemberTruth::grade).min();
        let returns = match self.settings.failback {
            FailbackMode::Always => best.is_some_and(|best| best <= 1),
            FailbackMode::Better => true,
            FailbackMode::OnFailure | FailbackMode::Manual => false,
        };
        for bucket in self.carried(manager.key()).into_iter().filter(|_| returns && !self.needs_standby()) {
            let role = manager.table().get(bucket).map(|member| self.members[member.index()].role);
            assert_ne!(role, Some(MemberRole::Standby), "bucket {bucket}: {:?}", self.members);
        }
    }

    /// True if an active member is missing, or there is none.
    fn needs_standby(&self) -> bool {
        let ids = (0..).map_while(MemberId::new).zip(&self.members);
        let mut actives = ids.filter(|(_, known)| known.role == MemberRole::Active).map(|(id, _)| id);
        let missing = actives.clone().any(|id| !self.able.contains(id));
        missing || actives.next().is_none()
    }

    fn check_action(&mut self, action: &TeamAction, manager: &Manager) {
        match action {
            TeamAction::Announce { mac, vlan, member } => {
                assert!(self.able.contains(*member), "{action:?}");
                assert!(manager.key() != FrameKey::IpHash, "{action:?}: switches take the members for one");
                let mut vnics = (0..).zip(manager.vnics());
                let carries = vnics.any(|(index, vnic)| {
                    let id = VnicId(index);
                    let its = manager.addresses(id).any(|address| address == (*mac, *vlan));
                    its && vnic.on && (manager.key() != FrameKey::Port || vnic.carrier == Some(*member))
                });
                assert!(carries, "{action:?}: it is behind another member");
            }
            TeamAction::Probe(member) => assert!(self.can(*member), "{action:?}"),
            TeamAction::Link(up) => assert_eq!(*up, !self.able.is_empty()),
            TeamAction::Listen(member) => self.listener = *member,
            TeamAction::Say(note) => self.check_note(note),
            TeamAction::Switch | TeamAction::Retire(_) => {}
        }
    }

    fn check_note(&self, note: &TeamNote) {
        match note {
            TeamNote::Failover { from, to, cause, moved } => {
                let known = &self.members[from.index()];
                let is_left = !self.able.contains(*from) && known.fault == Some(*cause) && *moved > 0;
                assert!(is_left, "{note:?} of {known:?}");
                assert!(to.map_or(self.able.is_empty(), |to| self.able.contains(to)), "{note:?}");
            }
            TeamNote::Failback { member, moved } => {
                assert!(self.able.contains(*member) && *moved > 0, "{note:?}");
            }
            TeamNote::Member { member, fault } => {
                assert_eq!(self.members[member.index()].fault, *fault, "{note:?}");
            }
            TeamNote::Moved { from, to, reason, .. } if *reason != MoveReason::Load => {
                assert!(
                    from != to && to.map_or(self.able.is_empty(), |to| self.able.contains(to)),
                    "{note:?}"
                );
            }
            _ => {}
        }
    }

    /// Group frames are received by one of the members that are in use; by all where switches take them for one.
    fn check_listener(&self, manager: &Manager) {
        let ids = (0..).map_while(MemberId::new).zip(manager.members());
        let listens = ids.filter(|(_, standing)| standing.listens).map(|(id, _)| id);
        assert!(listens.eq(self.listener), "nobody was told who listens");
        match self.listener {
            Some(listener) if !self.able.is_empty() => {
                let known = &self.members[listener.index()];
                assert!(manager.key() != FrameKey::IpHash, "{listener} alone listens");
                assert!(self.able.contains(listener), "{listener} listens: {known:?}");
                let in_use = known.role == MemberRole::Active || self.needs_standby();
                let busy = || manager.members().filter(|standing| standing.carries > 0);
                let carries = busy().any(|standing| standing.listens);
                assert!(in_use || carries, "{listener} listens on standby");
                assert!(carries || busy().next().is_none(), "{listener} listens and carries nothing");
            }
            Some(_) => {}
            None => {
                assert!(manager.key() == FrameKey::IpHash || self.able.is_empty(), "nobody listens");
            }
        }
    }
}

/// Replays what a recorder has kept.
///
/// # Panics
/// When it leads to other actions than before, or to another state.
pub fn check_replay(recorder: &Recorder) {
    let mut bytes = Vec::new();
    recorder.read_out(|piece| bytes.extend_from_slice(piece));
    let mut replay = Replay::new(&bytes).expect("it is whole");
    while let Some(step) = replay.next(&mut drop).expect("it is whole") {
        assert!(step.same, "{step:?}");
    }
    assert_eq!(replay.manager(), recorder.manager());
}
