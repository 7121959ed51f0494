//! Proportional shares of one core by virtual time.
//!
//! A guest's virtual time is the time it has run, divided by its shares: who has the least is furthest behind
//! its due and runs next. As every nanosecond is charged, a guest that never sleeps gets its share and no
//! more. A guest that slept is behind by all it did not use; it keeps at most [`CREDIT`] of that, which lets it
//! in at once when it wakes, and bounds for how long it can then hold off the others.

use base::Duration;

/// How long a guest runs while others want to, too.
pub const SLICE: Duration = Duration::from_millis(2);
/// How far, in virtual time, a guest that slept may be behind the others when it wakes.
pub const CREDIT: Duration = Duration::from_millis(2);
/// How far a woken guest must be behind the running one to take its place: below it a switch costs more than
/// it gains.
const ADVANTAGE: Duration = Duration::from_micros(250);
/// The shares at which virtual time passes as fast as time.
pub const STANDARD_SHARES: u32 = 1000;
/// Most guests of a core: all of a host.
pub const MAX_GUESTS: usize = 16;

/// Rates are fixed-point numbers with so many fraction bits: charging needs no division.
const FRACTION: u32 = 16;

/// The queue has [`MAX_GUESTS`] already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Virtual nanoseconds for each nanosecond, with [`FRACTION`] bits.
    rate: u64,
    /// Virtual nanoseconds used.
    used: u64,
    runnable: bool,
}

/// The guests of one core, by the numbers that [`RunQueue::add`] gave them.
#[derive(Clone, Debug, Default)]
pub struct RunQueue {
    entries: heapless::Vec<Entry, MAX_GUESTS>,
    /// Virtual time of the core: never runs backwards, and no runnable guest was behind it by more than
    /// [`CREDIT`] when it woke.
    clock: u64,
}

impl RunQueue {
    /// A queue without guests.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: heapless::Vec::new(), clock: 0 }
    }

    /// Adds a guest that sleeps, and returns its number: they count from zero. `shares` of zero count as one.
    ///
    /// # Errors
    /// [`Full`].
    pub fn add(&mut self, shares: u32) -> Result<usize, Full> {
        let entry = Entry { rate: rate(shares), used: self.clock, runnable: false };
        self.entries.push(entry).map_err(|_| Full)?;
        Ok(self.entries.len() - 1)
    }

    /// Gives a guest other shares, from now on.
    pub fn set_shares(&mut self, guest: usize, shares: u32) {
        if let Some(entry) = self.entries.get_mut(guest) {
            entry.rate = rate(shares);
        }
    }

    /// Notes whether a guest has something to execute. Cheap when nothing changed: call it as often as is
    /// convenient.
    pub fn set_runnable(&mut self, guest: usize, runnable: bool) {
        let Some(entry) = self.entries.get_mut(guest) else { return };
        if entry.runnable == runnable {
            return;
        }
        entry.runnable = runnable;
        if runnable {
            entry.used = entry.used.max(self.clock.saturating_sub(CREDIT.as_nanos() as u64));
        }
    }

    /// The runnable guest that is furthest behind; the first of those that are equal.
    #[must_use]
    pub fn next(&self) -> Option<usize> {
        let runnable = self.entries.iter().enumerate().filter(|(_, entry)| entry.runnable);
        runnable.min_by_key(|(_, entry)| entry.used).map(|(guest, _)| guest)
    }

    /// True when another guest is runnable.
    #[must_use]
    pub fn contended(&self, guest: usize) -> bool {
        self.others(guest).next().is_some()
    }

    /// True when another guest is so far behind that it should run now, whatever is left of the slice of the
    /// running one.
    #[must_use]
    pub fn preempts(&self, running: usize) -> bool {
        let Some(entry) = self.entries.get(running) else { return true };
        let limit = entry.used.saturating_sub(ADVANTAGE.as_nanos() as u64);
        self.others(running).any(|other| other.used < limit)
    }

    /// Charges a guest for time that it, or Weir on its behalf, has used.
    pub fn charge(&mut self, guest: usize, ran: Duration) {
        let Some(entry) = self.entries.get_mut(guest) else { return };
        let nanos = u64::try_from(ran.as_nanos()).unwrap_or(u64::MAX);
        entry.used = entry.used.saturating_add(nanos.saturating_mul(entry.rate) >> FRACTION);
        let used = entry.used;
        let least = self.entries.iter().filter(|entry| entry.runnable).map(|entry| entry.used).min();
        self.clock = self.clock.max(least.unwrap_or(used));
    }

    fn others(&self, guest: usize) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter().enumerate();
        entries.filter(move |(other, entry)| *other != guest && entry.runnable).map(|(_, entry)| entry)
    }
}

fn rate(shares: u32) -> u64 {
    (u64::from(STANDARD_SHARES) << FRACTION) / u64::from(shares.max(1))
}
