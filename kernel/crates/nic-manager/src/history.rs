//! What has happened to a team, so that its decisions can be replayed: a bounded history of events, and the state of the manager at
//! its beginning.
//!
//! The oldest events make room for new ones. A second manager, the shadow, executes them as they go: so its state is always
//! that before the oldest event that is kept. Each event is kept with a digest of the actions that it led to.

use crate::{Manager, TeamAction, TeamEvent};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use base::Instant;
use base::bits::low_u16;
use core::hash::{Hash, Hasher};
use serde::{Deserialize, Serialize};

/// Bytes of events that are kept: some minutes of samples of four members at one a second, and thousands of other events.
const KEPT: usize = 16 * 1024;

/// Most bytes of one event.
const LONGEST: usize = 1024;

/// Most bytes of a manager's state.
const STATE: usize = 16 * 1024;

/// The format of a history that is read out.
const VERSION: u8 = 1;

/// An event with its time and the digest of what it led to.
#[derive(Serialize, Deserialize)]
struct HistoryEntry {
    /// Time since the event before it.
    after: u64,
    event: TeamEvent,
    digest: u16,
}

/// What stands before the manager's state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct HistoryHead {
    version: u8,
    /// The number of the first event, counted from 0 at the start.
    first: u64,
    /// The time before it.
    since: Instant,
}

/// A manager that keeps a history of what happens to it.
pub struct Recorder {
    manager: Box<Manager>,
    shadow: Box<Manager>,
    /// Entries, each behind its length in two bytes.
    kept: VecDeque<u8>,
    /// When the last event before them was, and the number of the first of them.
    since: Instant,
    first: u64,
    /// When the last of them was, and how many there are.
    last: Instant,
    count: u64,
    scratch: Box<[u8]>,
}

impl Recorder {
    /// The manager of a team to which nothing has happened.
    #[must_use]
    pub fn new(manager: Manager) -> Self {
        Self {
            shadow: Box::new(manager.clone()),
            manager: Box::new(manager),
            kept: VecDeque::with_capacity(KEPT + LONGEST + 2),
            since: Instant::ZERO,
            first: 0,
            last: Instant::ZERO,
            count: 0,
            scratch: alloc::vec![0; STATE].into_boxed_slice(),
        }
    }

    /// The manager.
    #[must_use]
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// What has happened, and when: see [`Manager::handle`].
    pub fn handle(&mut self, event: TeamEvent, now: Instant, act: &mut dyn FnMut(TeamAction)) {
        let mut digest = ActionDigest::new();
        self.manager.handle(&event, now, &mut |action| {
            action.hash(&mut digest);
            act(action);
        });
        let after = (now - self.last).as_nanos();
        let after = u64::try_from(after).unwrap_or(u64::MAX);
        let entry = HistoryEntry { after, event, digest: digest.value() };
        let Ok(bytes) = postcard::to_slice(&entry, &mut self.scratch[..LONGEST]) else {
            debug_assert!(false, "an event of more than {LONGEST} bytes");
            return;
        };
        self.kept.extend(low_u16(bytes.len() as u64).to_le_bytes());
        self.kept.extend(&*bytes);
        (self.last, self.count) = (now, self.count + 1);
        while self.kept.len() > KEPT {
            self.forget_one();
        }
    }

    /// Lets the shadow execute the oldest event, which is kept no longer.
    fn forget_one(&mut self) {
        let mut length = [0; 2];
        length.fill_with(|| self.kept.pop_front().unwrap_or(0));
        let bytes = &mut self.scratch[..usize::from(u16::from_le_bytes(length))];
        bytes.fill_with(|| self.kept.pop_front().unwrap_or(0));
        if let Ok(HistoryEntry { after, event, .. }) = postcard::from_bytes(bytes) {
            self.since = Instant(self.since.0 + after);
            self.shadow.handle(&event, self.since, &mut drop);
        }
        (self.first, self.count) = (self.first + 1, self.count - 1);
    }

    /// Number of events that are kept, and of all that there were.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.count, self.first + self.count)
    }

    /// Passes the history as bytes to `take`, in pieces.
    pub fn read_out(&mut self, mut take: impl FnMut(&[u8])) {
        let head = HistoryHead { version: VERSION, first: self.first, since: self.since };
        if let Ok(bytes) = postcard::to_slice(&head, &mut self.scratch) {
            take(bytes);
        }
        if let Ok(bytes) = postcard::to_slice(&*self.shadow, &mut self.scratch) {
            take(bytes);
        }
        let (one, other) = self.kept.as_slices();
        take(one);
        take(other);
    }
}

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
    /// A history that was [read out](Recorder::read_out).
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
        let state = postcard::take_from_bytes(rest);
        let (manager, rest) = state.map_err(|_| HistoryError::Damaged(at))?;
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
        let entry = postcard::from_bytes(bytes).map_err(|_| damaged)?;
        let HistoryEntry { after, event, digest: before } = entry;
        let mut digest = ActionDigest::new();
        self.rest = rest;
        self.at = Instant(self.at.0.saturating_add(after));
        self.manager.handle(&event, self.at, &mut |action| {
            action.hash(&mut digest);
            act(action);
        });
        let step = ReplayStep { number: self.number, at: self.at, event, same: digest.value() == before };
        self.number += 1;
        Ok(Some(step))
    }
}

/// A digest of actions: FNV-1a of what they consist of.
struct ActionDigest(u64);

impl ActionDigest {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn value(&self) -> u16 {
        low_u16(self.0 ^ self.0 >> 16 ^ self.0 >> 32 ^ self.0 >> 48)
    }
}

impl Hasher for ActionDigest {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
