//! Where the machine's time goes, in ticks of the time-stamp counter: what comes before the first guest, guests,
//! waiting, and Weir.
//!
//! Counted in an emulator whose counter advances by one an instruction, these are the figures of `make bench`. On
//! the exit path nothing is added to what each guest counts anyway.

use crate::hardware::cpu;
use core::sync::atomic::{AtomicU64, Ordering};

/// Weir's first instruction.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// The first turn of the first guest; zero before.
static FIRST_TURN: AtomicU64 = AtomicU64::new(0);
/// Waiting for an interrupt, in all.
static IDLE: AtomicU64 = AtomicU64::new(0);

/// Weir begins.
pub fn begin() {
    BEGAN.store(cpu::rdtsc(), Ordering::Relaxed);
}

/// A guest has its turn.
pub fn note_turn() {
    if FIRST_TURN.load(Ordering::Relaxed) == 0 {
        FIRST_TURN.store(cpu::rdtsc(), Ordering::Relaxed);
    }
}

/// Calls `wait`, whose time counts as idle.
pub fn idle(wait: impl FnOnce()) {
    let from = cpu::rdtsc();
    wait();
    IDLE.fetch_add(cpu::rdtsc().wrapping_sub(from), Ordering::Relaxed);
}

/// Says how much it was so far, of which `guests` in guests.
pub fn log_statistics(guests: u64) {
    let [began, first, idle] = [&BEGAN, &FIRST_TURN, &IDLE].map(|ticks| ticks.load(Ordering::Relaxed));
    let since = cpu::rdtsc().wrapping_sub(first);
    log::info!(
        "TSC ticks: {began} before Weir, {} until the first guest, then {guests} in guests, {idle} idle, {} in Weir",
        first.wrapping_sub(began),
        since.wrapping_sub(guests).wrapping_sub(idle)
    );
}
