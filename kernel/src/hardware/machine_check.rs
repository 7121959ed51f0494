//! Machine checks: read and cleared where they arrive, reported from the main loop or by the panic.

use crate::processor::cores::{PerCore, per_core};
use crate::processor::cpu::ThisProcessor;
use core::sync::atomic::{AtomicBool, Ordering};
use silicon::machine_check::{Consequence, Interrupted, MachineCheck};
use spin::Mutex;

/// The last one of each core, and whether the main loop has yet to report it.
static LAST: PerCore<Mutex<Option<MachineCheck>>> = per_core!(Mutex::new(None));
static UNREPORTED: PerCore<AtomicBool> = per_core!(AtomicBool::new(false));

/// Takes the machine check that has just arrived, in its handler or after an exit: who can go on?
pub fn take(interrupted: Interrupted) -> Consequence {
    let check = MachineCheck::take(&ThisProcessor, interrupted);
    let verdict = check.verdict;
    // It may have interrupted the report of another one, which then is the one that is kept. A processor that sleeps
    // shares the boot core's place, and interrupts no report: of two, the worse one is kept.
    let parked = interrupted == Interrupted::Parked;
    let last = if parked { Some(LAST.here().lock()) } else { LAST.here().try_lock() };
    if let Some(mut last) = last
        && last.as_ref().is_none_or(|last| last.verdict <= verdict)
    {
        *last = Some(check);
    }
    UNREPORTED.here().store(true, Ordering::Relaxed);
    verdict
}

/// The last machine check of this core, if the main loop has not reported it.
pub fn unreported() -> Option<MachineCheck> {
    let unreported = UNREPORTED.here();
    if !unreported.load(Ordering::Relaxed) {
        return None;
    }
    unreported.store(false, Ordering::Relaxed);
    LAST.here().try_lock().and_then(|mut last| last.take())
}
