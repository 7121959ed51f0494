//! The only clock: the time-stamp counter. `hardware/timers.rs` finds out how fast it is.

use crate::processor::cpu;
use base::Instant;
use core::sync::atomic::{AtomicU64, Ordering};

static HZ: AtomicU64 = AtomicU64::new(0);
static ORIGIN: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds per tick as a 32.32 fixed-point number, so that the exit path needs no division.
static NANOS_PER_TICK: AtomicU64 = AtomicU64::new(0);

/// Starts the clock at zero, with a time-stamp counter of `hz` ticks per second.
pub fn start(hz: u64) {
    HZ.store(hz, Ordering::Relaxed);
    NANOS_PER_TICK.store(saturated((1_000_000_000u128 << 32) / u128::from(hz.max(1))), Ordering::Relaxed);
    ORIGIN.store(cpu::rdtsc(), Ordering::Relaxed);
}

/// Time since the clock was started; zero before.
pub fn now() -> Instant {
    at(cpu::rdtsc())
}

/// The time when the time-stamp counter had this value; zero before the clock was started.
#[expect(clippy::cast_possible_truncation, reason = "64 bits of nanoseconds last for 584 years")]
pub fn at(tsc: u64) -> Instant {
    if hz() == 0 {
        return Instant::ZERO;
    }
    let ticks = tsc.wrapping_sub(origin());
    Instant(((u128::from(ticks) * u128::from(NANOS_PER_TICK.load(Ordering::Relaxed))) >> 32) as u64)
}

/// Ticks of the time-stamp counter per second.
pub fn hz() -> u64 {
    HZ.load(Ordering::Relaxed)
}

/// The time-stamp counter at instant zero.
pub fn origin() -> u64 {
    ORIGIN.load(Ordering::Relaxed)
}

/// Ticks of the time-stamp counter from instant zero to `now`.
#[expect(clippy::cast_possible_truncation, reason = "the time-stamp counter itself has 64 bits")]
pub fn ticks_at(now: Instant) -> u64 {
    (u128::from(now.as_nanos()) * u128::from(hz()) / 1_000_000_000) as u64
}

/// Ticks of the time-stamp counter in `nanos`, rounded up; saturates.
pub fn ticks(nanos: u64) -> u64 {
    // A guest's run fits, and needs no 128-bit division, which is a loop in software.
    match nanos.checked_mul(hz()) {
        Some(product) => product / 1_000_000_000 + 1,
        None => saturated(u128::from(nanos) * u128::from(hz()) / 1_000_000_000 + 1),
    }
}

fn saturated(value: u128) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}
