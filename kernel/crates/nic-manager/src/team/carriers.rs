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

/// How long held buckets wait for members that give nothing back: longer than it takes to find that one hangs, a second at most
/// (`Manager::patience`), and to reset it, after which it gives back all.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who carries what.
pub(super) struct Carriers {
    now: [u8; BUCKETS],
    /// Where held buckets go to, and the members that they wait for, a bit for each.
    next: [u8; BUCKETS],
    waits: [u8; BUCKETS],
    /// How many frames each must still give back until the buckets go on that wait for it, and when they go on in any case, unless some
    /// have come back since the last look.
    awaited: [usize; MAX_MEMBERS],
    until: [Instant; MAX_MEMBERS],
    progress: [bool; MAX_MEMBERS],
    /// The members that buckets wait for, a bit for each.
    waited_for: u8,
}

impl Carriers {
    /// Nobody carries anything.
    pub(super) fn new() -> Self {
        Self {
            now: [NOBODY; BUCKETS],
            next: [NOBODY; BUCKETS],
            waits: [0; BUCKETS],
            awaited: [0; MAX_MEMBERS],
            until: [Instant::ZERO; MAX_MEMBERS],
            progress: [false; MAX_MEMBERS],
            waited_for: 0,
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
        let before = core::mem::take(&mut self.waited_for);
        for (bucket, member) in table.iter().enumerate() {
            let (new, old) = (member.map_or(NOBODY, place), self.now[bucket]);
            if new == old && !other_key {
                continue;
            }
            let had = match old {
                _ if other_key => busy,
                // What it was to go to may have some of it, too, by what decided before.
                HELD => self.waits[bucket] | bit(self.next[bucket]),
                _ => bit(old),
            };
            // What the new member has of it is before what comes.
            let waits = had & busy & !bit(new);
            (self.next[bucket], self.waits[bucket]) = (new, waits);
            self.now[bucket] = if waits == 0 { new } else { HELD };
            self.waited_for |= waits;
        }
        self.awaited = kept;
        // Who has been waited for before has had that time already.
        for member in (0..MAX_MEMBERS).filter(|member| before >> member & 1 == 0) {
            (self.until[member], self.progress[member]) = (now + PATIENCE, false);
        }
    }

    /// Lets held buckets go on whose members have given back what they were given before, or give back nothing any more. True if some may
    /// have.
    #[inline]
    pub(super) fn release(&mut self, now: Option<Instant>) -> bool {
        let waits = self.waited_for != 0;
        if waits {
            self.release_held(now);
        }
        waits
    }

    fn release_held(&mut self, now: Option<Instant>) {
        let mut done = 0_u8;
        for member in 0..MAX_MEMBERS {
            let mut over = false;
            if let Some(now) = now {
                if core::mem::take(&mut self.progress[member]) {
                    self.until[member] = now + PATIENCE;
                }
                over = now >= self.until[member];
            }
            done |= u8::from(over || self.awaited[member] == 0) << member;
        }
        self.waited_for &= !done;
        for bucket in 0..BUCKETS {
            if self.now[bucket] == HELD {
                self.waits[bucket] &= !done;
                if self.waits[bucket] == 0 {
                    self.now[bucket] = self.next[bucket];
                }
            }
        }
    }

    /// When [`release`](Self::release) is due at the latest.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let awaited = (0..MAX_MEMBERS).filter(|member| self.waited_for >> member & 1 != 0);
        awaited.map(|member| self.until[member]).min()
    }

    /// A member has given back frames that it had kept.
    pub(super) fn note_back(&mut self, member: usize, frames: usize) {
        self.awaited[member] = self.awaited[member].saturating_sub(frames);
        self.progress[member] |= frames > 0;
    }
}
