//! Memory of a guest, or memory a device reaches by DMA, that lives in a vector.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use base::{GuestMemory, GuestPhysical, MemoryError};
use core::cell::RefCell;
use core::ops::Range;

/// One copy into or out of a [`FakeMemory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Where it began.
    pub at: u64,
    /// Its length in bytes.
    pub length: usize,
    /// True for a write.
    pub write: bool,
}

struct Inner {
    base: u64,
    bytes: RefCell<Vec<u8>>,
    recording: RefCell<Option<Vec<Access>>>,
}

/// A run of memory at a base address. Clones share the same bytes, so that a driver and a device model
/// can meet in it.
#[derive(Clone)]
pub struct FakeMemory {
    inner: Rc<Inner>,
}

impl FakeMemory {
    /// `length` zero bytes from address 0 on.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self::at(0, length)
    }

    /// `length` zero bytes from address `base` on.
    #[must_use]
    pub fn at(base: u64, length: usize) -> Self {
        let bytes = RefCell::new(vec![0; length]);
        Self { inner: Rc::new(Inner { base, bytes, recording: RefCell::new(None) }) }
    }

    /// The first address.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.inner.base
    }

    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.inner.bytes.borrow().len()
    }

    /// Starts, or starts again, to record every access.
    pub fn record(&self) {
        *self.inner.recording.borrow_mut() = Some(Vec::new());
    }

    /// Stops recording and returns the accesses since [`record`](Self::record), oldest first.
    #[must_use]
    pub fn recorded(&self) -> Vec<Access> {
        self.inner.recording.borrow_mut().take().unwrap_or_default()
    }

    /// Copies out `N` bytes; panics outside the memory.
    #[must_use]
    pub fn get<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(GuestPhysical(at), &mut bytes).expect("test reads inside the memory");
        bytes
    }

    /// Copies out `length` bytes; panics outside the memory.
    #[must_use]
    pub fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read(GuestPhysical(at), &mut bytes).expect("test reads inside the memory");
        bytes
    }

    /// Copies in `bytes`; panics outside the memory.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        self.write(GuestPhysical(at), bytes).expect("test writes inside the memory");
    }

    /// Reads one byte.
    #[must_use]
    pub fn read_u8(&self, at: u64) -> u8 {
        u8::from_le_bytes(self.get(at))
    }

    /// Reads 16 bits, little-endian.
    #[must_use]
    pub fn read_u16(&self, at: u64) -> u16 {
        u16::from_le_bytes(self.get(at))
    }

    /// Reads 32 bits, little-endian.
    #[must_use]
    pub fn read_u32(&self, at: u64) -> u32 {
        u32::from_le_bytes(self.get(at))
    }

    /// Reads 64 bits, little-endian.
    #[must_use]
    pub fn read_u64(&self, at: u64) -> u64 {
        u64::from_le_bytes(self.get(at))
    }

    /// Writes one byte.
    pub fn write_u8(&self, at: u64, value: u8) {
        self.put(at, &value.to_le_bytes());
    }

    /// Writes 16 bits, little-endian.
    pub fn write_u16(&self, at: u64, value: u16) {
        self.put(at, &value.to_le_bytes());
    }

    /// Writes 32 bits, little-endian.
    pub fn write_u32(&self, at: u64, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    /// Writes 64 bits, little-endian.
    pub fn write_u64(&self, at: u64, value: u64) {
        self.put(at, &value.to_le_bytes());
    }

    fn range(&self, at: u64, length: usize, write: bool) -> Result<Range<usize>, MemoryError> {
        let outside = MemoryError::Outside { at: GuestPhysical(at), length };
        let start = at.checked_sub(self.inner.base).ok_or(outside)?;
        let start = usize::try_from(start).map_err(|_| outside)?;
        let end = start.checked_add(length).filter(|end| *end <= self.length()).ok_or(outside)?;
        if let Some(accesses) = self.inner.recording.borrow_mut().as_mut() {
            accesses.push(Access { at, length, write });
        }
        Ok(start..end)
    }
}

impl GuestMemory for FakeMemory {
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        let range = self.range(at.0, into.len(), false)?;
        into.copy_from_slice(&self.inner.bytes.borrow()[range]);
        Ok(())
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        let range = self.range(at.0, from.len(), true)?;
        self.inner.bytes.borrow_mut()[range].copy_from_slice(from);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_outside_copy_nothing() {
        let memory = FakeMemory::at(0x1000, 16);
        for (at, length) in [(0xfff, 1), (0x100f, 2), (0x1010, 1), (u64::MAX, 8)] {
            let outside = MemoryError::Outside { at: GuestPhysical(at), length };
            assert_eq!(memory.write(GuestPhysical(at), &[7; 8][..length]), Err(outside));
        }
        assert_eq!(memory.bytes(0x1000, 16), [0; 16]);
    }

    #[test]
    fn clones_share_bytes_and_recording() {
        let memory = FakeMemory::new(64);
        let other = memory.clone();
        memory.record();
        memory.write_u32(4, 0x1234_5678);
        assert_eq!(other.read_u16(6), 0x1234);
        let write = Access { at: 4, length: 4, write: true };
        assert_eq!(other.recorded(), [write, Access { at: 6, length: 2, write: false }]);
        assert_eq!(memory.recorded(), []);
    }
}
