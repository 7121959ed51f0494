//! What must hold of a team's manager, whatever happens to it: the oracle of its property tests and of its fuzz target.

use alloc::vec::Vec;
use base::{Instant, NicCondition};
use nic_manager::{
    AdminState, BUCKETS, FrameKey, Manager, MemberId, MemberRole, Recorder, Replay, TeamAction, TeamEvent,
    TeamSettings, VnicInfo,
};

/// What is true of a member by the events alone.
#[derive(Clone, Copy, Debug)]
struct MemberTruth {
    role: MemberRole,
    works: bool,
    wanted: bool,
}

/// Knows, by the events alone, which members can carry frames.
#[derive(Clone, Debug)]
pub struct TeamOracle {
    members: Vec<MemberTruth>,
    ports: Vec<u8>,
    /// A member that has lost its link may be kept for a while.
    delayed: bool,
}

impl TeamOracle {
    /// For the manager of such a team.
    #[must_use]
    pub fn new(settings: &TeamSettings, roles: &[MemberRole], vnics: &[VnicInfo]) -> Self {
        let truth = |role: &MemberRole| MemberTruth { role: *role, works: false, wanted: true };
        Self {
            members: roles.iter().map(truth).collect(),
            ports: vnics.iter().map(|vnic| vnic.port).collect(),
            delayed: settings.down_delay_ms > 0,
        }
    }

    /// This happens.
    pub fn note(&mut self, event: &TeamEvent) {
        match event {
            TeamEvent::Nic { member, condition, link } => {
                let known = self.members.get_mut(member.index());
                let works = *condition == NicCondition::Ready && link.up;
                known.into_iter().for_each(|known| known.works = works);
            }
            TeamEvent::Admin { member, state } => {
                let known = self.members.get_mut(member.index());
                known.into_iter().for_each(|known| known.wanted = *state != AdminState::Down);
            }
            _ => {}
        }
    }

    fn can(&self, member: MemberId) -> bool {
        let known = self.members.get(member.index());
        known.is_some_and(|known| known.works && known.wanted && known.role != MemberRole::Unused)
    }

    /// Checks what the manager has decided on the last event.
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
                Some(member) => assert!(self.can(member) || self.delayed, "bucket {bucket} by {member}"),
                None => assert!(!some, "bucket {bucket} by nobody"),
            }
        }
        for action in actions {
            match action {
                TeamAction::Announce { member, .. } => {
                    assert!(self.can(*member) || self.delayed, "{action:?}");
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
