//! Duplicates: a frame that a switch sends to several members.
//!
//! A switch floods what is for an address that it does not know: the frame comes in at each member, and the guest
//! would get it as often. The filter lets the first copy pass.

use super::hash_of;
use crate::{MAX_MEMBERS, MemberId};
use base::Instant;
use base::bits::low_u16;

/// How many frames are remembered: more than come in at one member before the next one is looked at.
const REMEMBERED: usize = 1024;
/// Nanoseconds in which a copy must follow: members are looked at one after the other, and one that cannot interrupt every 10 ms.
pub(crate) const WINDOW: u64 = 20_000_000;
/// Bits of a sighting that hold the member.
const MEMBER_BITS: u32 = MAX_MEMBERS.trailing_zeros();
const MEMBER: u64 = MAX_MEMBERS as u64 - 1;
/// Bytes of a word.
const WORD: usize = 8;
/// Where words follow each other. The two bytes before are the length in IPv4, and in IPv6 a flow's label.
const VARYING: usize = 18;
/// Where the last word begins that every frame has. The next one ends where a short frame ends.
const FIXED: usize = VARYING + 5 * WORD;

const _: () = assert!(MAX_MEMBERS.is_power_of_two());

/// A frame that has come in. The filter is asked for each one, so this is compact.
#[derive(Clone, Copy)]
struct Sighting {
    hash: u64,
    /// The time in nanoseconds, and below it the place of the member.
    at: u64,
}

impl Sighting {
    /// True if this is a copy of `first`, which has the same hash. Then that one stays remembered.
    #[cold]
    fn keep_copy(&mut self, first: Self) -> bool {
        let is_of_another = (self.at ^ first.at) & MEMBER != 0;
        let is_copy = is_of_another && self.at.saturating_sub(first.at) < WINDOW << MEMBER_BITS;
        if is_copy {
            *self = first;
        }
        is_copy
    }
}

/// Knows the unicast frames that have come in at a team's members lately.
///
/// Two frames are one if they have the same length and the same first 66 bytes, but for the two where IPv4 has its
/// length. Among these are addresses and ports, the identification of IPv4, the sequence number of TCP in IPv4 and
/// IPv6, and the checksum of UDP and of TCP in IPv4. Only a frame of ANOTHER member is a duplicate: the wire does not
/// send a frame to one member twice, so that is the sender's own repetition.
///
/// What is remembered is a hash of 64 bits under a secret key, so nobody can make one frame stand for another. Whoever
/// knows the head of a frame before a guest is sent it can have it dropped, by sending the guest one with the same
/// head first, as he can to any station.
pub struct DuplicateFilter {
    recent: [Sighting; REMEMBERED],
    key: [u64; 2],
}

impl DuplicateFilter {
    /// A filter that has seen nothing. Its key is random.
    #[must_use]
    pub fn new(key: [u64; 2]) -> Self {
        Self { recent: [Sighting { hash: 0, at: 0 }; REMEMBERED], key }
    }

    /// True if the unicast frame that begins with `head` and has so many bytes has come in at another member just
    /// before.
    #[must_use]
    #[inline]
    pub fn is_duplicate(&mut self, head: &[u8], length: usize, member: MemberId, now: Instant) -> bool {
        let Some(hash) = self.hash(head, length) else { return false };
        let at = now.as_nanos() << MEMBER_BITS | member.index() as u64;
        let slot = &mut self.recent[usize::from(low_u16(hash)) % REMEMBERED];
        let first = core::mem::replace(slot, Sighting { hash, at });
        first.hash == hash && slot.keep_copy(first)
    }

    /// A hash of what differs from frame to frame. `None` for one that is shorter than Ethernet allows.
    #[inline]
    fn hash(&self, head: &[u8], length: usize) -> Option<u64> {
        let fixed: &[u8; FIXED] = head.first_chunk()?;
        let last = head.get((head.len() - WORD).min(FIXED)..)?.first_chunk()?;
        let word = |at: usize| u64::from_le_bytes(fixed[at..at + WORD].try_into().unwrap_or_default());
        let pairs = [
            (word(0), word(VARYING)),
            (word(VARYING + WORD), word(VARYING + 2 * WORD)),
            (word(VARYING + 3 * WORD), word(VARYING + 4 * WORD)),
            (u64::from_le_bytes(*last), word(WORD) ^ (length as u64) << 48),
        ];
        Some(hash_of(pairs, self.key))
    }
}
