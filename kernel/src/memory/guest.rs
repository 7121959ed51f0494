//! A guest's memory: pinned, assigned at boot, and translated by looking up its pieces.

use crate::memory::copy::copy_volatile;
use crate::memory::physical;
use crate::processor::narrow::to_usize;
use base::{GuestMemory, GuestPhysical, HostPhysical, MemoryError};
use core::sync::atomic::{Ordering, fence};

/// A piece of guest memory that is contiguous in the machine's memory.
#[derive(Clone, Copy, Debug)]
pub struct MemoryPiece {
    /// Its guest-physical address.
    pub guest: GuestPhysical,
    /// Its host-physical address.
    pub host: HostPhysical,
    /// Its length in bytes.
    pub bytes: u64,
}

/// All memory of one guest.
#[derive(Clone, Debug, Default)]
pub struct GuestRam {
    pieces: heapless::Vec<MemoryPiece, 4>,
}

impl GuestRam {
    /// Memory made of these pieces, which belong to the guest from now on.
    pub fn new(pieces: heapless::Vec<MemoryPiece, 4>) -> Self {
        Self { pieces }
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// The pieces.
    pub fn pieces(&self) -> &[MemoryPiece] {
        &self.pieces
    }

    /// Clears up to `bytes` from offset `from` on, counted through all pieces; stops at the end of a piece.
    /// Returns the next offset, or `None` when `from` is past the end.
    pub fn clear(&self, from: u64, bytes: u64) -> Option<u64> {
        let mut start = 0;
        for piece in &self.pieces {
            let offset = from - start;
            if offset < piece.bytes {
                let length = bytes.min(piece.bytes - offset);
                // SAFETY: inside this guest's memory, which stays mapped; the guest is not running.
                unsafe {
                    physical::pointer(HostPhysical(piece.host.0 + offset)).write_bytes(0, to_usize(length));
                }
                return Some(from + length);
            }
            start += piece.bytes;
        }
        None
    }

    fn pointer(&self, at: GuestPhysical, bytes: usize) -> Result<*mut u8, MemoryError> {
        self.pieces
            .iter()
            .find_map(|piece| {
                let offset = at.0.checked_sub(piece.guest.0)?;
                let fits = offset.checked_add(bytes as u64)? <= piece.bytes;
                fits.then(|| physical::pointer(HostPhysical(piece.host.0 + offset)))
            })
            .ok_or(MemoryError::Outside { at, length: bytes })
    }
}

impl GuestMemory for GuestRam {
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        let from = self.pointer(at, into.len())?;
        // SAFETY: the range is this guest's memory, which stays mapped and is accessed by copies only.
        unsafe { copy_volatile(from, into.as_mut_ptr(), into.len()) }
        fence(Ordering::Acquire);
        Ok(())
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        let into = self.pointer(at, from.len())?;
        // x86 keeps stores in order [SDM3A 9.2.2]; the fence makes the compiler do so, too.
        fence(Ordering::Release);
        // SAFETY: as in `read`.
        unsafe { copy_volatile(from.as_ptr(), into, from.len()) }
        Ok(())
    }
}
