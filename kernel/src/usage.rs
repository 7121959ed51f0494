//! Where the machine's time goes, in ticks of the time-stamp counter: before the first guest, in guests, idle, and
//! in Weir.
//!
//! `make bench` reads them in an emulator whose counter advances by one per instruction. Each core adds its ticks
//! at the end of a guest's turn, so this costs the exit path nothing.

use crate::hardware::interrupt::pending;
use crate::processor::{cores, cpu};
use core::sync::atomic::{AtomicU64, Ordering};

/// The time-stamp counter at Weir's first instruction.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// The time-stamp counter at the first turn of the first guest; zero before.
static FIRST_TURN: AtomicU64 = AtomicU64::new(0);
/// Ticks in guests, on all cores.
static GUESTS: AtomicU64 = AtomicU64::new(0);
/// Ticks of idle time, on all cores.
static IDLE: AtomicU64 = AtomicU64::new(0);

/// Notes the start of Weir.
pub fn begin() {
    BEGAN.store(cpu::rdtsc(), Ordering::Relaxed);
}

/// Notes the start of a guest's turn.
pub fn note_turn() {
    if FIRST_TURN.load(Ordering::Relaxed) == 0 {
        FIRST_TURN.store(cpu::rdtsc(), Ordering::Relaxed);
    }
}

/// Adds ticks that a guest has executed for.
pub fn add_guests(ticks: u64) {
    GUESTS.fetch_add(ticks, Ordering::Relaxed);
}

/// Calls `wait`, whose time counts as idle.
pub fn idle(wait: impl FnOnce()) {
    let from = cpu::rdtsc();
    wait();
    IDLE.fetch_add(cpu::rdtsc().wrapping_sub(from), Ordering::Relaxed);
}

/// Logs the ticks so far; from the first guest on, they are the sum over all cores.
pub fn log_statistics() {
    let [began, first, guests, idle] =
        [&BEGAN, &FIRST_TURN, &GUESTS, &IDLE].map(|ticks| ticks.load(Ordering::Relaxed));
    // Without a guest that ran, all of the time was before the first one.
    let first = if first == 0 { cpu::rdtsc() } else { first };
    let since = cpu::rdtsc().wrapping_sub(first).wrapping_mul(cores::count() as u64);
    log::info!(
        "TSC ticks: {began} before Weir, {} until the first guest, then {guests} in guests, {idle} idle, {} in Weir",
        first.wrapping_sub(began),
        since.wrapping_sub(guests).wrapping_sub(idle)
    );
    log::info!("interrupts taken: {}", pending::received());
}
