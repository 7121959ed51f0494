//! Who comes next at something that one core uses at a time, and that no core waits for.

use base::Instant;
use core::sync::atomic::{AtomicU64, Ordering};

/// For how many microseconds the others leave it to who has found it in use: some turns of a guest that has work, after each of which it
/// is tried again. Who does not come back meanwhile keeps nobody waiting any longer.
const RESERVED: u64 = 200;
/// Where a reservation has its end, in microseconds; below is who has made it.
const END: u32 = 16;

/// Keeps a core that releases a lock and takes it again at once, on and on, from starving those that try it now and then.
///
/// Who finds the lock taken reserves it, and the others do not try it until then. User 0 comes first: it takes no
/// notice of reservations, and its own replaces any other. The reservation is only a hint: the lock decides.
///
/// ```
/// use base::Instant;
/// use schedule::Precedence;
///
/// let precedence = Precedence::default();
/// assert_eq!(precedence.attempt(1, Instant::ZERO, || Some(())), Some(()));
/// assert_eq!(precedence.attempt(0, Instant::ZERO, || None::<()>), None, "in use");
/// assert_eq!(precedence.attempt(1, Instant(1000), || Some(())), None, "user 0 waits");
/// assert_eq!(precedence.attempt(0, Instant(2000), || Some(())), Some(()));
/// assert_eq!(precedence.attempt(1, Instant(3000), || Some(())), Some(()));
/// ```
#[derive(Default)]
pub struct Precedence(AtomicU64);

impl Precedence {
    /// Tries to take the lock with `lock`, unless another user has reserved it.
    pub fn attempt<T>(&self, user: usize, now: Instant, lock: impl FnOnce() -> Option<T>) -> Option<T> {
        let reserved = self.0.load(Ordering::Relaxed);
        let micros = now.as_nanos() / 1000;
        let mine = reserved != 0 && reserved & ((1 << END) - 1) == user as u64;
        if user != 0 && !mine && reserved >> END > micros {
            return None;
        }
        let locked = lock();
        if locked.is_none() {
            let end = micros + RESERVED;
            self.0.store(end << END | user as u64, Ordering::Relaxed);
        } else if mine {
            // Another reservation may have come meanwhile.
            let _ = self.0.compare_exchange(reserved, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        locked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user: it holds the lock for `piece` ns, `pieces` times, with next to no time between, and pauses for `pause`.
    struct User {
        pieces: u32,
        piece: u64,
        pause: u64,
        left: u32,
        next: u64,
        waits_since: Option<u64>,
        longest: u64,
        held: u64,
    }

    fn user(pieces: u32, piece: u64, pause: u64) -> User {
        User { pieces, piece, pause, left: pieces, next: 0, waits_since: None, longest: 0, held: 0 }
    }

    /// Lets them all go on for 100 ms.
    fn run(users: &mut [User]) {
        let precedence = Precedence::default();
        let mut free_at = 0;
        while let Some(number) = (0..users.len()).min_by_key(|number| users[*number].next) {
            let user = &mut users[number];
            let now = user.next;
            if now > 100_000_000 {
                return;
            }
            let got = precedence.attempt(number, Instant(now), || (now >= free_at).then_some(()));
            let done = if got.is_some() {
                free_at = now + user.piece;
                user.held += user.piece;
                user.longest = user.longest.max(now - user.waits_since.take().unwrap_or(now));
                user.left -= 1;
                free_at + 200
            } else {
                user.waits_since.get_or_insert(now);
                user.left = 0;
                now
            };
            user.next = if user.left == 0 { done + user.pause } else { done };
            user.left = if user.left == 0 { user.pieces } else { user.left };
        }
    }

    #[test]
    fn cores_that_retake_the_lock_at_once_keep_the_wire_waiting_for_few_turns_only() {
        for flooders in 1..=3 {
            let flooder = |number: u64| user(4, 25_000, 20_000 + number);
            let mut users = [user(1, 5_000, 23_000), flooder(1), flooder(2), flooder(3)];
            let users = &mut users[..=flooders];
            run(users);
            assert!(users[0].longest <= 100_000, "{flooders} others: {} ns", users[0].longest);
            assert!(users[0].held >= 5_000_000, "{flooders} others: {} ns", users[0].held);
            for (number, user) in users.iter().enumerate().skip(1) {
                assert!(user.held > 10_000_000, "{flooders} others: {number} had {} ns", user.held);
            }
        }
    }

    #[test]
    fn who_does_not_come_back_keeps_nobody_waiting_for_long() {
        let precedence = Precedence::default();
        assert_eq!(precedence.attempt(2, Instant::ZERO, || None::<()>), None);
        assert_eq!(precedence.attempt(1, Instant(199_999), || Some(())), None);
        assert_eq!(precedence.attempt(1, Instant(200_000), || Some(())), Some(()));
        // A reservation of others does not last longer because they are refused.
        assert_eq!(precedence.attempt(2, Instant(300_000), || None::<()>), None);
        assert_eq!(precedence.attempt(3, Instant(400_000), || None::<()>), None);
        assert_eq!(precedence.attempt(1, Instant(500_000), || Some(())), Some(()));
    }
}
