//! The only clock: the time-stamp counter, measured at boot against the ACPI PM timer.
//!
//! CPUID leaves 15h and 16h are ignored: emulators report the processor model's frequency, not the machine's.

use crate::processor::cpu;
use base::Instant;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::instructions::port::Port;

/// Ticks of the ACPI PM timer per second [ACPI 6.5 4.8.2.1].
const PM_TIMER_HZ: u64 = 3_579_545;
/// Length of the measurement in ticks of the PM timer: 50 ms.
const SPAN: u64 = PM_TIMER_HZ / 20;
/// The PM timer has at least 24 bits.
const PM_TIMER_MASK: u32 = 0x00ff_ffff;
/// Reads after which a PM timer is taken to be stuck.
const PM_TIMER_TIMEOUT: u64 = 50_000_000;

static HZ: AtomicU64 = AtomicU64::new(0);
static ORIGIN: AtomicU64 = AtomicU64::new(0);
/// Nanoseconds per tick as a 32.32 fixed-point number, so that the exit path needs no division.
static NANOS_PER_TICK: AtomicU64 = AtomicU64::new(0);

/// Why there is no clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The PM timer does not count.
    #[error(
        "the ACPI PM timer at I/O port {port:#x} does not count: Weir has nothing to measure the TSC with"
    )]
    PmTimerStuck {
        /// Its I/O port.
        port: u16,
    },
}

/// Measures the time-stamp counter and starts the clock at zero.
///
/// # Errors
/// [`ClockError::PmTimerStuck`].
pub fn calibrate(pm_timer: u16) -> Result<u64, ClockError> {
    let mut port = Port::<u32>::new(pm_timer);
    // SAFETY: the FADT names this port as the PM timer, which has no read side effects.
    let mut read = || unsafe { port.read() } & PM_TIMER_MASK;
    let stuck = ClockError::PmTimerStuck { port: pm_timer };
    // Start at the beginning of a tick.
    let first = read();
    let mut start = first;
    let mut reads_left = PM_TIMER_TIMEOUT;
    while start == first {
        start = read();
        reads_left = reads_left.checked_sub(1).ok_or(stuck)?;
    }
    let tsc_start = cpu::rdtsc();
    let mut elapsed = 0;
    while elapsed < SPAN {
        elapsed = u64::from(read().wrapping_sub(start) & PM_TIMER_MASK);
        reads_left = reads_left.checked_sub(1).ok_or(stuck)?;
    }
    let ticks = cpu::rdtsc() - tsc_start;
    let hz = saturated(u128::from(ticks) * u128::from(PM_TIMER_HZ) / u128::from(elapsed));
    HZ.store(hz, Ordering::Relaxed);
    NANOS_PER_TICK.store(saturated((1_000_000_000u128 << 32) / u128::from(hz)), Ordering::Relaxed);
    ORIGIN.store(cpu::rdtsc(), Ordering::Relaxed);
    Ok(hz)
}

/// Time since the clock was calibrated; zero before.
#[expect(clippy::cast_possible_truncation, reason = "64 bits of nanoseconds last for 584 years")]
pub fn now() -> Instant {
    if hz() == 0 {
        return Instant::ZERO;
    }
    let ticks = cpu::rdtsc().wrapping_sub(origin());
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
