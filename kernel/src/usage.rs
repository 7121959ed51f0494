//! Where the machine's time goes, in ticks of the time-stamp counter: what comes before the first guest, guests,
//! waiting, and Weir.
//!
//! Counted in an emulator whose counter advances by one an instruction, these are the figures of `make bench`. Each
//! core adds what it has at the end of a guest's turn, so that the exit path pays for nothing here.

use crate::hardware::interrupt::pending;
use crate::processor::{cores, cpu};
use core::sync::atomic::{AtomicU64, Ordering};

/// Weir's first instruction.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// The first turn of the first guest; zero before.
static FIRST_TURN: AtomicU64 = AtomicU64::new(0);
/// In guests, on all cores.
static GUESTS: AtomicU64 = AtomicU64::new(0);
/// Waiting for an interrupt, on all cores.
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

/// A guest has used so many ticks of its turn itself.
pub fn add_guests(ticks: u64) {
    GUESTS.fetch_add(ticks, Ordering::Relaxed);
}

/// Calls `wait`, whose time counts as idle.
pub fn idle(wait: impl FnOnce()) {
    let from = cpu::rdtsc();
    wait();
    IDLE.fetch_add(cpu::rdtsc().wrapping_sub(from), Ordering::Relaxed);
}

/// Says how much it was so far, that of all cores together from the first guest on.
pub fn log_statistics() {
    let [began, first, guests, idle] =
        [&BEGAN, &FIRST_TURN, &GUESTS, &IDLE].map(|ticks| ticks.load(Ordering::Relaxed));
    let since = cpu::rdtsc().wrapping_sub(first).wrapping_mul(cores::count() as u64);
    log::info!(
        "TSC ticks: {began} before Weir, {} until the first guest, then {guests} in guests, {idle} idle, {} in Weir",
        first.wrapping_sub(began),
        since.wrapping_sub(guests).wrapping_sub(idle)
    );
    log::info!("interrupts taken: {}", pending::received());
}
