//! Where the machine's time goes, in ticks of the time-stamp counter: before the first guest, in guests, idle, and
//! in Weir.
//!
//! `make bench` reads them in an emulator whose counter advances by one per instruction. Each core adds its ticks
//! at the end of a guest's turn, so this costs the exit path nothing.

use crate::hardware::interrupt::pending;
use crate::processor::{cores, cpu};
use core::sync::atomic::{AtomicU64, Ordering};
use schedule::usage::{Usage, idle_since};

/// The time-stamp counter at Weir's first instruction.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// The time-stamp counter at the first turn of the first guest; zero before.
static FIRST_TURN: AtomicU64 = AtomicU64::new(0);
/// Ticks in guests, on all cores.
static GUESTS: AtomicU64 = AtomicU64::new(0);
/// Ticks of idle time since the first turn, on all cores.
static IDLE: AtomicU64 = AtomicU64::new(0);

/// Notes the start of Weir.
pub fn begin() {
    BEGAN.store(cpu::rdtsc(), Ordering::Relaxed);
}

/// Notes the start of a guest's turn.
pub fn note_turn() {
    if first_turn().is_none() {
        let _ = FIRST_TURN.compare_exchange(0, cpu::rdtsc(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

fn first_turn() -> Option<u64> {
    Some(FIRST_TURN.load(Ordering::Relaxed)).filter(|first| *first != 0)
}

/// Adds ticks that a guest has executed for.
pub fn add_guests(ticks: u64) {
    GUESTS.fetch_add(ticks, Ordering::Relaxed);
}

/// Calls `wait`, whose time counts as idle.
pub fn idle(wait: impl FnOnce()) {
    let from = cpu::rdtsc();
    wait();
    IDLE.fetch_add(idle_since(first_turn(), from, cpu::rdtsc()), Ordering::Relaxed);
}

/// Logs the ticks so far; from the first guest on, they are the sum over all cores.
pub fn log_statistics() {
    let [began, guests, idle] = [&BEGAN, &GUESTS, &IDLE].map(|ticks| ticks.load(Ordering::Relaxed));
    let usage = Usage { began, first_turn: first_turn(), guests, idle };
    let now = cpu::rdtsc();
    log::info!(
        "TSC ticks: {began} before Weir, {} until the first guest, then {guests} in guests, {idle} idle, {} in Weir",
        usage.before_guests(now),
        usage.in_weir(now, cores::count() as u64)
    );
    log::info!("interrupts taken: {}", pending::received());
}
