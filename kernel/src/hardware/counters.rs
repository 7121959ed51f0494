//! Comparing and correcting the time-stamp counter of a core that starts.

use super::startup::{CORE_START_TIMEOUT, wait};
use crate::processor::{clock, cpu};
use core::sync::atomic::{AtomicU64, Ordering};
use machine::counters::CounterOffset;
use raw_cpuid::CpuId;

/// Rounds of comparing time-stamp counters.
const ROUNDS: u64 = 16;
/// A smaller difference between two counters does not matter: a message to another core takes longer.
const TOLERANCE_NANOS: u64 = 1000;

const IA32_TSC: u32 = 0x10;
const IA32_TSC_ADJUST: u32 = 0x3b;

/// For comparing time-stamp counters: the round or a request, the other core's counter, and what it must add to it.
static ROUND: AtomicU64 = AtomicU64::new(0);
static ANSWER: AtomicU64 = AtomicU64::new(0);
static CORRECTION: AtomicU64 = AtomicU64::new(0);
/// Requests in place of a round: go on, correct the counter, halt.
const GO_ON: u64 = u64::MAX;
const CORRECT: u64 = u64::MAX - 1;
const HALT: u64 = u64::MAX - 2;

/// Prepares for another core.
pub fn prepare() {
    ROUND.store(0, Ordering::Relaxed);
    ANSWER.store(0, Ordering::Relaxed);
}

/// Compares the time-stamp counter of a core that is in [`answer`] with this core's, and has it corrected if it
/// differs. All timekeeping in Weir relies on their being equal.
///
/// # Errors
/// By how many ticks it still differs. The other core halts.
pub fn compare(id: u32) -> Result<(), i64> {
    let tolerance = clock::ticks(TOLERANCE_NANOS);
    let mut offset = rounds(1);
    if let Some(correction) = offset.correction(tolerance) {
        CORRECTION.store(correction.cast_unsigned(), Ordering::Relaxed);
        ROUND.store(CORRECT, Ordering::Release);
        wait(CORE_START_TIMEOUT, || ANSWER.swap(0, Ordering::AcqRel) != 0);
        let before = offset.ticks();
        offset = rounds(ROUNDS + 1);
        log::warn!(
            "the time-stamp counter of processor {id} was {before} ticks off; corrected, {} ticks are left",
            offset.ticks()
        );
    }
    let agrees = offset.correction(tolerance).is_none();
    ROUND.store(if agrees { GO_ON } else { HALT }, Ordering::Release);
    if agrees { Ok(()) } else { Err(offset.ticks()) }
}

/// Some rounds of comparing, with numbers from `first` on.
fn rounds(first: u64) -> CounterOffset {
    let mut offset = CounterOffset::default();
    for round in first..first + ROUNDS {
        let before = cpu::rdtsc();
        ROUND.store(round, Ordering::Release);
        let answer = || ANSWER.load(Ordering::Acquire);
        if !wait(CORE_START_TIMEOUT, || answer() != 0) {
            break;
        }
        let (other, after) = (ANSWER.swap(0, Ordering::AcqRel), cpu::rdtsc());
        // The other core has read its counter between these two readings.
        offset.note(before, other, after);
    }
    offset
}

/// The other side of [`compare`]. Returns false if this core must halt, since its counter differs.
pub fn answer() -> bool {
    let mut last = 0;
    loop {
        let round = ROUND.load(Ordering::Acquire);
        match round {
            GO_ON => return true,
            HALT => return false,
            _ if round == last => core::hint::spin_loop(),
            CORRECT => {
                correct_counter(CORRECTION.load(Ordering::Relaxed));
                ANSWER.store(1, Ordering::Release);
            }
            0 => {}
            _ => ANSWER.store(cpu::rdtsc(), Ordering::Release),
        }
        last = round;
    }
}

/// Adds `ticks`, which may stand for a negative number, to this core's time-stamp counter: by the register that is made
/// for that, so that a change of the counter while it is read cannot be lost [SDM3B 18.17.3].
fn correct_counter(ticks: u64) {
    let has_adjust =
        CpuId::new().get_extended_feature_info().is_some_and(|features| features.has_tsc_adjust_msr());
    // SAFETY: the clock is the counter that this makes equal to the boot core's.
    unsafe {
        if has_adjust {
            cpu::wrmsr(IA32_TSC_ADJUST, cpu::rdmsr(IA32_TSC_ADJUST).wrapping_add(ticks));
        } else {
            cpu::wrmsr(IA32_TSC, cpu::rdtsc().wrapping_add(ticks));
        }
    }
}
