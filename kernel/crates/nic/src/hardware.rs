//! What a driver needs from the machine: registers, and memory that the NIC can reach. It has no clock: the caller
//! says what time it is, and the driver never waits.

use crate::NicError;
use base::{Memory, Span};
use core::sync::atomic::AtomicU8;

/// The register window of one NIC.
///
/// Each call is one 32-bit access, made in program order. Writes to [`NicHost::Memory`] that precede a register
/// write in the program are visible to the NIC before that register write reaches it.
pub trait NicRegisters {
    /// Reads the register at byte `offset`.
    fn read(&mut self, offset: u32) -> u32;

    /// Writes the register at byte `offset`.
    fn write(&mut self, offset: u32, value: u32);
}

/// The machine, as a driver sees it.
///
/// ```
/// use base::{GuestPhysical, GuestSpans, Instant, Span};
/// use nic::{Nic, NicError, NicHost, NicRegisters, NicState, PciId};
/// use testkit::{FakeMemory, TestMemory};
///
/// /// A machine whose slot is empty: every register reads as ones.
/// #[derive(Default)]
/// struct EmptySlot(Vec<FakeMemory>);
///
/// impl NicRegisters for EmptySlot {
///     fn read(&mut self, _offset: u32) -> u32 {
///         u32::MAX
///     }
///     fn write(&mut self, _offset: u32, _value: u32) {}
/// }
///
/// impl NicHost for EmptySlot {
///     type Registers = Self;
///     type Memory = TestMemory;
///     fn allocate(&mut self, bytes: usize, _alignment: usize) -> Option<Span> {
///         self.0.push(FakeMemory::new(bytes));
///         self.0.last()?.span(GuestPhysical(0), bytes)
///     }
///     fn allow_dma(&mut self, _allowed: bool) {}
///     fn write_io(&mut self, _at: u32, _value: u32) -> bool {
///         false
///     }
/// }
///
/// let id = PciId { vendor: 0x8086, device: 0x100e };
/// let mut nic = Nic::new(EmptySlot::default(), EmptySlot::default(), id, Instant(0))?;
/// nic.check(Instant(0));
/// assert_eq!(nic.state(), NicState::Failed(NicError::NoAnswer));
/// # Ok::<(), NicError>(())
/// ```
pub trait NicHost {
    /// Access to the NIC's registers.
    type Registers: NicRegisters;
    /// How the memory that the driver shares with the NIC is copied. x86-64 keeps it coherent with devices.
    type Memory: Memory;

    /// Hands out `bytes` zeroed bytes for ever, contiguous for the NIC, aligned to `alignment`, a power of two, and below
    /// [`crate::dma_limit`]; `None` when there is no such memory. Called only while a driver is constructed.
    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Span>;

    /// Sets whether the NIC may access memory: COMMAND.BME [PCI 3.0 6.2.2], which is clear before a driver is
    /// constructed. It is set after a reset, when the NIC has forgotten the addresses that firmware or another
    /// system gave it, and cleared when a reset fails.
    fn allow_dma(&mut self, allowed: bool);

    /// Writes 32 bits at byte `at` of the I/O window [8254x 13.2.2]; false when there is none. Called only for NICs that
    /// [`crate::uses_ports`] names.
    fn write_io(&mut self, at: u32, value: u32) -> bool;
}

/// Identity of a NIC in PCI configuration space [PCI 3.0 6.2.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciId {
    /// Vendor ID; Intel is 0x8086.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
}

/// Memory for a ring or its buffers: `COUNT` pieces of `SIZE` bytes. What the compiler knows of their size and number needs
/// no check: copies of a descriptor are moves, and nothing chooses how to copy.
pub(crate) struct Pieces<const SIZE: usize, const COUNT: usize>(&'static [[AtomicU8; SIZE]; COUNT]);

impl<const SIZE: usize, const COUNT: usize> Copy for Pieces<SIZE, COUNT> {}

impl<const SIZE: usize, const COUNT: usize> Clone for Pieces<SIZE, COUNT> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<const SIZE: usize, const COUNT: usize> Pieces<SIZE, COUNT> {
    /// Allocates DMA memory aligned to a page: that is more than the 16 bytes that descriptors need [8254x 13.4.25], and no
    /// 2048-byte buffer crosses a page.
    pub(crate) fn allocate<H: NicHost>(host: &mut H) -> Result<Self, NicError> {
        const PAGE: usize = 4096;
        let bytes = SIZE * COUNT;
        let memory = host.allocate(bytes, PAGE).and_then(|memory| memory.bytes().as_chunks().0.first_chunk());
        memory.map(Self).ok_or(NicError::OutOfMemory { bytes })
    }

    /// All of it.
    pub(crate) fn all(self) -> Span {
        Span::new(self.0.as_flattened())
    }

    /// One piece, which must exist.
    #[inline]
    pub(crate) fn get(self, index: impl Into<usize>) -> Span {
        Span::new(&self.0[index.into()])
    }
}

/// Reads 64 bits of shared memory, little-endian, in a single access.
pub(crate) fn load_u64<M: Memory>(from: Span) -> u64 {
    let mut bytes = [0; 8];
    M::load(from, &mut bytes);
    u64::from_le_bytes(bytes)
}
