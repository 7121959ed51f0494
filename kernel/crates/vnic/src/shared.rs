//! What both halves of a vNIC use without a lock.
//!
//! The register half writes what its guest writes, the data half what frames do; either may look at any time. Where each
//! tells the other something and looks at the other's answer, both accesses are sequentially consistent, so that one of them
//! sees the other's.

use crate::fault::RingKind;
use base::{Effects, Instant};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use intel_regs::Interrupt;

/// No timer runs.
const NEVER: u64 = u64::MAX;

/// State of a vNIC that needs no lock.
#[derive(Default)]
pub(crate) struct SharedState {
    /// `ICR`.
    causes: AtomicU32,
    /// `IMS`.
    mask: AtomicU32,
    /// `STATUS`.
    pub(crate) status: AtomicU32,
    rings: [SharedRing; 2],
    /// Frames wait for receive descriptors.
    starving: AtomicBool,
    /// When a delayed cause is due, in nanoseconds.
    due: AtomicU64,
    /// [`Effects`] of the data half that nobody has taken.
    effects: AtomicU32,
    /// Faults of the guest wait in the data half.
    faulty: AtomicBool,
}

/// What concerns one ring.
#[derive(Default)]
struct SharedRing {
    /// `RDT` or `TDT`.
    tail: AtomicU32,
    /// Its descriptors, while its unit is enabled; else 0. A tail below that needs no closer look.
    length: AtomicU32,
}

impl SharedState {
    /// Sets causes. True if that makes an interrupt pending that was not.
    pub(crate) fn raise(&self, causes: u32) -> bool {
        let before = self.causes.fetch_or(causes, Ordering::SeqCst);
        let mask = self.mask.load(Ordering::SeqCst);
        before & mask == 0 && causes & mask != 0
    }

    /// The causes.
    pub(crate) fn causes(&self) -> u32 {
        self.causes.load(Ordering::SeqCst)
    }

    /// The causes, which it clears.
    pub(crate) fn take_causes(&self) -> u32 {
        self.causes.swap(0, Ordering::SeqCst)
    }

    /// Sets causes by their bits, as software does.
    pub(crate) fn force(&self, causes: u32) {
        self.causes.fetch_or(causes & Interrupt::WRITABLE, Ordering::SeqCst);
    }

    /// Clears these causes.
    pub(crate) fn clear(&self, causes: u32) {
        self.causes.fetch_and(!causes, Ordering::SeqCst);
    }

    /// The causes that interrupt.
    pub(crate) fn mask(&self) -> u32 {
        self.mask.load(Ordering::Relaxed)
    }

    /// Lets these causes interrupt.
    pub(crate) fn enable(&self, causes: u32) {
        self.mask.fetch_or(causes & Interrupt::WRITABLE, Ordering::SeqCst);
    }

    /// Keeps these causes from interrupting.
    pub(crate) fn disable(&self, causes: u32) {
        self.mask.fetch_and(!causes, Ordering::SeqCst);
    }

    /// No cause, and none that may interrupt.
    pub(crate) fn reset_interrupts(&self) {
        self.mask.store(0, Ordering::SeqCst);
        self.causes.store(0, Ordering::SeqCst);
    }

    /// True when a cause is set that may interrupt.
    pub(crate) fn is_pending(&self) -> bool {
        self.causes() & self.mask() != 0
    }

    /// The tail of a ring.
    pub(crate) fn tail(&self, kind: RingKind) -> u32 {
        self.ring(kind).tail.load(Ordering::SeqCst)
    }

    /// Sets the tail of a ring. What the guest wrote before it is visible to whoever sees it.
    pub(crate) fn set_tail(&self, kind: RingKind, tail: u32) {
        self.ring(kind).tail.store(tail, Ordering::SeqCst);
    }

    /// True for a tail in a ring whose unit is enabled.
    pub(crate) fn admits(&self, kind: RingKind, tail: u32) -> bool {
        tail < self.ring(kind).length.load(Ordering::Relaxed)
    }

    /// Sets the length of a ring, or 0 while its unit is disabled.
    pub(crate) fn set_length(&self, kind: RingKind, length: u32) {
        self.ring(kind).length.store(length, Ordering::Relaxed);
    }

    fn ring(&self, kind: RingKind) -> &SharedRing {
        &self.rings[kind as usize]
    }

    /// Notes whether frames wait for receive descriptors.
    pub(crate) fn set_starving(&self, starving: bool) {
        // Mostly none do, and none did.
        if starving || self.starving.load(Ordering::Relaxed) {
            self.starving.store(starving, Ordering::SeqCst);
        }
    }

    /// True when frames wait for receive descriptors.
    pub(crate) fn is_starving(&self) -> bool {
        self.starving.load(Ordering::SeqCst)
    }

    /// True when frames wait for receive descriptors and nobody has been told of new ones since.
    pub(crate) fn take_starving(&self) -> bool {
        self.starving.load(Ordering::SeqCst) && self.starving.swap(false, Ordering::SeqCst)
    }

    /// Sets when a delayed cause is due; true if that changes.
    pub(crate) fn set_due(&self, due: Option<Instant>) -> bool {
        let due = due.map_or(NEVER, Instant::as_nanos);
        let changed = self.due.load(Ordering::Relaxed) != due;
        if changed {
            self.due.store(due, Ordering::SeqCst);
        }
        changed
    }

    /// When a delayed cause is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        let due = self.due.load(Ordering::SeqCst);
        (due != NEVER).then_some(Instant(due))
    }

    /// Adds effects for whoever takes them; true if some of them were not there before.
    pub(crate) fn add_effects(&self, effects: Effects) -> bool {
        !effects.is_empty()
            && self.effects.fetch_or(effects.bits(), Ordering::SeqCst) & effects.bits() != effects.bits()
    }

    /// Returns the effects that were added, and clears them.
    pub(crate) fn take_effects(&self) -> Effects {
        // Mostly there are none.
        match self.effects.load(Ordering::SeqCst) {
            0 => Effects::empty(),
            _ => Effects::from_bits_retain(self.effects.swap(0, Ordering::SeqCst)),
        }
    }

    /// Says that faults wait.
    pub(crate) fn set_faulty(&self) {
        self.faulty.store(true, Ordering::SeqCst);
    }

    /// True if faults wait that nobody was told of.
    pub(crate) fn take_faulty(&self) -> bool {
        self.faulty.load(Ordering::SeqCst) && self.faulty.swap(false, Ordering::SeqCst)
    }
}
