//! The way of a [history](crate::Recorder) through a manager once more: does it decide the same?

use crate::history::{ActionDigest, HistoryEntry, HistoryHead, VERSION};
use crate::load_meter::MOST;
use crate::{BUCKETS, MAX_VNICS, Manager, TeamAction, TeamEvent};
use alloc::boxed::Box;
use base::Instant;

/// Why a history cannot be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryError {
    /// It is of another version of Weir.
    Version(u8),
    /// It is damaged at this byte, or ends there in the middle.
    Damaged(usize),
}

impl core::fmt::Display for HistoryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "the history has version {version}, and not {VERSION}"),
            Self::Damaged(at) => write!(f, "the history is damaged at byte {at}"),
        }
    }
}

impl core::error::Error for HistoryError {}

/// A history that was read out, on its way through a manager.
///
/// ```
/// use base::{Instant, LinkStatus, NicCondition};
/// use nic_manager::{Manager, MemberId, MemberRole, Recorder, Replay, TeamEvent, TeamSettings};
///
/// let manager = Manager::new(TeamSettings::STANDARD, &[MemberRole::Active], &[]);
/// let (mut recorder, member) = (Recorder::new(manager), MemberId::new(0).unwrap());
/// let event = TeamEvent::Nic { member, condition: NicCondition::Ready, link: LinkStatus::DOWN };
/// recorder.handle(event, Instant(7), &mut drop);
///
/// let mut bytes = Vec::new();
/// recorder.read_out(|piece| bytes.extend_from_slice(piece));
/// let mut replay = Replay::new(&bytes)?;
/// let step = replay.next(&mut drop)?.unwrap();
/// assert_eq!((step.number, step.at, step.same), (0, Instant(7), true));
/// assert!(replay.next(&mut drop)?.is_none());
/// # Ok::<(), nic_manager::HistoryError>(())
/// ```
pub struct Replay<'a> {
    manager: Box<Manager>,
    number: u64,
    at: Instant,
    all: usize,
    rest: &'a [u8],
}

/// One event of a [`Replay`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayStep {
    /// Its number, counted from 0 at the start of the team.
    pub number: u64,
    /// When it happened.
    pub at: Instant,
    /// What happened.
    pub event: TeamEvent,
    /// It has led to the same actions as before.
    pub same: bool,
}

impl<'a> Replay<'a> {
    /// A history that was [read out](crate::Recorder::read_out).
    ///
    /// # Errors
    /// It is of another version, or damaged.
    pub fn new(bytes: &'a [u8]) -> Result<Self, HistoryError> {
        let all = bytes.len();
        let version = *bytes.first().ok_or(HistoryError::Damaged(0))?;
        if version != VERSION {
            return Err(HistoryError::Version(version));
        }
        let head = postcard::take_from_bytes::<HistoryHead>(bytes);
        let (HistoryHead { first, since, .. }, rest) = head.map_err(|_| HistoryError::Damaged(0))?;
        let at = all - rest.len();
        let state = postcard::take_from_bytes::<Manager>(rest).ok();
        let (manager, rest) =
            state.filter(|(manager, _)| manager.is_sound()).ok_or(HistoryError::Damaged(at))?;
        Ok(Self { manager: Box::new(manager), number: first, at: since, all, rest })
    }

    /// The manager, after the events so far.
    #[must_use]
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// Lets the manager handle the next event, if there is one; `act` is told what it does.
    ///
    /// # Errors
    /// The history is damaged.
    pub fn next(&mut self, act: &mut dyn FnMut(TeamAction)) -> Result<Option<ReplayStep>, HistoryError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let damaged = HistoryError::Damaged(self.all - self.rest.len());
        let (length, rest) = self.rest.split_first_chunk().ok_or(damaged)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (bytes, rest) = rest.split_at_checked(length).ok_or(damaged)?;
        let entry = postcard::take_from_bytes(bytes).ok().filter(|(_, rest)| rest.is_empty());
        let (HistoryEntry { after, event, digest: before }, _) = entry.ok_or(damaged)?;
        self.rest = rest;
        self.at = Instant(self.at.0.wrapping_add(after));
        let same = ActionDigest::of(&mut self.manager, &event, self.at, act) == before;
        let step = ReplayStep { number: self.number, at: self.at, event, same };
        self.number = self.number.wrapping_add(1);
        Ok(Some(step))
    }
}

impl Manager {
    /// True if this, which was read from somewhere, may be let loose on events: what the types do not say, and the code relies on.
    fn is_sound(&self) -> bool {
        self.table.iter().count() == BUCKETS
            && self.members.iter().all(|member| member.speed > 0)
            && self.vnics.iter().all(|vnic| usize::from(vnic.info.port) <= MAX_VNICS && vnic.rate <= MOST)
            && self.load.rates.iter().all(|rate| *rate <= MOST)
    }
}
