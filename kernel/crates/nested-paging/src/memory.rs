//! The memory that tables live in.

use base::HostPhysical;

/// Entries of one table.
pub const ENTRIES: usize = 512;

/// Memory for tables of [`ENTRIES`] entries of 8 bytes.
///
/// The processor walks the tables while they change: a write is one 64-bit store, and writes become visible
/// in the order they are made.
pub trait TableMemory {
    /// A table of 4 KiB, page-aligned and filled with zeros, or `None` when there is no more memory.
    fn allocate(&mut self) -> Option<HostPhysical>;

    /// Entry `index`, below [`ENTRIES`], of a table that came from [`TableMemory::allocate`].
    fn read(&self, table: HostPhysical, index: usize) -> u64;

    /// Writes entry `index`, below [`ENTRIES`], of a table that came from [`TableMemory::allocate`].
    fn write(&mut self, table: HostPhysical, index: usize, entry: u64);
}
