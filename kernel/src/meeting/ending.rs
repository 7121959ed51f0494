//! The end of Weir: the boot core begins it, the other cores follow, and the boot core waits for them.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How Weir ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The last guest has ended by itself.
    AllStopped,
    /// The operator has asked for power-off.
    PowerOff,
    /// The operator has asked for a reset.
    Reboot,
}

/// The boot core has begun the end.
static BEGUN: AtomicBool = AtomicBool::new(false);
/// Other cores that have followed.
static FOLLOWED: AtomicUsize = AtomicUsize::new(0);

/// For the boot core: begins the end.
pub fn begin() {
    BEGUN.store(true, Ordering::Release);
}

/// True once the boot core has begun the end.
pub fn has_begun() -> bool {
    BEGUN.load(Ordering::Acquire)
}

/// For another core: it has run its last guest and logged its statistics.
pub fn follow() {
    FOLLOWED.fetch_add(1, Ordering::Release);
}

/// How many cores have followed.
pub fn followed() -> usize {
    FOLLOWED.load(Ordering::Acquire)
}
