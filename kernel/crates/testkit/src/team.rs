//! What must hold of a team's manager, whatever happens to it: the oracle of its property tests and of its fuzz target.

use alloc::vec::Vec;
use base::{Duration, Instant, NicCondition};
use nic_manager::{
    AdminState, BUCKETS, FrameKey, Manager, MemberId, MemberRole, Recorder, Replay, TeamAction, TeamEvent,
    TeamSettings, VnicInfo,
};

/// What is true of a member by the events alone.
#[derive(Clone, Copy, Debug)]
struct MemberTruth {
    role: MemberRole,
    works: bool,
    /// When it has lost its link while it worked.
    lost_at: Option<Instant>,
    wanted: bool,
}

impl MemberTruth {
    fn note_nic(&mut self, condition: NicCondition, linked: bool, now: Instant) {
        let is_ready = condition == NicCondition::Ready;
        if self.works && !linked && is_ready {
            self.lost_at = Some(now);
        } else if linked || !matches!(condition, NicCondition::Ready | NicCondition::Resetting) {
            // A driver may reset a NIC that has lost its link.
            self.lost_at = None;
        }
        self.works = is_ready && linked;
    }

    fn is_wanted(&self) -> bool {
        self.wanted && self.role != MemberRole::Unused
    }
}

/// Knows, by the events alone, which members can carry frames.
#[derive(Clone, Debug)]
pub struct TeamOracle {
    members: Vec<MemberTruth>,
    ports: Vec<u8>,
    /// A member that has lost its link may be kept for so long.
    delay: Duration,
}

impl TeamOracle {
    /// For the manager of such a team.
    #[must_use]
    pub fn new(settings: &TeamSettings, roles: &[MemberRole], vnics: &[VnicInfo]) -> Self {
        let truth =
            |role: &MemberRole| MemberTruth { role: *role, works: false, lost_at: None, wanted: true };
        Self {
            members: roles.iter().map(truth).collect(),
            ports: vnics.iter().map(|vnic| vnic.port).collect(),
            delay: Duration::from_millis(settings.down_delay_ms.into()),
        }
    }

    /// This happens now.
    pub fn note(&mut self, event: &TeamEvent, now: Instant) {
        match event {
            TeamEvent::Nic { member, condition, link } => {
                let known = self.members.get_mut(member.index());
                known.into_iter().for_each(|known| known.note_nic(*condition, link.up, now));
            }
            TeamEvent::Admin { member, state } => {
                let known = self.members.get_mut(member.index());
                known.into_iter().for_each(|known| known.wanted = *state != AdminState::Down);
            }
            _ => {}
        }
    }

    fn can(&self, member: MemberId) -> bool {
        self.members.get(member.index()).is_some_and(|known| known.works && known.is_wanted())
    }

    /// True if a member that cannot send may be kept: it had a link a moment ago.
    fn is_excused(&self, member: MemberId, now: Instant) -> bool {
        let lost = self.members.get(member.index()).filter(|known| known.is_wanted());
        lost.and_then(|known| known.lost_at).is_some_and(|at| now < at + self.delay)
    }

    /// Checks what the manager has decided on the last event, or since then.
    ///
    /// # Panics
    /// When a member that cannot send carries frames, or is to say something, while no delay excuses it; when nobody carries frames
    /// that somebody could carry; or when nothing is due later than now, so that time would stand still.
    pub fn check(&self, manager: &Manager, actions: &[TeamAction], now: Instant) {
        let some = (0..self.members.len()).filter_map(MemberId::new).any(|member| self.can(member));
        let ports = self.ports.iter().map(|port| usize::from(*port)).collect();
        let carried: Vec<usize> = match manager.key() {
            FrameKey::Port => ports,
            FrameKey::SourceMac | FrameKey::IpHash => (0..BUCKETS).collect(),
        };
        for bucket in carried {
            match manager.table().get(bucket) {
                Some(member) => assert!(
                    self.can(member) || self.is_excused(member, now),
                    "bucket {bucket} by {member} at {now:?}"
                ),
                None => assert!(!some, "bucket {bucket} by nobody"),
            }
        }
        for action in actions {
            match action {
                TeamAction::Announce { member, .. } => {
                    assert!(self.can(*member) || self.is_excused(*member, now), "{action:?}");
                    assert!(
                        manager.key() != FrameKey::IpHash,
                        "{action:?}: switches take the members for one"
                    );
                }
                TeamAction::Probe(member) => {
                    assert!(self.can(*member), "{action:?}")
                }
                TeamAction::Link(up) => assert_eq!(*up, !manager.usable().is_empty()),
                TeamAction::Switch | TeamAction::Retire(_) | TeamAction::Listen(_) | TeamAction::Say(_) => {}
            }
        }
        if manager.next_deadline().is_some_and(|due| due <= now) {
            assert!(manager.sample_due() <= now, "{:?} is due at {now:?}", manager.next_deadline());
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
