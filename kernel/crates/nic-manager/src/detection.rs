//! What the manager makes of what was seen: who is cut off, who receives damaged frames, who carries too much.

use crate::action::{TeamAction, TeamNote};
use crate::bucket::FrameKey;
use crate::hearing::HearingVerdict;
use crate::manager::{Act, Manager};
use crate::member_state::MemberState;
use crate::{AdminState, BeaconSettings, MemberId, MemberRole, MemberSet, TeamSample};
use base::Instant;

impl Manager {
    /// Takes note of what was seen in a period.
    pub(crate) fn take_sample(&mut self, sample: &TeamSample, now: Instant, act: Act<'_>) {
        self.last_sample = now;
        let linked = self.linked();
        if let Some(BeaconSettings { lost, .. }) =
            self.settings.beacon.clone().filter(|_| !self.is_one_line())
        {
            if sample.ends_round {
                self.hearing.note(sample, linked, now);
                self.find_cut_off(linked, lost, now, act);
            } else {
                self.hearing.note_active(sample, now);
            }
        }
        let Some(second) = self.load.note(sample, now) else { return };
        for (index, state) in self.members.iter_mut().enumerate() {
            let seen = second.members[index];
            state.damaged = self.errors[index].note(seen.errors, seen.frames);
            if !state.stalled {
                self.waits[index].note(seen.longest_wait);
            }
        }
        for (state, rate) in self.vnics.iter_mut().zip(second.vnics) {
            state.rate = (state.rate * 3 + rate) / 4;
        }
        self.relieve(now, act);
    }

    /// Members that were heard for long enough are not cut off any more. Who is alone, or has no link, is heard by nobody.
    pub(crate) fn find_heard(&mut self, now: Instant, act: Act<'_>) {
        let linked = self.linked();
        for (state, member) in self.members.iter_mut().zip((0..).map_while(MemberId::new)) {
            if linked.len() < 2 || !linked.contains(member) {
                state.heard_since = None;
            }
            if state.returns(now) {
                act(TeamAction::Say(TeamNote::BeaconHeard { member }));
            }
        }
    }

    /// Members that have a link.
    pub(crate) fn linked(&self) -> MemberSet {
        let ids = self.members.iter().zip((0..).map_while(MemberId::new));
        let linked = |state: &MemberState| {
            state.role != MemberRole::Unused && state.admin != AdminState::Down && state.has_link()
        };
        ids.filter(|(state, _)| linked(state)).map(|(_, id)| id).collect()
    }

    /// True if switches take the members for one line: they send back to it nothing that has come from it.
    pub(crate) fn is_one_line(&self) -> bool {
        self.key() == FrameKey::IpHash
    }

    /// The members that send beacons.
    #[must_use]
    pub fn speakers(&self) -> MemberSet {
        match self.settings.beacon {
            Some(_) if !self.is_one_line() => self.linked(),
            _ => MemberSet::EMPTY,
        }
    }

    /// Decides which members are cut off from the others, by the beacons that they have heard. Of one that is alone nothing new is known.
    fn find_cut_off(&mut self, linked: MemberSet, lost: u8, now: Instant, act: Act<'_>) {
        let asks = self.settings.beacon.as_ref().is_some_and(|beacon| beacon.gateway.is_some());
        let verdict = self.hearing.verdict((linked, self.cut_off().intersection(linked)), lost, asks, now);
        let undecided = verdict == HearingVerdict::Undecided;
        if self.undecided.is_news(undecided, now) && undecided {
            act(TeamAction::Say(TeamNote::Undecided));
        }
        for member in linked.iter().filter(|_| linked.len() > 1) {
            let (is_heard, stay) = match verdict {
                HearingVerdict::CutOff(cut) => (!cut.contains(member), linked.minus(cut)),
                _ => (!self.members[member.index()].cut_off, linked),
            };
            if self.members[member.index()].note_heard(is_heard, now) {
                let missed = self.hearing.missed(member, stay);
                act(TeamAction::Say(TeamNote::BeaconLost { member, missed }));
            }
        }
        // It is asked from the first beacon on that is missed, so that its answer is there when it counts.
        if self.hearing.ask(asks && self.hearing.is_split(linked, 1), now) {
            linked.iter().for_each(|member| act(TeamAction::Probe(member)));
        }
    }
}
