//! Breaks Weir on purpose if the configuration says so, so that the report of its own end can be tested.
//!
//! Only the configuration can trigger this, and only after the last guest has stopped.

use config::SelfTest;
use core::arch::asm;
use spin::Once;

/// The value of R12 at the exception, which the test looks for in the report.
const MARK: u64 = 0x5e1f_7e57_0000_0012;

static WANTED: Once<SelfTest> = Once::new();

/// Keeps the setting of the configuration.
pub fn prepare(wanted: Option<SelfTest>) {
    if let Some(wanted) = wanted {
        WANTED.call_once(|| wanted);
    }
}

/// Breaks Weir, if the configuration says so.
#[inline(never)]
pub fn run() {
    match WANTED.get() {
        None => {}
        Some(SelfTest::Panic) => broken_invariant(),
        Some(SelfTest::Exception) => exception(),
    }
}

#[inline(never)]
fn broken_invariant() {
    panic!("the configuration asks for a panic");
}

#[inline(never)]
fn exception() {
    // SAFETY: #UD goes to its gate, which reports it and does not come back.
    unsafe { asm!("ud2", in("r12") MARK, options(nomem, nostack)) }
}
