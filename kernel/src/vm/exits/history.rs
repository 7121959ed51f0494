//! The last exits of each guest, kept for reports.

use crate::virt::exit::Exit;
use base::Instant;
use core::fmt;
use spin::Mutex;

/// Exits remembered per guest.
const DEPTH: usize = 16;
/// Guests whose exits are remembered.
const GUESTS: usize = 16;

#[derive(Clone, Copy)]
struct ExitRecord {
    now: Instant,
    rip: u64,
    exit: Exit,
}

struct ExitHistory {
    records: [Option<ExitRecord>; DEPTH],
    next: usize,
}

/// One lock for each guest, which only its own core waits for: a report tries it.
static HISTORY: [Mutex<ExitHistory>; GUESTS] =
    [const { Mutex::new(ExitHistory { records: [None; DEPTH], next: 0 }) }; GUESTS];

/// Remembers an exit.
pub(super) fn record(guest: usize, now: Instant, rip: u64, exit: Exit) {
    if let Some(mut ring) = HISTORY.get(guest).map(Mutex::lock) {
        let ring = &mut *ring;
        ring.records[ring.next % DEPTH] = Some(ExitRecord { now, rip, exit });
        ring.next = ring.next.wrapping_add(1);
    }
}

/// The last exits of one guest, oldest first.
pub fn for_each_of(guest: usize, mut say: impl FnMut(fmt::Arguments)) {
    // A panic may have happened while the lock was held; its report then lacks the history of this guest.
    let Some(ring) = HISTORY.get(guest).and_then(Mutex::try_lock) else { return };
    for offset in 0..DEPTH {
        if let Some(record) = &ring.records[(ring.next + offset) % DEPTH] {
            say(format_args!("{} rip {:#x} {:x?}", record.now, record.rip, record.exit));
        }
    }
}

/// The last exits of all guests.
pub fn for_each_recent(mut say: impl FnMut(fmt::Arguments)) {
    for guest in 0..GUESTS {
        for_each_of(guest, |text| say(format_args!("guest {guest} {text}")));
    }
}
