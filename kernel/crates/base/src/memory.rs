//! Guest memory, reached by copy only: a guest or a device may change it at any moment, so no Rust
//! reference into it ever exists.

use crate::GuestPhysical;

/// Why guest memory could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Some of the range is not memory of this guest; nothing was copied.
    #[error("{length} bytes at guest address {at} are not memory of this guest")]
    Outside {
        /// Where the range begins.
        at: GuestPhysical,
        /// Its length in bytes.
        length: usize,
    },
}

/// The memory of one guest.
///
/// Implementations check the whole range before they copy the first byte. A naturally aligned copy of
/// 1, 2, 4 or 8 bytes is a single access, and copies become visible to other processors and to devices in
/// the order they are made: descriptor write-back relies on both.
pub trait GuestMemory {
    /// Copies out of guest memory.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] when some of the range is not memory of this guest.
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError>;

    /// Copies into guest memory.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] when some of the range is not memory of this guest.
    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError>;
}

impl<M: GuestMemory + ?Sized> GuestMemory for &M {
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        (**self).read(at, into)
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        (**self).write(at, from)
    }
}
