//! A guest's memory: pinned, assigned at boot, translated by table look-up.

use crate::memory::copy::copy_volatile;
use crate::memory::physical;
use base::{GuestMemory, GuestPhysical, HostPhysical, MemoryError};
use core::sync::atomic::{Ordering, fence};

/// A piece of guest memory that lies in one piece in the machine's.
#[derive(Clone, Copy, Debug)]
pub struct MemoryPiece {
    /// Where the guest sees it.
    pub guest: GuestPhysical,
    /// Where it is.
    pub host: HostPhysical,
    /// Its length.
    pub bytes: u64,
}

/// All memory of one guest.
#[derive(Clone, Debug, Default)]
pub struct GuestRam {
    pieces: heapless::Vec<MemoryPiece, 4>,
}

impl GuestRam {
    /// Memory made of these pieces, which the guest owns from now on.
    pub fn new(pieces: heapless::Vec<MemoryPiece, 4>) -> Self {
        Self { pieces }
    }

    /// Its length.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// The pieces.
    pub fn pieces(&self) -> &[MemoryPiece] {
        &self.pieces
    }

    /// Clears `bytes` from offset `from` on, counted through all pieces. The next offset, or `None` when `from`
    /// is behind the last.
    pub fn clear(&self, from: u64, bytes: u64) -> Option<u64> {
        let mut start = 0;
        for piece in &self.pieces {
            let offset = from - start;
            if offset < piece.bytes {
                let length = bytes.min(piece.bytes - offset);
                // SAFETY: inside this guest's memory, which is mapped for good; the guest does not run.
                unsafe {
                    physical::pointer(HostPhysical(piece.host.0 + offset)).write_bytes(0, length as usize);
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
        // SAFETY: the range is this guest's memory, mapped for good, and reached by copy only.
        unsafe { copy_volatile(from, into.as_mut_ptr(), into.len()) }
        fence(Ordering::Acquire);
        Ok(())
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        let into = self.pointer(at, from.len())?;
        // x86 keeps stores in order [SDM3A 9.2.2]; the fence keeps the compiler to it.
        fence(Ordering::Release);
        // SAFETY: as in `read`.
        unsafe { copy_volatile(from.as_ptr(), into, from.len()) }
        Ok(())
    }
}
