//! How long a port stands still for the sake of a destination that does not take its frames fast enough.
//!
//! A vNIC can do that on purpose, so what it costs others is bounded: a sender stands still for it for [`PATIENCE`] at
//! a time, and gets time back only by getting rid of frames. However the vNICs behave that it sends to, it stands still
//! for no longer in all than [`PATIENCE`] for each of them, and [`PATIENCE_PER_FRAME`] for each frame that they take.
//!
//! A physical NIC belongs to nobody, and a guest that sends faster than the wire is to wait for it, not to lose frames.
//! So senders stand still for it as long as it takes frames, from whomever, and no frame is too old for it; no longer if
//! it has taken none for [`UPLINK_PATIENCE`], because it hangs. On a wire of 10 Mb/s, what one poll brings takes 27 ms, and
//! the turns of others come before it.

use crate::{HOLD, PATIENCE};
use base::Instant;
use base::time::Duration;

/// What each frame that a vNIC takes adds to the time for which its sender stands still for it, up to [`PATIENCE`]:
/// back-pressure is for vNICs that take 20,000 frames a second, 240 Mb/s in frames of 1514 bytes.
const PATIENCE_PER_FRAME: Duration = Duration::from_micros(50);

/// A sender that has no patience left stands still again only when it has this much: each end of standing still is a
/// deadline of the switch, and there are not to be more than a thousand in a second.
const LEAST: Duration = Duration::from_millis(1);

/// How long a physical NIC may take nothing until frames for it are dropped instead of held: as long as a frame
/// waits elsewhere. The longest frame takes 7.3 ms at 10 Mb/s.
const UPLINK_PATIENCE: Duration = HOLD;

/// A physical NIC that was offered nothing for so long is not known to take nothing any more.
const FORGOTTEN: Duration = Duration::from_millis(100);

/// How long one port may still stand still for one vNIC.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    left: Duration,
    /// Since when the port stands still.
    since: Option<Instant>,
}

impl Patience {
    /// All of it.
    pub(crate) const FULL: Self = Self { left: PATIENCE, since: None };

    /// Takes note that the vNIC has taken `taken` frames, and of whether more wait for it than may wait in passing.
    /// True if the port stands still for it from now on.
    pub(crate) fn note(&mut self, taken: usize, crowded: bool, now: Instant) -> bool {
        if let Some(since) = self.since {
            self.left = self.left.saturating_sub(now.saturating_since(since));
        }
        let earned = PATIENCE_PER_FRAME * u32::try_from(taken).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(PATIENCE);
        let enough = if self.since.is_some() { !self.left.is_zero() } else { self.left >= LEAST };
        self.since = (crowded && enough).then_some(now);
        self.since.is_some()
    }

    /// When standing still ends.
    pub(crate) fn end(&self) -> Option<Instant> {
        Some(self.since? + self.left)
    }
}

/// Whether a physical NIC takes frames.
#[derive(Clone, Copy, Default)]
pub(crate) struct UplinkProgress {
    /// Since when it has taken nothing that it was offered, if it did not take all of the last offer.
    stuck: Option<Instant>,
    /// When it was last offered something.
    asked: Instant,
}

impl UplinkProgress {
    /// Takes note of an offer, of which the NIC has taken `taken` frames and, if `all`, all. True if ports stand still
    /// for it.
    pub(crate) fn note(&mut self, taken: usize, all: bool, now: Instant) -> bool {
        if now.saturating_since(core::mem::replace(&mut self.asked, now)) >= FORGOTTEN {
            self.stuck = None;
        }
        self.stuck = match self.stuck {
            // It was offered nothing.
            stuck if all && taken == 0 => stuck,
            _ if all => None,
            Some(since) if taken == 0 => Some(since),
            _ => Some(now),
        };
        self.end().is_none_or(|end| now < end)
    }

    /// When standing still for it ends.
    pub(crate) fn end(&self) -> Option<Instant> {
        Some(self.stuck? + UPLINK_PATIENCE)
    }
}
