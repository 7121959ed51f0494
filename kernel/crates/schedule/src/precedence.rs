//! Who comes next at something that one core uses at a time, and that no core waits for.

use base::Instant;
use core::sync::atomic::{AtomicU64, Ordering};

/// For how many microseconds a reservation of user 0 holds: some turns of a guest that has work, after each of which the
/// lock is tried again.
const RESERVED: u64 = 200;
/// For how many those of the others hold: one such turn. Who does not come back by then runs another guest.
const RESERVED_BY_OTHERS: u64 = 50;
/// Where a reservation has its end, in microseconds; below is who has made it.
const END: u32 = 16;

/// Keeps a core that releases a lock and takes it again at once, on and on, from starving those that try it now and then.
///
/// Who finds the lock taken reserves it. User 0 comes first: while it has the lock reserved, no other tries it, it takes no
/// notice of reservations, and its own replaces any other. The reservation of another keeps off only who had the lock
/// last: whoever else comes by meanwhile may use it, since the one that reserved it may be away for long. The
/// reservation is only a hint: the lock decides.
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
pub struct Precedence {
    /// The end of a reservation, and who has made it.
    reserved: AtomicU64,
    /// Who had the lock last.
    last: AtomicU64,
}

impl Precedence {
    /// Tries to take the lock with `lock`, unless it is reserved for another.
    pub fn attempt<T>(&self, user: usize, now: Instant, lock: impl FnOnce() -> Option<T>) -> Option<T> {
        let user = user as u64;
        let reserved = self.reserved.load(Ordering::Relaxed);
        let micros = now.as_nanos() / 1000;
        let by = reserved & ((1 << END) - 1);
        let mine = reserved != 0 && by == user;
        if user != 0 && !mine && reserved >> END > micros {
            let kept_off = by == 0 || self.last.load(Ordering::Relaxed) == user;
            if kept_off {
                return None;
            }
        }
        let locked = lock();
        if locked.is_some() {
            self.last.store(user, Ordering::Relaxed);
            if mine {
                self.replace(reserved, 0);
            }
        } else if user == 0 {
            self.reserved.store((micros + RESERVED) << END, Ordering::Relaxed);
        } else {
            self.replace(reserved, (micros + RESERVED_BY_OTHERS) << END | user);
        }
        locked
    }

    /// Replaces a reservation, unless another has come meanwhile.
    fn replace(&self, old: u64, new: u64) {
        let _ = self.reserved.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

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
    fn the_lock_is_in_use_while_many_want_it() {
        const NEVER: u64 = 1_000_000_000;
        // How often the wire comes, how many flood, and for how many ms of 100 the lock is in use at least.
        for (wire, flooders, least) in [
            (23_000, 4, 65),
            (23_000, 8, 78),
            (23_000, 15, 83),
            (NEVER, 4, 80),
            (NEVER, 8, 88),
            (NEVER, 15, 90),
        ] {
            let flooder = |number: u64| user(4, 20_000, 22_000 + 37 * number);
            let mut users: std::vec::Vec<User> = (1..=flooders).map(flooder).collect();
            users.insert(0, user(1, 5_000, wire));
            run(&mut users);
            let held: u64 = users.iter().map(|user| user.held).sum();
            assert!(held >= least * 1_000_000, "{flooders} others: {held} ns");
            assert!(users[0].longest <= 25_000, "{flooders} others: {} ns", users[0].longest);
            let longest = users.iter().map(|user| user.longest).max().unwrap();
            assert!(longest <= 4_000_000, "{flooders} others: {longest} ns, two slices");
        }
    }

    #[test]
    fn who_does_not_come_back_keeps_nobody_waiting_for_long() {
        let precedence = Precedence::default();
        let attempt = |user, at, got: Option<()>| precedence.attempt(user, Instant(at), || got);
        // User 1 had the lock last. User 2 has found it taken, and is away.
        assert_eq!(attempt(1, 0, Some(())), Some(()));
        assert_eq!(attempt(2, 0, None), None);
        assert_eq!(attempt(1, 49_999, Some(())), None);
        assert_eq!(attempt(1, 50_000, Some(())), Some(()));
        // A reservation of others does not last longer because they are refused.
        assert_eq!(attempt(2, 100_000, None), None);
        assert_eq!(attempt(1, 140_000, Some(())), None);
        assert_eq!(attempt(1, 150_000, Some(())), Some(()));
        // User 0 is waited for longer, by all.
        assert_eq!(attempt(0, 200_000, None), None);
        for user in 1..4 {
            assert_eq!(attempt(user, 399_999, Some(())), None);
        }
        assert_eq!(attempt(1, 400_000, Some(())), Some(()));
    }

    #[test]
    fn who_comes_by_uses_the_lock_while_the_one_that_reserved_it_is_away() {
        let precedence = Precedence::default();
        let attempt = |user, at, got: Option<()>| precedence.attempt(user, Instant(at), || got);
        assert_eq!(attempt(1, 0, Some(())), Some(()));
        assert_eq!(attempt(2, 10_000, None), None);
        assert_eq!(attempt(1, 20_000, Some(())), None, "it had the lock last");
        assert_eq!(attempt(3, 21_000, Some(())), Some(()));
        assert_eq!(attempt(3, 25_000, Some(())), None, "now this one had it last");
        assert_eq!(attempt(1, 26_000, Some(())), Some(()), "and this one did not");
        assert_eq!(attempt(2, 32_000, Some(())), Some(()));
        assert_eq!(attempt(2, 33_000, Some(())), Some(()), "nobody waits any more");
    }

    #[test]
    fn a_reservation_of_user_0_that_comes_while_another_tries_the_lock_stays() {
        let precedence = Precedence::default();
        let wire = || precedence.attempt(0, Instant(1000), || None::<()>);
        assert_eq!(precedence.attempt(1, Instant(1000), wire), None);
        assert_eq!(precedence.attempt(2, Instant(60_000), || Some(())), None, "user 0 comes first");
        assert_eq!(precedence.attempt(1, Instant(60_000), || Some(())), None, "so it does before this one");
        // The same where the other takes the lock that it had reserved.
        let precedence = Precedence::default();
        assert_eq!(precedence.attempt(1, Instant(1000), || None::<()>), None);
        let meanwhile = || {
            assert_eq!(precedence.attempt(0, Instant(2000), || None::<()>), None);
            Some(())
        };
        assert_eq!(precedence.attempt(1, Instant(2000), meanwhile), Some(()));
        assert_eq!(precedence.attempt(2, Instant(3000), || Some(())), None);
    }
}
