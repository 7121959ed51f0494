//! Why the processor cannot host guests.

use core::fmt;

/// Why the processor cannot host guests, or not this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VirtError {
    /// A feature is absent or switched off.
    #[error("{feature} is missing: {remedy}")]
    Missing {
        /// The feature by its manual name.
        feature: &'static str,
        /// What to do about it.
        remedy: &'static str,
    },
    /// A control that Weir needs cannot be set.
    #[error(
        "the processor cannot set {wanted:#x} in the {controls} controls (allowed: {allowed:#x}): it is too old for Weir"
    )]
    Control {
        /// Which set of controls.
        controls: &'static str,
        /// The needed bits that cannot be set.
        wanted: u32,
        /// The bits that the capability MSR allows.
        allowed: u32,
    },
    /// The processor has no identifier (ASID) left for another virtual processor's translations.
    #[error("the processor supports at most {0} guests: configure fewer")]
    TooManyGuests(u32),
    /// A virtualization instruction failed.
    #[error("{instruction} failed{}", ErrorNumber(*error))]
    Instruction {
        /// Name of the instruction.
        instruction: &'static str,
        /// VM-instruction error [SDM3C 31.4]; zero when there is none.
        error: u32,
    },
    /// The machine is out of memory.
    #[error(transparent)]
    Memory(#[from] crate::memory::PageFrameError),
}

/// The suffix of the message that names the VM-instruction error.
struct ErrorNumber(u32);

impl fmt::Display for ErrorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " with VM-instruction error {}", self.0) }
    }
}
