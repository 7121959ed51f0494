//! What the manager knows of a member, and what follows from it: whether it is fit to carry frames.

use crate::{AdminState, MemberFault, MemberRole, TeamSettings};
use base::{Duration, Instant, LinkStatus, NicCondition};
use serde::{Deserialize, Serialize};

/// Longest time for which a member that works again is held down.
const LONGEST_HOLD_DOWN: Duration = Duration::from_secs(300);

/// A member that stays well for so long has one failure less on its account.
const QUIET: Duration = Duration::from_secs(60);

/// What happens to a member within so long is one failure.
const BOUNCE: Duration = Duration::from_secs(1);

/// A member that was cut off must be heard for so long.
const HEARD: Duration = Duration::from_secs(1);

/// What is doubled at least, and how many failures count: no more are needed for the longest hold-down.
const LEAST_GROWTH: Duration = Duration::from_millis(100);
const MOST_FAILURES: u8 = 13;

/// The speed of a member of which none is known yet, in Mb/s.
const UNKNOWN_SPEED: u32 = 1000;

/// How good a member is: only the best that there are carry frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// Nothing is wrong with it.
    Sound,
    /// It carries frames, some of which may be damaged.
    Degraded,
    /// It can carry frames, but is not to yet: that is skipped when there is nothing better.
    HeldDown,
    /// It may be able to carry frames.
    Doubtful,
    /// The operator wants it to carry no more, but something else must be there.
    Drained,
    /// It cannot carry any.
    Out,
}

/// What is known of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemberState {
    pub(crate) role: MemberRole,
    pub(crate) condition: NicCondition,
    pub(crate) link: LinkStatus,
    pub(crate) admin: AdminState,
    /// Speed of its last link, in Mb/s.
    pub(crate) speed: u32,
    /// It is cut off from the others behind the first switch.
    pub(crate) cut_off: bool,
    /// Since when it was not heard, and since when it is heard again.
    lost_since: Instant,
    pub(crate) heard_since: Option<Instant>,
    /// It makes no progress.
    pub(crate) stalled: bool,
    /// Too many frames that it receives are damaged.
    pub(crate) damaged: bool,
    /// Until when it counts as if it had its link, which it has lost.
    leaves_at: Option<Instant>,
    /// Until when it is held down.
    pub(crate) settles_at: Option<Instant>,
    /// It waits for the operator.
    pub(crate) waits: bool,
    /// It was fit at the last look, and it ever was.
    was_fit: bool,
    pub(crate) started: bool,
    /// Failures, as far as they are not forgiven, and when the last one was.
    pub(crate) failures: u8,
    last_failure: Instant,
    /// It has failed again within a moment.
    bounces: bool,
    /// Since when it is fit, if it is, and when the operator has last said something of it.
    fit_since: Instant,
    pub(crate) admin_at: Instant,
}

impl MemberState {
    /// A member of which nothing is known.
    pub(crate) fn new(role: MemberRole) -> Self {
        Self {
            role,
            condition: NicCondition::Starting,
            link: LinkStatus::DOWN,
            admin: AdminState::Up,
            speed: UNKNOWN_SPEED,
            cut_off: false,
            lost_since: Instant::ZERO,
            heard_since: None,
            stalled: false,
            damaged: false,
            leaves_at: None,
            settles_at: None,
            waits: false,
            was_fit: false,
            started: false,
            failures: 0,
            last_failure: Instant::ZERO,
            bounces: false,
            fit_since: Instant::ZERO,
            admin_at: Instant::ZERO,
        }
    }

    /// Its condition and link are these now.
    pub(crate) fn note_nic(
        &mut self,
        (condition, link): (NicCondition, LinkStatus),
        settings: &TeamSettings,
        now: Instant,
    ) {
        let lost = self.link.up && !link.up && condition == NicCondition::Ready;
        let delay = Duration::from_millis(settings.down_delay_ms.into());
        if lost && !delay.is_zero() && self.was_fit {
            self.leaves_at = Some(now + delay);
        } else if link.up || !matches!(condition, NicCondition::Ready | NicCondition::Resetting) {
            self.leaves_at = None;
        }
        (self.condition, self.link) = (condition, link);
    }

    /// Takes note of whether it is heard. True if it is cut off from now on.
    pub(crate) fn note_heard(&mut self, is_heard: bool, now: Instant) -> bool {
        if !is_heard && (!self.cut_off || self.heard_since.is_some()) {
            self.lost_since = now;
        }
        self.heard_since = self.heard_since.or(Some(now)).filter(|_| is_heard && self.cut_off);
        !is_heard && !core::mem::replace(&mut self.cut_off, true)
    }

    /// Until when it must be heard, if it is heard after it was not for as long as that: others that are lost now are worse.
    pub(crate) fn returns_at(&self) -> Option<Instant> {
        self.heard_since.filter(|since| *since >= self.lost_since + HEARD).map(|since| since + HEARD)
    }

    /// True if it was heard for long enough now, and is not cut off any more.
    pub(crate) fn returns(&mut self, now: Instant) -> bool {
        let returns = self.heard_since.take_if(|since| now >= *since + HEARD).is_some();
        self.cut_off &= !returns;
        returns
    }

    /// True if it can carry frames, as far as it can be known: it has a link, and nothing is wrong with it.
    fn is_fit(&self, now: Instant) -> bool {
        (self.has_link() || self.is_leaving(now)) && !self.cut_off && !self.stalled && !self.damaged
    }

    /// True if it works and has a link.
    pub(crate) fn has_link(&self) -> bool {
        self.condition == NicCondition::Ready && self.link.up
    }

    /// True while the loss of its link does not count yet. A driver may reset a NIC that has lost its link.
    fn is_leaving(&self, now: Instant) -> bool {
        self.leaves_at.is_some_and(|at| now < at)
    }

    /// Takes note of whether it has failed, or works again, since the last look. It waits for the operator then if all do, and one that
    /// starts `late` is held down as one that has failed. True if the speed by which it is weighed has changed.
    pub(crate) fn look(
        &mut self,
        settings: &TeamSettings,
        (manual, late): (bool, bool),
        now: Instant,
    ) -> bool {
        let fit = self.is_fit(now);
        if self.was_fit && !fit {
            // What happens within a second is one failure: a plug bounces.
            self.bounces = self.failures > 0 && now < self.last_failure + BOUNCE;
            if !self.bounces {
                self.failures = self.unforgiven(now).saturating_add(1).min(MOST_FAILURES);
                self.last_failure = now;
            }
            self.settles_at = None;
        } else if fit && !self.was_fit {
            self.fit_since = now;
            if self.failures > 0 || late && !self.started {
                self.settles_at = Some(now + self.hold_down(settings));
                self.waits = manual && self.failures > 0;
            }
        }
        self.was_fit = fit;
        self.leaves_at.take_if(|at| *at <= now);
        self.settles_at.take_if(|at| *at <= now);
        let settled = self.has_link() && self.settles_at.is_none() && !self.waits;
        let speed = if settled { self.link.speed.megabits() } else { self.speed };
        core::mem::replace(&mut self.speed, speed) != speed && self.started
    }

    /// Failures that are not forgiven yet: one less for each minute that it was well.
    fn unforgiven(&self, now: Instant) -> u8 {
        let quiet = now.saturating_since(self.fit_since).as_secs() / QUIET.as_secs();
        self.failures.saturating_sub(u8::try_from(quiet).unwrap_or(u8::MAX))
    }

    /// For how long it is held down: twice as long with each failure.
    fn hold_down(&self, settings: &TeamSettings) -> Duration {
        let first = Duration::from_millis(settings.up_delay_ms.into());
        let doublings = self.failures.saturating_sub(1);
        if doublings == 0 && !self.bounces {
            return first;
        }
        let grown = first.max(LEAST_GROWTH).saturating_mul(1 << doublings.min(MOST_FAILURES));
        grown.min(LONGEST_HOLD_DOWN.max(first))
    }

    /// How good it is, and what is wrong with it.
    pub(crate) fn grade(&self, now: Instant) -> (Grade, Option<MemberFault>) {
        let leaving = self.is_leaving(now);
        let faults = [
            (self.role == MemberRole::Unused, Grade::Out, MemberFault::Unused),
            (self.admin == AdminState::Down, Grade::Out, MemberFault::Admin),
            (self.condition != NicCondition::Ready && !leaving, Grade::Out, MemberFault::Reset),
            (!self.link.up && !leaving, Grade::Out, MemberFault::Link),
            (self.admin == AdminState::Drain, Grade::Drained, MemberFault::Admin),
            (self.stalled, Grade::Doubtful, MemberFault::Stall),
            (self.cut_off && self.returns_at().is_none(), Grade::Doubtful, MemberFault::CutOff),
            (self.cut_off, Grade::HeldDown, MemberFault::CutOff),
            (self.waits, Grade::HeldDown, MemberFault::Manual),
            (self.settles_at.is_some_and(|at| now < at), Grade::HeldDown, MemberFault::Settling),
            (self.damaged, Grade::Degraded, MemberFault::Errors),
        ];
        let found = faults.into_iter().find(|(applies, ..)| *applies);
        found.map_or((Grade::Sound, None), |(_, grade, fault)| (grade, Some(fault)))
    }

    /// True if nothing can be sent by it, whatever else there is to say of it.
    pub(crate) fn is_dead(&self, now: Instant) -> bool {
        self.stalled || !self.has_link() && !self.is_leaving(now)
    }

    /// When its grade may change by itself.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let heard_until = self.heard_since.map(|since| since + HEARD);
        self.leaves_at.into_iter().chain(self.settles_at).chain(heard_until).min()
    }
}
