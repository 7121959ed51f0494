//! Guest memory, or DMA memory of a device, as a test keeps it.

use alloc::boxed::Box;
use alloc::rc::{Rc, Weak};
use alloc::vec;
use alloc::vec::Vec;
use base::{GuestMemory, GuestPhysical, GuestSpans, HostPhysical, Memory, MemoryError, Span};
use core::cell::RefCell;
use core::ops::Range;
use core::sync::atomic::{AtomicU8, Ordering};

std::thread_local! {
    /// Blocks of memory that nobody uses, for the next one who wants as much: spans of it live for ever.
    static UNUSED: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
    /// The blocks in use and the address at which a device finds each.
    static IN_USE: RefCell<Vec<(u64, Block)>> = const { RefCell::new(Vec::new()) };
    /// Memory whose accesses are recorded.
    static RECORDED: RefCell<Vec<Weak<SharedMemory>>> = const { RefCell::new(Vec::new()) };
}

type Block = &'static [AtomicU8];

/// How spans of [`FakeMemory`] are copied.
pub enum TestMemory {}

impl Memory for TestMemory {
    fn load(from: Span, into: &mut [u8]) {
        note(from.split(into.len()).0, false);
        load(from, into);
    }

    fn store(into: Span, from: &[u8]) {
        note(into.split(from.len()).0, true);
        store(into, from);
    }

    fn copy(from: Span, into: Span) {
        note(from.split(into.len()).0, false);
        note(into.split(from.len()).0, true);
        for (from, into) in from.bytes().iter().zip(into.bytes()) {
            into.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn device_address(of: Span) -> HostPhysical {
        let wanted = of.bytes().as_ptr_range();
        let find = |(base, block): &(u64, Block)| {
            let have = block.as_ptr_range();
            let inside = have.start <= wanted.start && wanted.end <= have.end;
            inside.then(|| HostPhysical(base + (wanted.start.addr() - have.start.addr()) as u64))
        };
        IN_USE.with_borrow(|blocks| blocks.iter().find_map(find)).expect("a span is of memory in use")
    }
}

/// Copies as a load and a store of `M`, which takes note of these.
pub fn copy_as<M: Memory>(from: Span, into: Span) {
    let mut bytes = vec![0; from.len().min(into.len())];
    M::load(from, &mut bytes);
    M::store(into, &bytes);
}

fn load(from: Span, into: &mut [u8]) {
    for (from, into) in from.bytes().iter().zip(into) {
        *into = from.load(Ordering::Relaxed);
    }
}

fn store(into: Span, from: &[u8]) {
    for (into, from) in into.bytes().iter().zip(from) {
        into.store(*from, Ordering::Relaxed);
    }
}

/// Records a copy by a span.
fn note(span: Span, write: bool) {
    let memories =
        RECORDED.with_borrow(|memories| memories.iter().filter_map(Weak::upgrade).collect::<Vec<_>>());
    for memory in memories {
        if let Some(offset) = span.offset_in(Span::new(memory.bytes)) {
            memory.note(RecordedAccess { at: memory.base + offset as u64, length: span.len(), write });
        }
    }
}

/// One recorded copy into or out of a [`FakeMemory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedAccess {
    /// Its first address.
    pub at: u64,
    /// Its length in bytes.
    pub length: usize,
    /// True for a write.
    pub write: bool,
}

/// Memory for the frames that a vNIC builds, which is never given back.
#[must_use]
pub fn bounce_memory() -> Span {
    const LENGTH: usize = 64 * 1024;
    let memory = FakeMemory::new(LENGTH);
    let span = memory.span(GuestPhysical(0), LENGTH);
    core::mem::forget(memory);
    span.unwrap_or(Span::EMPTY)
}

struct SharedMemory {
    base: u64,
    bytes: Block,
    recording: RefCell<Option<Vec<RecordedAccess>>>,
}

impl SharedMemory {
    fn new(base: u64, length: usize) -> Self {
        let unused = UNUSED.with_borrow_mut(|blocks| {
            blocks.iter().position(|block| block.len() == length).map(|index| blocks.swap_remove(index))
        });
        let bytes = unused.unwrap_or_else(|| {
            let bytes: Box<[AtomicU8]> = core::iter::repeat_with(AtomicU8::default).take(length).collect();
            Box::leak(bytes)
        });
        bytes.iter().for_each(|byte| byte.store(0, Ordering::Relaxed));
        IN_USE.with_borrow_mut(|blocks| blocks.push((base, bytes)));
        Self { base, bytes, recording: RefCell::new(None) }
    }

    fn note(&self, access: RecordedAccess) {
        if let Some(accesses) = self.recording.borrow_mut().as_mut() {
            accesses.push(access);
        }
    }
}

impl Drop for SharedMemory {
    fn drop(&mut self) {
        // At the end of a thread there may be no lists any more, and nobody to use the block either.
        let _ = IN_USE.try_with(|blocks| {
            blocks.borrow_mut().retain(|(_, block)| !core::ptr::eq(*block, self.bytes));
            UNUSED.try_with(|blocks| blocks.borrow_mut().push(self.bytes))
        });
    }
}

/// Contiguous memory at a base address. Clones share the same bytes, so that a driver and a device model can
/// communicate through it.
///
/// ```
/// use base::{GuestMemory, GuestPhysical};
/// use testkit::{FakeMemory, RecordedAccess};
///
/// let memory = FakeMemory::at(0x1000, 64);
/// let device = memory.clone();
/// device.record();
/// memory.write_u32(0x1004, 0x1234_5678);
/// assert_eq!(device.bytes(0x1004, 2), [0x78, 0x56]);
/// assert_eq!(device.recorded()[0], RecordedAccess { at: 0x1004, length: 4, write: true });
/// assert!(memory.read(GuestPhysical(0xfff), &mut [0]).is_err());
/// ```
#[derive(Clone)]
pub struct FakeMemory {
    inner: Rc<SharedMemory>,
}

impl FakeMemory {
    /// `length` zero bytes starting at address 0.
    #[must_use]
    pub fn new(length: usize) -> Self {
        Self::at(0, length)
    }

    /// `length` zero bytes starting at address `base`.
    #[must_use]
    pub fn at(base: u64, length: usize) -> Self {
        Self { inner: Rc::new(SharedMemory::new(base, length)) }
    }

    /// The first address.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.inner.base
    }

    /// Length in bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.inner.bytes.len()
    }

    /// Starts recording every access, or restarts with an empty record.
    pub fn record(&self) {
        let before = self.inner.recording.borrow_mut().replace(Vec::new());
        if before.is_none() {
            RECORDED.with_borrow_mut(|memories| memories.push(Rc::downgrade(&self.inner)));
        }
    }

    /// Stops recording and returns the accesses since [`record`](Self::record), oldest first.
    #[must_use]
    pub fn recorded(&self) -> Vec<RecordedAccess> {
        let this = Rc::downgrade(&self.inner);
        RECORDED.with_borrow_mut(|memories| memories.retain(|memory| !memory.ptr_eq(&this)));
        self.inner.recording.borrow_mut().take().unwrap_or_default()
    }

    /// Copies out `N` bytes.
    ///
    /// # Panics
    /// When the range is outside the memory.
    #[must_use]
    pub fn get<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(GuestPhysical(at), &mut bytes).expect("test reads inside the memory");
        bytes
    }

    /// Copies out `length` bytes.
    ///
    /// # Panics
    /// When the range is outside the memory.
    #[must_use]
    pub fn bytes(&self, at: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read(GuestPhysical(at), &mut bytes).expect("test reads inside the memory");
        bytes
    }

    /// Copies in `bytes`.
    ///
    /// # Panics
    /// When the range is outside the memory.
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
        self.inner.note(RecordedAccess { at, length, write });
        Ok(start..end)
    }
}

impl GuestMemory for FakeMemory {
    fn read(&self, at: GuestPhysical, into: &mut [u8]) -> Result<(), MemoryError> {
        let range = self.range(at.0, into.len(), false)?;
        load(Span::new(&self.inner.bytes[range]), into);
        Ok(())
    }

    fn write(&self, at: GuestPhysical, from: &[u8]) -> Result<(), MemoryError> {
        let range = self.range(at.0, from.len(), true)?;
        store(Span::new(&self.inner.bytes[range]), from);
        Ok(())
    }
}

impl GuestSpans for FakeMemory {
    type Memory = TestMemory;

    fn span(&self, at: GuestPhysical, length: usize) -> Option<Span> {
        let start = usize::try_from(at.0.checked_sub(self.inner.base)?).ok()?;
        let room = self.length().checked_sub(start).filter(|room| *room > 0)?;
        Some(Span::new(&self.inner.bytes[start..start + room.min(length)]))
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
        let write = RecordedAccess { at: 4, length: 4, write: true };
        assert_eq!(other.recorded(), [write, RecordedAccess { at: 6, length: 2, write: false }]);
        assert_eq!(memory.recorded(), []);
    }

    #[test]
    fn copies_by_spans_are_recorded_too() {
        let (memory, other) = (FakeMemory::at(0x1000, 64), FakeMemory::new(64));
        memory.record();
        let part = memory.span(GuestPhysical(0x1010), 8).unwrap();
        TestMemory::copy(other.span(GuestPhysical(0), 64).unwrap(), part);
        TestMemory::load(part, &mut [0; 4]);
        let write = RecordedAccess { at: 0x1010, length: 8, write: true };
        assert_eq!(memory.recorded(), [write, RecordedAccess { at: 0x1010, length: 4, write: false }]);
    }
}
