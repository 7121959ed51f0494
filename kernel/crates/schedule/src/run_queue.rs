//! Proportional sharing of one core by virtual time.
//!
//! The virtual time of a guest is the time that it has run, divided by its shares. The guest with the least
//! virtual time has received the least of what it is due, and runs next. Since every nanosecond is charged, a guest that
//! never sleeps gets its share and no more. A guest that slept is behind by all the time that it did not use. It
//! keeps at most [`CREDIT`] of that: this lets it run at once when it wakes, and limits how long it can then delay
//! the others.

use base::Duration;

/// How long a guest runs while others are waiting.
pub const SLICE: Duration = Duration::from_millis(2);
/// How far a guest that slept may be behind the others when it wakes, in virtual time.
pub const CREDIT: Duration = Duration::from_millis(2);
/// How far a woken guest must be behind the running one to preempt it. With less, a switch costs more than it
/// gains.
const ADVANTAGE: Duration = Duration::from_micros(250);
/// The number of shares at which virtual time passes as fast as real time.
pub const STANDARD_SHARES: u32 = 1000;
/// Maximum number of guests of a core: all guests of the machine.
pub const MAX_GUESTS: usize = 16;

/// Rates are fixed-point numbers with this many fraction bits, so that charging needs no division.
const FRACTION: u32 = 16;

/// The queue already has [`MAX_GUESTS`] guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

/// The scheduling state of one guest.
#[derive(Clone, Copy, Debug)]
struct QueuedGuest {
    /// Virtual nanoseconds per nanosecond, with [`FRACTION`] bits.
    rate: u64,
    /// Virtual nanoseconds used.
    used: u64,
    runnable: bool,
}

/// The guests of one core, identified by the numbers that [`RunQueue::add`] returns.
///
/// ```
/// use base::Duration;
/// use schedule::RunQueue;
///
/// let mut queue = RunQueue::new();
/// let important = queue.add(2000)?;
/// let other = queue.add(1000)?;
/// assert_eq!(queue.next(), None, "guests sleep at first");
/// queue.set_runnable(important, true);
/// queue.set_runnable(other, true);
///
/// let mut slices = [0; 2];
/// for _ in 0..300 {
///     let guest = queue.next().expect("both are runnable");
///     slices[guest] += 1;
///     queue.charge(guest, Duration::from_millis(2));
/// }
/// assert_eq!(slices, [200, 100]);
/// # Ok::<(), schedule::QueueFull>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct RunQueue {
    guests: heapless::Vec<QueuedGuest, MAX_GUESTS>,
    /// Virtual time of the core. It never decreases, and no guest is behind it by more than [`CREDIT`] at the
    /// moment when it wakes.
    clock: u64,
}

impl RunQueue {
    /// A queue without guests.
    #[must_use]
    pub const fn new() -> Self {
        Self { guests: heapless::Vec::new(), clock: 0 }
    }

    /// Adds a sleeping guest and returns its number; numbers count from zero. Zero `shares` are treated as one.
    ///
    /// # Errors
    /// [`QueueFull`] when there are already [`MAX_GUESTS`] guests.
    pub fn add(&mut self, shares: u32) -> Result<usize, QueueFull> {
        let guest = QueuedGuest { rate: rate(shares), used: self.clock, runnable: false };
        self.guests.push(guest).map_err(|_| QueueFull)?;
        Ok(self.guests.len() - 1)
    }

    /// Changes the shares of a guest from now on.
    ///
    /// The kernel does not call this yet. It is meant for changes of the configured shares at run time.
    pub fn set_shares(&mut self, guest: usize, shares: u32) {
        if let Some(entry) = self.guests.get_mut(guest) {
            entry.rate = rate(shares);
        }
    }

    /// Sets whether a guest has something to execute. Cheap when nothing changed: call it as often as convenient.
    pub fn set_runnable(&mut self, guest: usize, runnable: bool) {
        let Some(entry) = self.guests.get_mut(guest) else { return };
        if entry.runnable == runnable {
            return;
        }
        entry.runnable = runnable;
        if runnable {
            entry.used = entry.used.max(self.clock.saturating_sub(nanos(CREDIT)));
        }
    }

    /// The runnable guest with the least virtual time, or the first of several.
    #[must_use]
    pub fn next(&self) -> Option<usize> {
        let runnable = self.guests.iter().enumerate().filter(|(_, entry)| entry.runnable);
        runnable.min_by_key(|(_, entry)| entry.used).map(|(guest, _)| guest)
    }

    /// How long the guest that runs may go on until another is so far behind that it should run instead, even if the
    /// slice has not ended. `None` while no other is runnable. It holds until a guest is charged or
    /// [`set_runnable`](Self::set_runnable) changes one, so that the exit path need not ask.
    #[must_use]
    pub fn lead(&self, running: usize) -> Option<Duration> {
        let others =
            self.guests.iter().enumerate().filter(|(other, entry)| *other != running && entry.runnable);
        let least = others.map(|(_, entry)| entry.used).min()?;
        let Some(entry) = self.guests.get(running) else { return Some(Duration::ZERO) };
        // From `limit` on, the other is more than the advantage behind.
        let limit = least.saturating_add(nanos(ADVANTAGE)).saturating_add(1);
        let virtual_time = limit.saturating_sub(entry.used).saturating_mul(1 << FRACTION);
        Some(Duration::from_nanos(virtual_time.div_ceil(entry.rate.max(1))))
    }

    /// Charges a guest for time used by it, or by Weir on its behalf.
    pub fn charge(&mut self, guest: usize, ran: Duration) {
        let Some(entry) = self.guests.get_mut(guest) else { return };
        entry.used = entry.used.saturating_add(nanos(ran).saturating_mul(entry.rate) >> FRACTION);
        let used = entry.used;
        let least = self.guests.iter().filter(|entry| entry.runnable).map(|entry| entry.used).min();
        self.clock = self.clock.max(least.unwrap_or(used));
    }
}

/// Virtual nanoseconds per nanosecond, with [`FRACTION`] bits.
fn rate(shares: u32) -> u64 {
    (u64::from(STANDARD_SHARES) << FRACTION) / u64::from(shares.max(1))
}

/// Nanoseconds in `duration`, at most `u64::MAX`.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
