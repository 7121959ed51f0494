//! Machine checks: read and cleared where they arrive, reported from the main loop or by the panic.

use crate::processor::cores::{PerCore, per_core};
use crate::processor::cpu;
use core::sync::atomic::{AtomicBool, Ordering};
use silicon::machine_check::{BankAccess, MachineCheck, Verdict};
use spin::Mutex;

/// The last one of each core, and whether the main loop has yet to report it.
static LAST: PerCore<Mutex<Option<MachineCheck>>> = per_core!(Mutex::new(None));
static UNREPORTED: PerCore<AtomicBool> = per_core!(AtomicBool::new(false));

struct Banks;

impl BankAccess for Banks {
    fn rdmsr(&self, msr: u32) -> u64 {
        cpu::rdmsr(msr)
    }

    fn clear(&self, msr: u32) {
        // SAFETY: zero is what software may write to a status register of the machine-check architecture.
        unsafe { cpu::wrmsr(msr, 0) }
    }
}

/// Takes the machine check that has just arrived, in its handler or after an exit: who can go on?
pub fn take() -> Verdict {
    let check = MachineCheck::take(&Banks);
    let verdict = check.verdict;
    // It may have interrupted the report of another one, which then is the one that is kept.
    if let Some(mut last) = LAST.here().try_lock() {
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
