//! Guest memory, which is accessed by copy only: a guest or a device may change it at any moment, so no Rust
//! reference into it ever exists.

use crate::{GuestPhysical, Memory, Span};

/// Why guest memory could not be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// At least part of the range is not memory of this guest. Nothing was copied.
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
/// program order: descriptor write-back relies on both.
///
/// A NIC model reads a descriptor from memory that a test keeps in a vector:
///
/// ```
/// use base::{GuestMemory, GuestPhysical, MemoryError};
/// use std::cell::RefCell;
///
/// struct Flat(RefCell<Vec<u8>>);
///
/// impl GuestMemory for Flat {
///     fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
///         let (start, length) = (at.0 as usize, into.len());
///         let memory = self.0.borrow();
///         let from = memory.get(start..start + length).ok_or(MemoryError::Outside { at, length })?;
///         into.copy_from_slice(from);
///         Ok(())
///     }
///
///     fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
///         let (start, length) = (at.0 as usize, from.len());
///         let mut memory = self.0.borrow_mut();
///         let into = memory.get_mut(start..start + length).ok_or(MemoryError::Outside { at, length })?;
///         into.copy_from_slice(from);
///         Ok(())
///     }
/// }
///
/// /// The length field of a legacy transmit descriptor [8254x 3.3.3].
/// fn length(memory: &impl GuestMemory, descriptor: GuestPhysical) -> Result<u16, MemoryError> {
///     let mut bytes = [0; 16];
///     memory.read(descriptor, &mut bytes)?;
///     Ok(u16::from_le_bytes([bytes[8], bytes[9]]))
/// }
///
/// let memory = Flat(RefCell::new(vec![0; 4096]));
/// memory.write(GuestPhysical(0x108), &1514_u16.to_le_bytes())?;
/// assert_eq!(length(&memory, GuestPhysical(0x100)), Ok(1514));
/// let beyond = GuestPhysical(0xff8);
/// assert_eq!(length(&memory, beyond), Err(MemoryError::Outside { at: beyond, length: 16 }));
/// # Ok::<(), MemoryError>(())
/// ```
pub trait GuestMemory {
    /// Fills `into` from guest memory, beginning at `at`.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] when part of the range is not memory of this guest.
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError>;

    /// Reads eight bytes: an entry of a page table, of which an exit may need nine.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    fn read_qword(&self, at: GuestPhysical) -> Result<u64, MemoryError> {
        let mut bytes = [0; 8];
        self.read(at, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Copies `from` to guest memory, beginning at `at`.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] when part of the range is not memory of this guest.
    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError>;
}

/// Guest memory that frames are lent from and copied into.
pub trait GuestSpans: GuestMemory {
    /// How it is copied.
    type Memory: Memory;

    /// The memory at `at`, at most `length` bytes of it and at least one, unless `length` is 0: guest memory may be in
    /// pieces. `None` when there is none.
    fn span(&self, at: GuestPhysical, length: usize) -> Option<Span>;

    /// Passes all memory of a range to `take`, in order, until it returns false.
    ///
    /// # Errors
    /// [`MemoryError::Outside`] when part of the range is not memory of this guest: what comes before it may have been
    /// passed.
    fn spans(
        &self,
        at: GuestPhysical,
        length: usize,
        mut take: impl FnMut(Span) -> bool,
    ) -> Result<(), MemoryError> {
        let mut done = 0;
        while done < length {
            let next = at.checked_add(done as u64).and_then(|next| self.span(next, length - done));
            let span = next.filter(|span| !span.is_empty()).ok_or(MemoryError::Outside { at, length })?;
            done += span.len();
            if !take(span) {
                break;
            }
        }
        Ok(())
    }
}

impl<M: GuestSpans + ?Sized> GuestSpans for &M {
    type Memory = M::Memory;

    fn span(&self, at: GuestPhysical, length: usize) -> Option<Span> {
        (**self).span(at, length)
    }
}

impl<M: GuestMemory + ?Sized> GuestMemory for &M {
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        (**self).read(at, into)
    }

    fn read_qword(&self, at: GuestPhysical) -> Result<u64, MemoryError> {
        (**self).read_qword(at)
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        (**self).write(at, from)
    }
}
