//! What is true of one member of a team, whatever its manager makes of it.

use base::{Duration, Instant, NicCondition};
use nic_manager::{AdminState, FailbackMode, MemberFault, MemberRole, TeamSettings};

/// What is true of a member by the events and by what the manager has said of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct MemberTruth {
    pub(super) role: MemberRole,
    pub(super) admin: AdminState,
    ready: bool,
    linked: bool,
    pub(super) stalled: bool,
    /// It is cut off, and since when; or since when it is not.
    pub(super) cut_off: bool,
    pub(super) cut_off_at: Instant,
    /// It is heard again, and held down.
    pub(super) returns: bool,
    /// When it has lost its link while it worked, and whether that may be overlooked for a while: if it was not fit then, it may not.
    lost_at: Option<Instant>,
    overlooked: bool,
    /// It was fit at the last look, as far as that can be known: damage does not show behind some other faults.
    fit: Option<bool>,
    failed: bool,
    /// Nothing could be sent by it at the last look.
    dead: bool,
    /// Until when it must be held down at least, and whether it waits for the operator.
    pub(super) held_until: Option<Instant>,
    pub(super) waits: bool,
    /// The operator wants it to be used, and nothing has been wrong with it since.
    pub(super) trusted: bool,
    /// What is wrong with it now.
    pub(super) fault: Option<MemberFault>,
}

impl MemberTruth {
    pub(super) fn new(role: MemberRole) -> Self {
        Self {
            role,
            admin: AdminState::Up,
            ready: false,
            linked: false,
            stalled: false,
            cut_off: false,
            cut_off_at: Instant::ZERO,
            returns: false,
            lost_at: None,
            overlooked: false,
            fit: Some(false),
            failed: false,
            dead: true,
            held_until: None,
            waits: false,
            trusted: false,
            fault: None,
        }
    }

    pub(super) fn works(&self) -> bool {
        self.ready && self.linked
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.admin != AdminState::Down && self.role != MemberRole::Unused
    }

    pub(super) fn note_nic(&mut self, condition: NicCondition, linked: bool, now: Instant) {
        let is_ready = condition == NicCondition::Ready;
        if self.works() && !linked && is_ready {
            (self.lost_at, self.overlooked) =
                (Some(now).filter(|_| self.fit != Some(false)), self.fit == Some(true));
        } else if linked || !matches!(condition, NicCondition::Ready | NicCondition::Resetting) {
            // A driver may reset a NIC that has lost its link.
            self.lost_at = None;
        }
        (self.ready, self.linked) = (is_ready, linked);
    }

    pub(super) fn note_admin(&mut self, state: AdminState) {
        self.admin = state;
        if state == AdminState::Up {
            (self.held_until, self.waits, self.trusted) = (None, false, true);
        }
    }

    /// What must be wrong with it by what is known for sure.
    pub(super) fn known_fault(&self) -> Option<MemberFault> {
        let leaves = self.lost_at.is_some();
        let faults = [
            (self.role == MemberRole::Unused, MemberFault::Unused),
            (self.admin == AdminState::Down, MemberFault::Admin),
            (!self.ready && !leaves, MemberFault::Reset),
            (!self.linked && !leaves, MemberFault::Link),
            (self.admin == AdminState::Drain, MemberFault::Admin),
            (self.stalled, MemberFault::Stall),
            (self.cut_off, MemberFault::CutOff),
        ];
        faults.into_iter().find(|(applies, _)| *applies).map(|(_, fault)| fault)
    }

    /// How good it is: only the best members that there are may carry frames. `None` if it cannot.
    pub(super) fn grade(&self) -> Option<u8> {
        match self.fault {
            None => Some(0),
            Some(MemberFault::Errors) => Some(1),
            Some(MemberFault::Settling | MemberFault::Manual) => Some(2),
            Some(MemberFault::CutOff) if self.returns => Some(2),
            Some(MemberFault::Stall | MemberFault::CutOff) => Some(3),
            Some(MemberFault::Admin) if self.admin == AdminState::Drain => Some(4),
            Some(_) => None,
        }
    }

    /// The manager has looked at it. Returns whether it has died.
    pub(super) fn look(&mut self, settings: &TeamSettings, retired: bool, now: Instant) -> bool {
        let delay = Duration::from_millis(settings.down_delay_ms.into());
        self.lost_at.take_if(|at| now >= *at + delay || retired && !self.overlooked);
        // What was in doubt has shown now.
        self.overlooked = true;
        let dead = self.stalled || !self.works() && self.lost_at.is_none();
        !core::mem::replace(&mut self.dead, dead) && dead
    }

    /// The manager says that this is wrong with it.
    pub(super) fn judge(&mut self, fault: Option<MemberFault>, settings: &TeamSettings, now: Instant) {
        self.fault = fault;
        let alive = !self.dead && !self.cut_off;
        self.trusted &= alive && !matches!(fault, Some(MemberFault::Errors | MemberFault::Admin));
        let fit = match fault {
            _ if !alive => Some(false),
            None | Some(MemberFault::Settling) => Some(true),
            Some(MemberFault::Errors) => Some(false),
            _ => None,
        };
        let before = core::mem::replace(&mut self.fit, fit);
        self.failed |= (before, fit) == (Some(true), Some(false));
        self.held_until.take_if(|at| now >= *at || fit != Some(true));
        if (before, fit) == (Some(false), Some(true)) && self.failed {
            let hold = Duration::from_millis(settings.up_delay_ms.into());
            self.held_until = Some(now + hold).filter(|until| now < *until);
        }
        let returns = before == Some(false) && fit != Some(false) && self.failed;
        self.waits |= returns && settings.failback == FailbackMode::Manual;
    }
}
