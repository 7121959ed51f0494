//! What is read per frame: which member carries each bucket now.
//!
//! It follows the manager's table. A bucket that goes from one living member to another is held until the old one has sent what it was
//! given before: so frames of one flow keep their order, and none is lost.

use crate::bucket::{BUCKETS, CarrierTable};
use crate::{MAX_MEMBERS, MemberId};
use base::Instant;
use base::time::Duration;

/// No member carries this bucket, or it is held.
const NOBODY: u8 = u8::MAX;
const HELD: u8 = u8::MAX - 1;

/// How long a bucket is held at most: less than the time after which frames are dropped that wait for a NIC which takes nothing.
const LONGEST_HOLD: Duration = Duration::from_millis(18);

/// Who carries what.
pub(super) struct Carriers {
    now: [u8; BUCKETS],
    /// Where held buckets come from and go to.
    from: [u8; BUCKETS],
    next: [u8; BUCKETS],
    /// Frames that each member was given, and has given back.
    put: [u64; MAX_MEMBERS],
    back: [u64; MAX_MEMBERS],
    /// Which members must have given back how many until the held buckets go on, and when they go on in any case.
    awaited: [u64; MAX_MEMBERS],
    until: Option<Instant>,
    /// Members that were given frames since they were last told that this was all, a bit for each.
    behind: u8,
    /// Bytes that were sent for each port.
    bytes: [u64; BUCKETS],
}

impl Carriers {
    /// Nobody carries anything.
    pub(super) fn new() -> Self {
        Self {
            now: [NOBODY; BUCKETS],
            from: [NOBODY; BUCKETS],
            next: [NOBODY; BUCKETS],
            put: [0; MAX_MEMBERS],
            back: [0; MAX_MEMBERS],
            awaited: [0; MAX_MEMBERS],
            until: None,
            behind: 0,
            bytes: [0; BUCKETS],
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

    /// Does as this table says. `alive` says which members can still send what they were given.
    pub(super) fn follow(&mut self, table: &CarrierTable, alive: impl Fn(MemberId) -> bool, now: Instant) {
        let place = |member: MemberId| u8::try_from(member.index()).unwrap_or(NOBODY);
        for (bucket, member) in table.iter().enumerate() {
            let (new, old) = (member.map_or(NOBODY, place), self.now[bucket]);
            let from = if old == HELD { self.from[bucket] } else { old };
            self.next[bucket] = new;
            let leaves = MemberId::new(from.into()).filter(|from| alive(*from) && self.is_busy(*from));
            self.now[bucket] = match leaves {
                Some(_) if from == new => new,
                Some(from) => {
                    self.awaited[from.index()] = self.put[from.index()];
                    self.until.get_or_insert(now + LONGEST_HOLD);
                    HELD
                }
                None => new,
            };
            self.from[bucket] = if self.now[bucket] == HELD { from } else { new };
        }
    }

    /// True if a member has frames that it was given.
    fn is_busy(&self, member: MemberId) -> bool {
        self.back[member.index()] < self.put[member.index()]
    }

    /// Lets held buckets go on whose member has given back what it was given before; all of them when their time is over. True if some
    /// may have.
    #[inline]
    pub(super) fn release(&mut self, now: Option<Instant>) -> bool {
        self.until.is_some_and(|until| {
            self.release_held(until, now);
            true
        })
    }

    fn release_held(&mut self, until: Instant, now: Option<Instant>) {
        let over = now.is_some_and(|now| now >= until);
        let free = |from: u8| {
            let from = usize::from(from) % MAX_MEMBERS;
            over || self.back[from] >= self.awaited[from]
        };
        let mut held = false;
        for bucket in 0..BUCKETS {
            if self.now[bucket] == HELD {
                if free(self.from[bucket]) {
                    (self.now[bucket], self.from[bucket]) = (self.next[bucket], self.next[bucket]);
                } else {
                    held = true;
                }
            }
        }
        self.until = self.until.filter(|_| held);
    }

    /// When [`release`](Self::release) is due at the latest.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.until
    }

    /// The member in this place has kept a frame of this bucket, of so many bytes, or has made use of it at once.
    #[inline]
    pub(super) fn note_put(&mut self, carrier: u8, bucket: u8, bytes: usize, kept: bool) {
        self.put[usize::from(carrier) % MAX_MEMBERS] += u64::from(kept);
        self.bytes[usize::from(bucket)] += bytes as u64;
        self.behind |= 1 << (carrier % 8);
    }

    /// A member has given back frames that it had kept.
    pub(super) fn note_back(&mut self, member: usize, frames: u64) {
        self.back[member] += frames;
    }

    /// The members that were given frames since the last call, a bit for each.
    pub(super) fn take_behind(&mut self) -> u8 {
        core::mem::take(&mut self.behind)
    }

    /// Bytes that were sent for this bucket since the last call.
    pub(super) fn take_bytes(&mut self, bucket: usize) -> u64 {
        core::mem::take(&mut self.bytes[bucket % BUCKETS])
    }
}
