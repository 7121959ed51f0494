//! What a team sees of its members, and when it lets its manager know.

use super::routes::PORTS;
use super::slot::TeamSlot;
use super::{SECOND, Team, TeamMember};
use crate::event::{TeamEvent, TeamSample};
use crate::{FrameKey, MemberId};
use base::{Duplex, Duration, Instant, NicInfo};

impl<M: TeamMember> Team<M> {
    /// Tells of a member that makes no progress for longer than is normal, and of one that does again. One that is alone is left to its
    /// driver, and so is one at half duplex, where others may keep the wire busy [IEEE 802.3 4.2.3.2].
    pub(super) fn note_wait(&mut self, member: MemberId, info: &NicInfo, now: Instant) {
        let slot = &mut self.slots[member.index()];
        let waited = info.waits_since.map_or(Duration::ZERO, |since| now.saturating_since(since));
        let micros = u32::try_from(waited.as_micros()).unwrap_or(u32::MAX);
        slot.seen.longest_wait = slot.seen.longest_wait.max(micros);
        let judged = info.can_send() && info.link.duplex == Duplex::Full && self.slots.len() > 1;
        let stalled = judged && waited >= self.recorder.manager().patience(member);
        // A member that has nothing any more was reset, or has gone on.
        if core::mem::replace(&mut self.slots[member.index()].stalled, stalled) != stalled {
            self.tell(TeamEvent::Stall { member, stalled }, now);
        }
    }

    /// A round ends: the manager is told of what was seen in it, unless that is nothing new, and the next one begins.
    pub(super) fn end_round(&mut self, now: Instant) {
        let speakers = self.manager().speakers();
        let vlans = self.wire.as_ref().map_or(0, |wire| wire.vlans());
        for slot in &mut self.slots {
            slot.seen.heard = slot.heard_by_all(vlans);
        }
        let hears_all = |(place, slot): (MemberId, &TeamSlot<M>)| {
            !speakers.contains(place) || speakers.without(place).minus(slot.seen.heard).is_empty()
        };
        let quiet = (0..).map_while(MemberId::new).zip(&self.slots).all(hears_all);
        if !(quiet && self.told_quiet) || now >= self.told_at + SECOND {
            self.told_quiet = quiet;
            self.take_sample(true, now);
        }
        self.next_round = now + self.manager().round_period();
        self.wire.iter_mut().for_each(|wire| wire.beacons.begin_round());
        for member in self.manager().speakers().iter() {
            self.send_beacons(member, now);
        }
    }

    /// Tells what was seen since the last sample.
    pub(super) fn take_sample(&mut self, ends_round: bool, now: Instant) {
        self.told_at = now;
        let mut sample = TeamSample { ends_round, ..TeamSample::default() };
        for slot in &mut self.slots {
            let info = slot.member.info();
            let before = core::mem::replace(&mut slot.before, info);
            let mut seen = core::mem::take(&mut slot.seen);
            if !ends_round {
                // It is part of what was seen in the whole round.
                slot.seen.answered = core::mem::take(&mut seen.answered);
            }
            // A NIC that has failed may count anew.
            seen.sent = info.sent_bytes.saturating_sub(before.sent_bytes);
            seen.received = info.received_bytes.saturating_sub(before.received_bytes);
            let frames = info.received_frames.saturating_sub(before.received_frames);
            seen.frames = frames.saturating_sub(core::mem::take(&mut slot.eaten));
            seen.errors = info.errors.saturating_sub(before.errors);
            let _ = sample.members.push(seen);
        }
        let bytes = core::mem::take(&mut self.bytes);
        // Only by port can a vNIC's frames be moved because of their number.
        if self.key == FrameKey::Port {
            sample.vnics.extend(self.vnics.iter().map(|vnic| bytes[usize::from(vnic.port) % PORTS]));
        }
        self.tell(TeamEvent::Sample(sample), now);
    }
}
