//! Breaks Weir on purpose, where the configuration asks for it, so that the report of its own end can be tested.
//!
//! Nothing but the configuration can ask, and nothing happens before the last guest has stopped.

use config::SelfTest;
use core::arch::asm;
use spin::Once;

/// What the exception leaves in R12, for the test to find among the registers.
const MARK: u64 = 0x5e1f_7e57_0000_0012;

static WANTED: Once<SelfTest> = Once::new();

/// Remembers what the configuration asks for.
pub fn prepare(wanted: Option<SelfTest>) {
    if let Some(wanted) = wanted {
        WANTED.call_once(|| wanted);
    }
}

/// Breaks Weir, if that is wanted.
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
