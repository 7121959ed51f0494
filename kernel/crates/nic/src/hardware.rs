//! What a driver needs from the machine: registers, and memory that the NIC can reach. It has no clock: the caller
//! says what time it is, and the driver never waits.

use crate::NicError;
use base::HostPhysical;

/// The register window of one NIC.
///
/// Each call is one 32-bit access, made in program order. Writes to a [`DmaRegion`] that precede a register
/// write in the program are visible to the NIC before that register write reaches it.
pub trait NicRegisters {
    /// Reads the register at byte `offset`.
    fn read(&mut self, offset: u32) -> u32;

    /// Writes the register at byte `offset`.
    fn write(&mut self, offset: u32, value: u32);
}

/// A region of memory, contiguous for the NIC, that the NIC accesses while the driver does.
///
/// It is accessed by copy only. Accesses happen in program order; on x86-64, where memory is coherent with
/// devices and ordered, it is enough that the compiler keeps the order. Every range that the driver asks for
/// lies inside the region: an implementation may panic on any other.
pub trait DmaRegion {
    /// The address to give to the NIC.
    fn device_address(&self) -> HostPhysical;

    /// Copies bytes out, starting at `offset`.
    fn read(&self, offset: usize, into: &mut [u8]);

    /// Copies bytes in, starting at `offset`.
    fn write(&mut self, offset: usize, from: &[u8]);

    /// Reads 64 bits, little-endian, in a single access; `offset` is a multiple of 8.
    fn read_u64(&self, offset: usize) -> u64;

    /// Writes 64 bits, little-endian, in a single access; `offset` is a multiple of 8.
    fn write_u64(&mut self, offset: usize, value: u64);
}

/// The machine, as a driver sees it.
///
/// ```
/// use base::{HostPhysical, Instant};
/// use nic::{DmaRegion, Nic, NicError, NicHost, NicRegisters, NicState, PciId};
///
/// /// A machine whose slot is empty: every register reads as ones.
/// struct EmptySlot;
///
/// impl NicRegisters for EmptySlot {
///     fn read(&mut self, _offset: u32) -> u32 {
///         u32::MAX
///     }
///     fn write(&mut self, _offset: u32, _value: u32) {}
/// }
///
/// struct Memory(Vec<u8>);
///
/// impl DmaRegion for Memory {
///     fn device_address(&self) -> HostPhysical {
///         HostPhysical(0x10_0000)
///     }
///     fn read(&self, offset: usize, into: &mut [u8]) {
///         into.copy_from_slice(&self.0[offset..][..into.len()]);
///     }
///     fn write(&mut self, offset: usize, from: &[u8]) {
///         self.0[offset..][..from.len()].copy_from_slice(from);
///     }
///     fn read_u64(&self, offset: usize) -> u64 {
///         u64::from_le_bytes(self.0[offset..][..8].try_into().unwrap())
///     }
///     fn write_u64(&mut self, offset: usize, value: u64) {
///         self.write(offset, &value.to_le_bytes());
///     }
/// }
///
/// impl NicHost for EmptySlot {
///     type Registers = Self;
///     type Dma = Memory;
///     fn allocate(&mut self, bytes: usize, _alignment: usize) -> Option<Memory> {
///         Some(Memory(vec![0; bytes]))
///     }
///     fn allow_dma(&mut self, _allowed: bool) {}
///     fn write_io(&mut self, _at: u32, _value: u32) -> bool {
///         false
///     }
/// }
///
/// let id = PciId { vendor: 0x8086, device: 0x100e };
/// let mut nic = Nic::new(EmptySlot, EmptySlot, id, Instant(0))?;
/// nic.check(Instant(0));
/// assert_eq!(nic.state(), NicState::Failed(NicError::NoAnswer));
/// # Ok::<(), NicError>(())
/// ```
pub trait NicHost {
    /// Access to the NIC's registers.
    type Registers: NicRegisters;
    /// Memory for DMA.
    type Dma: DmaRegion;

    /// Hands out `bytes` zeroed bytes for ever, aligned to `alignment`, a power of two, and below
    /// [`crate::dma_limit`]; `None` when there is no such memory. Called only while a driver is constructed.
    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Self::Dma>;

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

/// Allocates DMA memory for a ring or its buffers, aligned to a page: that is more than the 16 bytes that
/// descriptors need [8254x 13.4.25], and no 2048-byte buffer crosses a page.
pub(crate) fn allocate<H: NicHost>(host: &mut H, bytes: usize) -> Result<H::Dma, NicError> {
    const PAGE: usize = 4096;
    host.allocate(bytes, PAGE).ok_or(NicError::OutOfMemory { bytes })
}
