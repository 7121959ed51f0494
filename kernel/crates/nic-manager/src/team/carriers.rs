//! What is read per frame: which member carries each bucket now.
//!
//! It follows the manager's table. A bucket that goes from one member to another is held until the old one has given back, sent or
//! not, what it was given before: so frames of one flow keep their order, and none is lost.

use crate::bucket::{BUCKETS, CarrierTable};
use crate::{MAX_MEMBERS, MemberId};
use base::Instant;
use base::time::Duration;

/// No member carries this bucket, or it is held.
const NOBODY: u8 = u8::MAX;
const HELD: u8 = u8::MAX - 1;

/// How long held buckets wait for members that give nothing back: longer than a NIC takes to be reset.
const PATIENCE: Duration = Duration::from_millis(200);

/// Who carries what.
pub(super) struct Carriers {
    now: [u8; BUCKETS],
    /// Where held buckets go to, and the members that they wait for, a bit for each.
    next: [u8; BUCKETS],
    waits: [u8; BUCKETS],
    /// How many frames each must still give back until the buckets go on that wait for it.
    awaited: [usize; MAX_MEMBERS],
    /// When held buckets go on in any case, unless some frames have come back since the last look.
    until: Option<Instant>,
    progress: bool,
}

impl Carriers {
    /// Nobody carries anything.
    pub(super) fn new() -> Self {
        Self {
            now: [NOBODY; BUCKETS],
            next: [NOBODY; BUCKETS],
            waits: [0; BUCKETS],
            awaited: [0; MAX_MEMBERS],
            until: None,
            progress: false,
        }
    }

    /// The place of the member that carries this bucket; of no member while it is held, or nobody does.
    pub(super) fn get(&self, bucket: usize) -> u8 {
        self.now[bucket % BUCKETS]
    }

    /// The place of the member that this bucket waits for; `held` while it waits for something else than room in one.
    pub(super) fn lane(&self, bucket: usize, held: usize) -> usize {
        usize::from(self.get(bucket)).min(held)
    }

    /// Does as this table says, where members have kept so many frames. If something else of a frame decides about its bucket from now on,
    /// any bucket may follow on any.
    pub(super) fn follow(
        &mut self,
        table: &CarrierTable,
        other_key: bool,
        kept: [usize; MAX_MEMBERS],
        now: Instant,
    ) {
        let place = |member: MemberId| u8::try_from(member.index()).unwrap_or(NOBODY);
        let bit = |member: u8| 1_u8.checked_shl(member.into()).unwrap_or(0);
        let busy = (0..MAX_MEMBERS).filter(|member| kept[*member] > 0);
        let busy = busy.fold(0, |busy, member| busy | 1 << member);
        let mut awaited = 0;
        for (bucket, member) in table.iter().enumerate() {
            let (new, old) = (member.map_or(NOBODY, place), self.now[bucket]);
            let before = match old {
                _ if other_key => busy,
                HELD => self.waits[bucket],
                _ => bit(old),
            };
            // What the new member has of it is before what comes.
            let waits = before & busy & !bit(new);
            (self.next[bucket], self.waits[bucket]) = (new, waits);
            self.now[bucket] = if waits == 0 { new } else { HELD };
            awaited |= waits;
        }
        self.awaited = kept;
        if awaited != 0 {
            (self.until, self.progress) = (Some(now + PATIENCE), false);
        }
    }

    /// Lets held buckets go on whose members have given back what they were given before; all of them when nothing comes back any
    /// more. True if some may have.
    #[inline]
    pub(super) fn release(&mut self, now: Option<Instant>) -> bool {
        self.until.is_some_and(|until| {
            self.release_held(until, now);
            true
        })
    }

    fn release_held(&mut self, until: Instant, now: Option<Instant>) {
        let progress = core::mem::take(&mut self.progress);
        if let Some(now) = now.filter(|_| progress) {
            self.until = Some(now + PATIENCE);
        }
        let over = !progress && now.is_some_and(|now| now >= until);
        let done = (0..MAX_MEMBERS).filter(|member| over || self.awaited[*member] == 0);
        let done = done.fold(0, |done, member| done | 1 << member);
        let mut held = false;
        for bucket in 0..BUCKETS {
            if self.now[bucket] != HELD {
                continue;
            }
            self.waits[bucket] &= !done;
            if self.waits[bucket] == 0 {
                self.now[bucket] = self.next[bucket];
            } else {
                held = true;
            }
        }
        self.until = self.until.filter(|_| held);
    }

    /// When [`release`](Self::release) is due at the latest.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.until
    }

    /// A member has given back frames that it had kept.
    pub(super) fn note_back(&mut self, member: usize, frames: usize) {
        if self.until.is_some() {
            self.awaited[member] = self.awaited[member].saturating_sub(frames);
            self.progress |= frames > 0;
        }
    }
}
