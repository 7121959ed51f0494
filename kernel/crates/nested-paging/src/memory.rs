//! The memory that holds the tables.

use base::HostPhysical;

/// Number of entries in a table.
pub const ENTRIES: usize = 512;

/// Memory for tables of [`ENTRIES`] entries of 8 bytes.
///
/// The processor may walk the tables while they change: a write is one 64-bit store, and writes become visible in
/// program order.
pub trait TableMemory {
    /// Allocates a table of 4 KiB, page-aligned and filled with zeros, or returns `None` when no memory is left.
    fn allocate(&mut self) -> Option<HostPhysical>;

    /// Reads entry `index`, below [`ENTRIES`], of a table that came from [`TableMemory::allocate`].
    fn read(&self, table: HostPhysical, index: usize) -> u64;

    /// Writes entry `index`, below [`ENTRIES`], of a table that came from [`TableMemory::allocate`].
    fn write(&mut self, table: HostPhysical, index: usize, entry: u64);
}
