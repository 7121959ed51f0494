//! References to memory that Weir shares with a guest or with a device.

use crate::HostPhysical;
use core::fmt;
use core::sync::atomic::AtomicU8;

/// A range of memory that a guest or a device may change at any moment: guest memory, or buffers of a NIC. It is copied
/// from and to by [`Memory`], never read through a Rust reference.
///
/// Only the owner of memory that is handed out for good can make one: the kernel by a checked look-up, a test from memory
/// that it leaks. Whoever has a span may keep it, split it and pass it on; nobody can make it longer.
///
/// ```
/// use base::Span;
/// use core::sync::atomic::AtomicU8;
///
/// let memory: &'static [AtomicU8] = Box::leak(Box::new([const { AtomicU8::new(0) }; 100]));
/// let (header, rest) = Span::new(memory).split(14);
/// assert_eq!((header.len(), rest.len()), (14, 86));
/// assert_eq!(rest.split(200).0.len(), 86);
/// ```
#[derive(Clone, Copy)]
pub struct Span(&'static [AtomicU8]);

impl Span {
    /// No memory.
    pub const EMPTY: Self = Self(&[]);

    /// This memory.
    #[must_use]
    pub const fn new(bytes: &'static [AtomicU8]) -> Self {
        Self(bytes)
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len()
    }

    /// True for no memory.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The first `length` bytes, or all if there are fewer, and the rest.
    #[must_use]
    pub fn split(self, length: usize) -> (Self, Self) {
        let (first, rest) = self.0.split_at(length.min(self.0.len()));
        (Self(first), Self(rest))
    }

    /// At most `length` bytes from `offset` on.
    #[must_use]
    pub fn part(self, offset: usize, length: usize) -> Self {
        self.split(offset).1.split(length).0
    }

    /// Where this is in `whole`, if it is a part of it.
    #[must_use]
    pub fn offset_in(self, whole: Self) -> Option<usize> {
        let (part, whole) = (self.0.as_ptr_range(), whole.0.as_ptr_range());
        let inside = whole.start <= part.start && part.end <= whole.end && part.start < part.end;
        inside.then(|| part.start.addr() - whole.start.addr())
    }

    /// The bytes, for an implementation of [`Memory`].
    #[must_use]
    pub fn bytes(self) -> &'static [AtomicU8] {
        self.0
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes at {:p}", self.len(), self.0)
    }
}

/// How spans are copied, and where devices find them.
///
/// If both sides differ in length, as many bytes are copied as the shorter one has. A naturally aligned copy of 1, 2, 4 or
/// 8 bytes is a single access, and copies become visible to other processors and to devices in program order:
/// descriptors rely on both.
pub trait Memory: 'static {
    /// Copies from shared memory.
    fn load(from: Span, into: &mut [u8]);

    /// Copies to shared memory.
    fn store(into: Span, from: &[u8]);

    /// Copies within shared memory, from one owner's to another's.
    fn copy(from: Span, into: Span);

    /// The address that a device uses for DMA.
    fn device_address(of: Span) -> HostPhysical;
}
