//! Which members hear each other's beacons, and which of them is cut off behind its switch if not all do.
//!
//! Members that hear each other, directly or through others, are on one network. If there are several such groups, that which the
//! gateway answers stays, if it answers one of them alone; or else the largest one, or of equal ones that which receives
//! anything at all. So a team of two can tell which side is cut off, where beacons alone tell no more than that one of them
//! is. If that says nothing either, nothing changes.

use crate::{MAX_MEMBERS, MemberId, MemberSet, TeamSample};
use base::{Duration, Instant};
use serde::{Deserialize, Serialize};

/// No answer has come yet.
const NEVER: u8 = u8::MAX;

/// The gateway must have been asked so often until its silence tells anything.
const ASKED: u8 = 2;

/// So often it may be asked period after period, and then again each time that so long has passed, since each member's question
/// goes to every station.
const QUESTIONS: u8 = 5;
const QUESTION_SPACING: Duration = Duration::from_millis(200);

/// It has at least so long to answer.
const ANSWER_TIME: Duration = Duration::from_millis(10);

/// A member that has received nothing for so long is silent: broadcasts come every few seconds on most networks.
const SILENCE: Duration = Duration::from_secs(3);

/// Who has heard whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hearing {
    /// For each member, how many beacons of each other one it has missed in a row.
    missed: [[u8; MAX_MEMBERS]; MAX_MEMBERS],
    /// Members that have had a link for less than a period: no beacon of theirs can be missed.
    fresh: MemberSet,
    /// How often in a row the gateway was asked, when for the first time, and whether in this period.
    asked: u8,
    asked_since: Instant,
    asked_now: bool,
    /// How often it may be asked now, and since when that has not become more.
    questions: u8,
    questions_since: Instant,
    /// How many questions in a row it has not answered.
    unanswered: [u8; MAX_MEMBERS],
    /// When each member has last received anything but beacons and answers.
    active_at: [Instant; MAX_MEMBERS],
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
            fresh: (0..MAX_MEMBERS).filter_map(MemberId::new).collect(),
            asked: 0,
            asked_since: Instant::ZERO,
            asked_now: false,
            questions: QUESTIONS,
            questions_since: Instant::ZERO,
            unanswered: [NEVER; MAX_MEMBERS],
            active_at: [Instant::ZERO; MAX_MEMBERS],
        }
    }

    /// A member has a link again, or has lost it: what it has missed before does not count, unless it or the other one was `cut` off,
    /// which must show not to be any more.
    pub(crate) fn forget(&mut self, member: MemberId, cut: MemberSet, now: Instant) {
        let at = member.index();
        if !cut.contains(member) {
            for other in (0..MAX_MEMBERS).filter_map(MemberId::new).filter(|other| !cut.contains(*other)) {
                (self.missed[at][other.index()], self.missed[other.index()][at]) = (0, 0);
            }
        }
        self.fresh = self.fresh.with(member);
        (self.unanswered[at], self.active_at[at]) = (NEVER, now);
    }

    /// Takes note of a period, in which these members had a link.
    pub(crate) fn note(&mut self, sample: &TeamSample, linked: MemberSet, now: Instant) {
        let count = |count: &mut u8, good: bool| *count = if good { 0 } else { count.saturating_add(1) };
        let fresh = core::mem::take(&mut self.fresh);
        let asked = core::mem::take(&mut self.asked_now);
        for by in linked.iter() {
            let seen = sample.members.get(by.index()).copied().unwrap_or_default();
            for of in linked.iter().filter(|of| *of != by) {
                let heard = seen.heard.contains(of);
                if heard || !fresh.contains(of) && !fresh.contains(by) {
                    count(&mut self.missed[by.index()][of.index()], heard);
                }
            }
            if asked || seen.answered {
                count(&mut self.unanswered[by.index()], seen.answered);
            }
        }
        self.note_active(sample, now);
    }

    /// Takes note of who has received anything.
    pub(crate) fn note_active(&mut self, sample: &TeamSample, now: Instant) {
        let members = sample.members.iter().zip(&mut self.active_at);
        members.filter(|(seen, _)| seen.frames > 0).for_each(|(_, at)| *at = now);
    }

    /// Beacons that were missed in a row between a member and whichever of these is best heard.
    pub(crate) fn missed(&self, by: MemberId, linked: MemberSet) -> u8 {
        let between =
            |of: MemberId| self.missed[by.index()][of.index()].max(self.missed[of.index()][by.index()]);
        linked.without(by).iter().map(between).min().unwrap_or(0)
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

    /// Takes note of whether the gateway's answer is wanted. True if it is to be asked now.
    pub(crate) fn ask(&mut self, wanted: bool, now: Instant) -> bool {
        while self.questions < QUESTIONS && now >= self.questions_since + QUESTION_SPACING {
            (self.questions, self.questions_since) =
                (self.questions + 1, self.questions_since + QUESTION_SPACING);
        }
        if self.questions == QUESTIONS {
            self.questions_since = now;
        }
        self.asked_now = wanted && self.questions > 0;
        if !wanted {
            self.asked = 0;
        } else if self.asked_now {
            if self.asked == 0 {
                (self.asked_since, self.unanswered) = (now, [NEVER; MAX_MEMBERS]);
            }
            (self.asked, self.questions) = (self.asked.saturating_add(1), self.questions - 1);
        }
        self.asked_now
    }

    /// Who is cut off among the members with a link, where so many missed beacons count as a loss. `asks` if there is a gateway to be
    /// asked, and `cut` are those that are cut off by an earlier verdict, which stays as long as nothing but activity speaks against it.
    pub(crate) fn verdict(
        &self,
        (linked, cut): (MemberSet, MemberSet),
        lost: u8,
        asks: bool,
        now: Instant,
    ) -> HearingVerdict {
        let mut groups: heapless::Vec<MemberSet, MAX_MEMBERS> = heapless::Vec::new();
        let mut left = linked;
        while let Some(first) = left.iter().next() {
            let group = self.group(first, linked, lost);
            left = left.minus(group);
            // There are no more groups than members.
            let _ = groups.push(group);
        }
        if groups.len() <= 1 {
            return HearingVerdict::CutOff(MemberSet::EMPTY);
        }
        if asks && (self.asked < ASKED || now < self.asked_since + ANSWER_TIME) {
            return HearingVerdict::Asking;
        }
        let only = |groups: &[MemberSet], good: &dyn Fn(MemberId) -> bool| {
            let mut found = groups.iter().filter(|group| group.iter().any(good));
            (found.next().copied(), found.next().copied())
        };
        let answers = |member: MemberId| self.unanswered[member.index()] < lost.max(ASKED);
        let active = |member: MemberId| now < self.active_at[member.index()] + SILENCE;
        let answered = if asks { only(&groups, &answers) } else { (None, None) };
        let largest = groups.iter().map(|group| group.len()).max().unwrap_or(0);
        groups.retain(|group| group.len() == largest);
        let stays = match (answered, &groups[..]) {
            ((Some(group), None), _) => Some(group),
            (_, [group]) => Some(*group),
            // Both sides reach the gateway: it is the beacons that do not pass.
            ((Some(_), Some(_)), _) => None,
            _ => {
                let earlier = groups.iter().find(|group| group.intersection(cut).is_empty());
                earlier.filter(|_| !cut.is_empty()).copied().or_else(|| match only(&groups, &active) {
                    (Some(group), None) => Some(group),
                    _ => None,
                })
            }
        };
        stays.map_or(HearingVerdict::Undecided, |group| HearingVerdict::CutOff(linked.minus(group)))
    }
}
