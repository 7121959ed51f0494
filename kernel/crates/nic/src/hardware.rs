//! What the driver needs from the machine: registers, memory the NIC can reach, and a clock to wait by.

use crate::NicError;
use base::{HostPhysical, Instant};

/// The register window of one NIC.
///
/// Each call is one 32-bit access, made in program order. A write is not made before the writes to
/// [`DmaRegion`] memory that precede it in the program are visible to the NIC.
pub trait NicRegisters {
    /// Reads the register at byte `offset`.
    fn read(&mut self, offset: u32) -> u32;

    /// Writes the register at byte `offset`.
    fn write(&mut self, offset: u32, value: u32);
}

/// A run of memory, contiguous for the NIC, that the NIC reads and writes while the driver does.
///
/// It is reached by copy only. Accesses happen in program order; on x86-64, where memory is coherent with
/// devices and ordered, it is enough that the compiler keeps the order. Every range the driver asks for
/// lies inside: an implementation may panic on one that does not.
pub trait DmaRegion {
    /// The address to give the NIC.
    fn device_address(&self) -> HostPhysical;

    /// Copies bytes out, from `offset` on.
    fn read(&self, offset: usize, into: &mut [u8]);

    /// Copies bytes in, from `offset` on.
    fn write(&mut self, offset: usize, from: &[u8]);

    /// Reads 64 bits, little-endian, in a single access; `offset` is a multiple of 8.
    fn read_u64(&self, offset: usize) -> u64;

    /// Writes 64 bits, little-endian, in a single access; `offset` is a multiple of 8.
    fn write_u64(&mut self, offset: usize, value: u64);
}

/// The machine, as a driver sees it.
pub trait NicHost {
    /// How it reaches the NIC's registers.
    type Registers: NicRegisters;
    /// The memory it hands out for DMA.
    type Dma: DmaRegion;

    /// Hands out `bytes` zeroed bytes at a multiple of `alignment`, a power of two, for ever; `None` when
    /// there is no such memory. Called only while a driver is constructed.
    fn allocate(&mut self, bytes: usize, alignment: usize) -> Option<Self::Dma>;

    /// The time, for waits on the NIC.
    fn now(&mut self) -> Instant;

    /// Called again and again during a wait: a pause instruction, or whatever lets time pass.
    fn relax(&mut self);
}

/// Identity of a NIC in PCI configuration space [PCI 3.0 6.2.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciId {
    /// Vendor ID; Intel is 0x8086.
    pub vendor: u16,
    /// Device ID.
    pub device: u16,
}

/// DMA memory for a ring or its buffers, aligned to a page: more than the 16 bytes that descriptors need
/// [8254x 13.4.25], and such that no 2048-byte buffer crosses a page.
pub(crate) fn allocate<H: NicHost>(host: &mut H, bytes: usize) -> Result<H::Dma, NicError> {
    const PAGE: usize = 4096;
    host.allocate(bytes, PAGE).ok_or(NicError::OutOfMemory { bytes })
}
