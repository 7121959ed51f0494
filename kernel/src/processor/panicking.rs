//! Which core is panicking, if any. The first core to panic reports; all others halt.

use super::{cores, cpu};
use core::sync::atomic::{AtomicUsize, Ordering};

/// The number of the panicking core plus one; zero while none panics.
static PANICKING: AtomicUsize = AtomicUsize::new(0);

/// Makes this core the panicking one. Returns false if another core, or this core itself, is panicking already.
pub fn claim() -> bool {
    let me = cores::current() + 1;
    PANICKING.compare_exchange(0, me, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// Halts this core if another one is panicking.
pub fn halt_if_elsewhere() {
    let panicking = PANICKING.load(Ordering::Acquire);
    if panicking != 0 && panicking != cores::current() + 1 {
        cpu::halt_forever();
    }
}
