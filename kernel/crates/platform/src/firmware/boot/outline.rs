//! A guest's memory without the memory: where there is some, and where not.

use crate::layout::MemoryLayout;
use base::{GuestMemory, GuestPhysical, MemoryError};

/// Memory that forgets what is written to it.
pub(super) struct Outline(MemoryLayout);

impl Outline {
    /// The memory of a guest with `memory_bytes`.
    pub(super) fn new(memory_bytes: u64) -> Self {
        Self(MemoryLayout::new(memory_bytes))
    }
}

impl GuestMemory for Outline {
    /// Reads nothing: the loader only writes.
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        self.write(at, into)
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        let end = at.0.checked_add(from.len() as u64);
        let holds = |end: u64| self.0.ram().iter().any(|ram| ram.start <= at.0 && end <= ram.end);
        if end.is_some_and(holds) { Ok(()) } else { Err(MemoryError::Outside { at, length: from.len() }) }
    }
}
