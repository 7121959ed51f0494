//! Which members hear each other's beacons, and which of them is cut off behind its switch if not all do.
//!
//! Members that hear each other, directly or through others, are on one network. If there are several such groups, the largest one
//! stays; of equal ones that which the gateway answers; or else that which receives anything at all. So a team of two can tell
//! which side is cut off, where beacons alone tell no more than that one of them is. If that says nothing either, nothing changes.

use crate::{MAX_MEMBERS, MemberId, MemberSet, TeamSample};
use serde::{Deserialize, Serialize};

/// No answer has come yet.
const NEVER: u8 = u8::MAX;

/// The gateway must have been asked for so many periods until its silence tells anything.
const ASKED: u8 = 2;

/// Who has heard whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hearing {
    /// For each member, how many beacons of each other one it has missed in a row.
    missed: [[u8; MAX_MEMBERS]; MAX_MEMBERS],
    /// For how many periods in a row the gateway is asked.
    asked: u8,
    /// For how many of them in a row it has not answered, and nothing was received.
    unanswered: [u8; MAX_MEMBERS],
    silent: [u8; MAX_MEMBERS],
}

/// What follows from who has heard whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HearingVerdict {
    /// These members are cut off; often none.
    CutOff(MemberSet),
    /// Some are, and the gateway is still to say which.
    Asking,
    /// Some are, and nothing tells which.
    Undecided,
}

impl Hearing {
    /// Nobody has missed anything.
    pub(crate) fn new() -> Self {
        Self {
            missed: [[0; MAX_MEMBERS]; MAX_MEMBERS],
            asked: 0,
            unanswered: [NEVER; MAX_MEMBERS],
            silent: [0; MAX_MEMBERS],
        }
    }

    /// A member has a link again, or has lost it: what it has missed before does not count.
    pub(crate) fn forget(&mut self, member: MemberId) {
        let at = member.index();
        self.missed[at] = [0; MAX_MEMBERS];
        self.missed.iter_mut().for_each(|row| row[at] = 0);
        (self.unanswered[at], self.silent[at]) = (NEVER, 0);
    }

    /// Takes note of a period, in which these members had a link.
    pub(crate) fn note(&mut self, sample: &TeamSample, linked: MemberSet) {
        let count = |count: &mut u8, good: bool| *count = if good { 0 } else { count.saturating_add(1) };
        for by in linked.iter() {
            let seen = sample.members.get(by.index()).copied().unwrap_or_default();
            for of in linked.iter().filter(|of| *of != by) {
                count(&mut self.missed[by.index()][of.index()], seen.heard.contains(of));
            }
            count(&mut self.unanswered[by.index()], seen.answered);
            count(&mut self.silent[by.index()], seen.frames > 0);
        }
    }

    /// Beacons that a member has missed in a row of whichever of these it has heard last.
    pub(crate) fn missed(&self, by: MemberId, linked: MemberSet) -> u8 {
        let others = linked.without(by).iter();
        others.map(|of| self.missed[by.index()][of.index()]).min().unwrap_or(0)
    }

    /// True if two members have heard each other within so many periods.
    fn hear_each_other(&self, one: MemberId, other: MemberId, lost: u8) -> bool {
        let (one, other) = (one.index(), other.index());
        self.missed[one][other] < lost && self.missed[other][one] < lost
    }

    /// The members that are on one network with this one.
    fn group(&self, of: MemberId, linked: MemberSet, lost: u8) -> MemberSet {
        let mut group = MemberSet::EMPTY.with(of);
        loop {
            let reached = |other: &MemberId| group.iter().any(|one| self.hear_each_other(one, *other, lost));
            let larger = group.union(linked.minus(group).iter().filter(reached).collect());
            if larger == group {
                return group;
            }
            group = larger;
        }
    }

    /// True if some of these do not hear each other.
    pub(crate) fn is_split(&self, linked: MemberSet, lost: u8) -> bool {
        linked.iter().next().is_some_and(|first| self.group(first, linked, lost) != linked)
    }

    /// Takes note of whether the gateway is asked from now on.
    pub(crate) fn ask(&mut self, asks: bool) {
        if asks && self.asked == 0 {
            self.unanswered = [NEVER; MAX_MEMBERS];
        }
        self.asked = if asks { self.asked.saturating_add(1) } else { 0 };
    }

    /// Who is cut off among the members with a link, where so many missed beacons count as a loss. `asks` if there is a gateway to be
    /// asked.
    pub(crate) fn verdict(&self, linked: MemberSet, lost: u8, asks: bool) -> HearingVerdict {
        let mut groups: heapless::Vec<MemberSet, MAX_MEMBERS> = heapless::Vec::new();
        let mut left = linked;
        while let Some(first) = left.iter().next() {
            let group = self.group(first, linked, lost);
            left = left.minus(group);
            // There are no more groups than members.
            let _ = groups.push(group);
        }
        let largest = groups.iter().map(|group| group.len()).max().unwrap_or(0);
        groups.retain(|group| group.len() == largest);
        let recent = |periods: &[u8; MAX_MEMBERS]| {
            let good =
                |group: &&MemberSet| group.iter().any(|member| periods[member.index()] < lost.max(ASKED));
            let mut found = groups.iter().filter(good);
            (found.next().copied(), found.next())
        };
        let stays = match (&groups[..], recent(&self.unanswered)) {
            ([], _) => return HearingVerdict::CutOff(MemberSet::EMPTY),
            ([group], _) => Some(*group),
            _ if asks && self.asked < ASKED => return HearingVerdict::Asking,
            (_, (Some(group), None)) if asks => Some(group),
            // Both sides reach the gateway: it is the beacons that do not pass.
            (_, (Some(_), Some(_))) if asks => None,
            _ => match recent(&self.silent) {
                (Some(group), None) => Some(group),
                _ => None,
            },
        };
        stays.map_or(HearingVerdict::Undecided, |group| HearingVerdict::CutOff(linked.minus(group)))
    }
}
