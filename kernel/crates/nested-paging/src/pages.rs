//! The tree of tables: translating, mapping, unmapping, changing attributes.

use crate::memory::ENTRIES;
use crate::page_size::bytes_at;
use crate::{Attributes, Format, PageSize, PagingError, TableMemory};
use base::{GuestPhysical, HostPhysical};
use core::marker::PhantomData;

/// Number of levels; the root is a table of this level.
const LEVELS: u32 = 4;
/// An index into a table has 9 bits.
const INDEX_MASK: u64 = ENTRIES as u64 - 1;
/// First guest-physical address that four levels do not translate.
const GUEST_END: u64 = 1 << 48;
/// Ranges are whole pages of this size.
const PAGE: u64 = PageSize::Size4KiB.bytes();

/// The translation of a guest-physical address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The host-physical address of the same byte.
    pub host: HostPhysical,
    /// The size of the page that contains it.
    pub size: PageSize,
    /// The attributes of that page.
    pub attributes: Attributes,
}

/// The translation of one guest's physical addresses, as a tree of tables in `F`'s encoding.
///
/// Every change is a sequence of 64-bit writes. After each of them, every address translates as it did before
/// the change or as it will after it, so the guest may run meanwhile. The processor caches translations: after
/// [`NestedPages::unmap`] and [`NestedPages::protect`], the caller must invalidate them (INVEPT [SDM3C 29.4.3],
/// a TLB flush by ASID [APM2 15.16]) before it relies on the change. Mapping an unmapped range needs no
/// invalidation. A table that has become part of the tree stays in it and is reused.
///
/// ```
/// use base::{GuestPhysical, HostPhysical};
/// use nested_paging::{Attributes, Ept, NestedPages, PageSize, TableMemory};
///
/// /// Tables from address 0x10000 on.
/// struct Tables(Vec<[u64; 512]>);
///
/// impl TableMemory for Tables {
///     fn allocate(&mut self) -> Option<HostPhysical> {
///         self.0.push([0; 512]);
///         Some(HostPhysical(0xf000 + 0x1000 * self.0.len() as u64))
///     }
///     fn read(&self, table: HostPhysical, index: usize) -> u64 {
///         self.0[(table.0 >> 12) as usize - 0x10][index]
///     }
///     fn write(&mut self, table: HostPhysical, index: usize, entry: u64) {
///         self.0[(table.0 >> 12) as usize - 0x10][index] = entry;
///     }
/// }
///
/// let mut memory = Tables(Vec::new());
/// let mut pages = NestedPages::<Ept>::new(&mut memory, 40)?;
/// let (guest, host) = (GuestPhysical(0), HostPhysical(0x4000_0000));
/// pages.map(&mut memory, guest, host, 64 << 20, Attributes::MEMORY, PageSize::Size2MiB)?;
///
/// let mapping = pages.translate(&memory, GuestPhysical(0x1234)).expect("mapped");
/// assert_eq!((mapping.host, mapping.size), (HostPhysical(0x4000_1234), PageSize::Size2MiB));
/// assert_eq!(pages.translate(&memory, GuestPhysical(64 << 20)), None);
///
/// // A hole of one page in a large page: the guest's accesses to it exit.
/// pages.unmap(&mut memory, GuestPhysical(0x2000), 0x1000)?;
/// assert_eq!(pages.translate(&memory, GuestPhysical(0x2000)), None);
/// assert!(pages.translate(&memory, GuestPhysical(0x3000)).is_some());
/// # Ok::<(), nested_paging::PagingError>(())
/// ```
#[derive(Debug)]
pub struct NestedPages<F: Format> {
    root: HostPhysical,
    /// First host-physical address that the processor cannot reach.
    host_end: u64,
    format: PhantomData<F>,
}

/// The entry at which the walk for an address ends, and where it is.
struct Slot {
    table: HostPhysical,
    level: u32,
    index: usize,
    entry: u64,
}

impl<F: Format> NestedPages<F> {
    /// A tree that translates nothing, on a processor with physical addresses of `address_bits` bits
    /// (`MAXPHYADDR`, CPUID 8000_0008H EAX bits 7 to 0).
    ///
    /// # Errors
    /// [`PagingError::BadAddressWidth`], [`PagingError::OutOfTables`], [`PagingError::BadTable`].
    pub fn new(memory: &mut impl TableMemory, address_bits: u32) -> Result<Self, PagingError> {
        if !(32..=52).contains(&address_bits) {
            return Err(PagingError::BadAddressWidth(address_bits));
        }
        let host_end = 1 << address_bits;
        Ok(Self { root: new_table(memory, host_end)?, host_end, format: PhantomData })
    }

    /// The address of the root table.
    #[must_use]
    pub fn root(&self) -> HostPhysical {
        self.root
    }

    /// The translation of `guest`, or `None` when an access to it would exit.
    #[must_use]
    pub fn translate(&self, memory: &impl TableMemory, guest: GuestPhysical) -> Option<Mapping> {
        if guest.0 >= GUEST_END {
            return None;
        }
        let slot = self.walk(memory, guest);
        let size = PageSize::at_level(slot.level).filter(|_| F::is_present(slot.entry))?;
        Some(Mapping {
            host: HostPhysical(page_address::<F>(slot.entry, size).0 + guest.0 % size.bytes()),
            size,
            attributes: F::attributes(slot.entry),
        })
    }

    /// Maps `bytes` bytes at `guest` to `host`, in the largest pages that alignment and `largest` permit.
    ///
    /// # Errors
    /// An invalid range, [`PagingError::Unsupported`], [`PagingError::Overlap`] when part of the range is already
    /// mapped, [`PagingError::OutOfTables`]. On an error, nothing is mapped.
    pub fn map(
        &mut self,
        memory: &mut impl TableMemory,
        guest: GuestPhysical,
        host: HostPhysical,
        bytes: u64,
        attributes: Attributes,
        largest: PageSize,
    ) -> Result<(), PagingError> {
        let end = range_end(guest, bytes)?;
        self.check_host(host, bytes)?;
        if !F::supports(attributes) {
            return Err(PagingError::Unsupported(attributes));
        }
        self.check_unmapped(memory, guest.0, end)?;

        let mut at = guest.0;
        while at < end {
            let target = HostPhysical(host.0 + (at - guest.0));
            match self.map_page(memory, at, end, target, attributes, largest) {
                Ok(size) => at += size.bytes(),
                Err(error) => {
                    self.clear(memory, guest.0, at);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Unmaps `bytes` bytes at `guest` and splits large pages that extend beyond the range. The caller must
    /// invalidate cached translations before it uses the memory for another purpose.
    ///
    /// The kernel does not call this yet. It is meant for doorbell pages, which are mapped while their guest is
    /// busy and unmapped when it is idle, so that accesses exit again.
    ///
    /// # Errors
    /// An invalid range, [`PagingError::NotMapped`], [`PagingError::OutOfTables`]. On an error, nothing is
    /// unmapped.
    pub fn unmap(
        &mut self,
        memory: &mut impl TableMemory,
        guest: GuestPhysical,
        bytes: u64,
    ) -> Result<(), PagingError> {
        let end = self.isolate(memory, guest, bytes)?;
        self.clear(memory, guest.0, end);
        Ok(())
    }

    /// Changes the attributes of `bytes` bytes at `guest` and splits large pages that extend beyond the range.
    /// The accessed and dirty flags of the pages are lost. The caller must invalidate cached translations.
    ///
    /// The kernel does not call this yet. Like [`NestedPages::unmap`], it is meant for doorbell pages, which change
    /// between accesses that exit and accesses that do not.
    ///
    /// # Errors
    /// An invalid range, [`PagingError::Unsupported`], [`PagingError::NotMapped`],
    /// [`PagingError::OutOfTables`]. On an error, nothing is changed.
    pub fn protect(
        &mut self,
        memory: &mut impl TableMemory,
        guest: GuestPhysical,
        bytes: u64,
        attributes: Attributes,
    ) -> Result<(), PagingError> {
        if !F::supports(attributes) {
            return Err(PagingError::Unsupported(attributes));
        }
        let end = self.isolate(memory, guest, bytes)?;
        self.for_each_page(memory, guest.0, end, |entry, size| {
            F::page(page_address::<F>(entry, size), size, attributes)
        });
        Ok(())
    }

    /// Walks the tree for `guest`, below [`GUEST_END`], down to an entry that does not refer to a table.
    fn walk(&self, memory: &impl TableMemory, guest: GuestPhysical) -> Slot {
        let mut table = self.root;
        let mut level = LEVELS;
        loop {
            let index = index_at(level, guest.0);
            let entry = memory.read(table, index);
            if !refers_to_table::<F>(level, entry) {
                return Slot { table, level, index, entry };
            }
            table = F::address(entry);
            level -= 1;
        }
    }

    /// Maps the largest possible page at `at`, which is not mapped, and returns its size.
    fn map_page(
        &self,
        memory: &mut impl TableMemory,
        at: u64,
        end: u64,
        target: HostPhysical,
        attributes: Attributes,
        largest: PageSize,
    ) -> Result<PageSize, PagingError> {
        let mut slot = self.walk(memory, GuestPhysical(at));
        loop {
            let fits = |size: &PageSize| {
                *size <= largest && (at | target.0).is_multiple_of(size.bytes()) && end - at >= size.bytes()
            };
            if let Some(size) = PageSize::at_level(slot.level).filter(fits) {
                memory.write(slot.table, slot.index, F::page(target, size, attributes));
                return Ok(size);
            }
            let table = new_table(memory, self.host_end)?;
            memory.write(slot.table, slot.index, F::table(table));
            let level = slot.level - 1;
            slot = Slot { table, level, index: index_at(level, at), entry: 0 };
        }
    }

    /// Splits pages so that page boundaries coincide with both ends of a range, all of which must be mapped.
    /// Translations do not change. Returns the end of the range.
    fn isolate(
        &self,
        memory: &mut impl TableMemory,
        guest: GuestPhysical,
        bytes: u64,
    ) -> Result<u64, PagingError> {
        let end = range_end(guest, bytes)?;
        self.check_mapped(memory, guest.0, end)?;
        self.split_at(memory, guest.0)?;
        if end < GUEST_END {
            self.split_at(memory, end)?;
        }
        Ok(end)
    }

    /// Splits the page that contains `at` until a page begins at `at`.
    fn split_at(&self, memory: &mut impl TableMemory, at: u64) -> Result<(), PagingError> {
        loop {
            let Slot { table, level, index, entry } = self.walk(memory, GuestPhysical(at));
            let Some(size) = PageSize::at_level(level).filter(|_| F::is_present(entry)) else {
                return Ok(());
            };
            let Some(smaller) = PageSize::at_level(level - 1).filter(|_| !at.is_multiple_of(size.bytes()))
            else {
                return Ok(());
            };
            let start = page_address::<F>(entry, size).0;
            let attributes = F::attributes(entry);
            let pages = new_table(memory, self.host_end)?;
            for number in 0..ENTRIES {
                let page = HostPhysical(start + number as u64 * smaller.bytes());
                memory.write(pages, number, F::page(page, smaller, attributes));
            }
            // The new table is complete before a walk can reach it.
            memory.write(table, index, F::table(pages));
        }
    }

    /// Unmaps whole pages. Unmapped parts of the range stay unmapped.
    fn clear(&self, memory: &mut impl TableMemory, start: u64, end: u64) {
        self.for_each_page(memory, start, end, |_, _| 0);
    }

    /// Replaces the entry of every page in a range whose ends are page boundaries.
    fn for_each_page(
        &self,
        memory: &mut impl TableMemory,
        start: u64,
        end: u64,
        replace: impl Fn(u64, PageSize) -> u64,
    ) {
        let mut at = start;
        while at < end {
            let slot = self.walk(memory, GuestPhysical(at));
            if let Some(size) = PageSize::at_level(slot.level).filter(|_| F::is_present(slot.entry)) {
                memory.write(slot.table, slot.index, replace(slot.entry, size));
            }
            at = end_of_slot(slot.level, at);
        }
    }

    /// Checks that no part of a range is mapped.
    fn check_unmapped(&self, memory: &impl TableMemory, start: u64, end: u64) -> Result<(), PagingError> {
        let mut at = start;
        while at < end {
            if let Some(existing) = self.translate(memory, GuestPhysical(at)) {
                return Err(PagingError::Overlap { at: GuestPhysical(at), existing });
            }
            at = end_of_slot(self.walk(memory, GuestPhysical(at)).level, at);
        }
        Ok(())
    }

    /// Checks that all of a range is mapped.
    fn check_mapped(&self, memory: &impl TableMemory, start: u64, end: u64) -> Result<(), PagingError> {
        let mut at = start;
        while at < end {
            let slot = self.walk(memory, GuestPhysical(at));
            if !F::is_present(slot.entry) {
                return Err(PagingError::NotMapped(GuestPhysical(at)));
            }
            at = end_of_slot(slot.level, at);
        }
        Ok(())
    }

    /// Checks that a host range is page-aligned and within the physical address space.
    fn check_host(&self, host: HostPhysical, bytes: u64) -> Result<(), PagingError> {
        if !host.is_aligned(PAGE) {
            return Err(PagingError::UnalignedHost(host));
        }
        match host.checked_add(bytes) {
            Some(end) if end.0 <= self.host_end => Ok(()),
            _ => Err(PagingError::BeyondHost { host, bytes }),
        }
    }
}

/// The end of a range, after checking that it consists of whole pages and is within what four levels translate.
fn range_end(guest: GuestPhysical, bytes: u64) -> Result<u64, PagingError> {
    if bytes == 0 || !guest.is_aligned(PAGE) || !bytes.is_multiple_of(PAGE) {
        return Err(PagingError::Unaligned { guest, bytes });
    }
    match guest.checked_add(bytes) {
        Some(end) if end.0 <= GUEST_END => Ok(end.0),
        _ => Err(PagingError::BeyondGuest { guest, bytes }),
    }
}

/// Allocates a table and checks its address.
fn new_table(memory: &mut impl TableMemory, host_end: u64) -> Result<HostPhysical, PagingError> {
    let table = memory.allocate().ok_or(PagingError::OutOfTables)?;
    if table.is_aligned(PAGE) && table.0 < host_end { Ok(table) } else { Err(PagingError::BadTable(table)) }
}

fn refers_to_table<F: Format>(level: u32, entry: u64) -> bool {
    F::is_present(entry) && PageSize::at_level(level).is_none_or(|size| !F::is_page(entry, size))
}

/// The address of the page that `entry` maps. In the entry of a large page, bits below its alignment are not part
/// of the address.
fn page_address<F: Format>(entry: u64, size: PageSize) -> HostPhysical {
    HostPhysical(F::address(entry).0 & !(size.bytes() - 1))
}

/// The index of the entry for `guest` in a level-`level` table.
fn index_at(level: u32, guest: u64) -> usize {
    ((guest / bytes_at(level)) & INDEX_MASK) as usize
}

/// The first address after the range that the entry for `at` in a level-`level` table covers.
fn end_of_slot(level: u32, at: u64) -> u64 {
    (at | (bytes_at(level) - 1)) + 1
}
