//! Single calls, and what they do to the tree.

mod common;

use base::{GuestPhysical, HostPhysical};
use common::FakeMemory;
use nested_paging::{
    Attributes, Ept, Format, Mapping, MemoryType, NestedPages, Npt, PageSize, PagingError, Permissions,
    TableMemory,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const READ_ONLY: Attributes = Attributes { permissions: Permissions::READ, ..Attributes::MEMORY };

fn tree(limit: usize) -> (FakeMemory, NestedPages<Ept>) {
    let mut memory = FakeMemory::with_limit(limit);
    let pages = NestedPages::new(&mut memory, 40).expect("one table");
    (memory, pages)
}

fn map<F: Format>(
    pages: &mut NestedPages<F>,
    memory: &mut FakeMemory,
    guest: u64,
    host: u64,
    bytes: u64,
) -> Result<(), PagingError> {
    let (guest, host) = (GuestPhysical(guest), HostPhysical(host));
    pages.map(memory, guest, host, bytes, Attributes::MEMORY, PageSize::Size1GiB)
}

fn size_at(pages: &NestedPages<Ept>, memory: &FakeMemory, guest: u64) -> Option<PageSize> {
    pages.translate(memory, GuestPhysical(guest)).map(|mapping| mapping.size)
}

#[test]
fn pages_are_the_largest_that_both_addresses_allow() {
    let (mut memory, mut pages) = tree(16);
    map(&mut pages, &mut memory, GIB - 2 * MIB - 4 * KIB, 3 * GIB - 2 * MIB - 4 * KIB, 2 * GIB).unwrap();
    assert_eq!(size_at(&pages, &memory, GIB - 2 * MIB - 1), Some(PageSize::Size4KiB));
    assert_eq!(size_at(&pages, &memory, GIB - 2 * MIB), Some(PageSize::Size2MiB));
    assert_eq!(size_at(&pages, &memory, GIB), Some(PageSize::Size1GiB));
    assert_eq!(size_at(&pages, &memory, 3 * GIB - 2 * MIB - 4 * KIB - 1), Some(PageSize::Size4KiB));
    assert_eq!(size_at(&pages, &memory, 3 * GIB - 2 * MIB - 4 * KIB), None);

    // Host addresses shifted by 2 MiB: 2 MiB pages are possible, 1 GiB pages are not.
    map(&mut pages, &mut memory, 4 * GIB, 6 * GIB + 2 * MIB, GIB).unwrap();
    assert_eq!(size_at(&pages, &memory, 4 * GIB), Some(PageSize::Size2MiB));
}

#[test]
fn largest_bounds_the_page_size() {
    let (mut memory, mut pages) = tree(1024);
    let (guest, host) = (GuestPhysical(GIB), HostPhysical(GIB));
    for (largest, number) in [(PageSize::Size4KiB, 0), (PageSize::Size2MiB, 1)] {
        let guest = GuestPhysical(guest.0 + number * GIB);
        pages.map(&mut memory, guest, host, GIB, Attributes::MEMORY, largest).unwrap();
        assert_eq!(size_at(&pages, &memory, guest.0), Some(largest));
    }
}

#[test]
fn translation_keeps_the_offset_and_the_attributes() {
    let (mut memory, mut pages) = tree(16);
    map(&mut pages, &mut memory, 0, 4 * MIB, 2 * MIB).unwrap();
    let expected = Mapping {
        host: HostPhysical(4 * MIB + 0x12345),
        size: PageSize::Size2MiB,
        attributes: Attributes::MEMORY,
    };
    assert_eq!(pages.translate(&memory, GuestPhysical(0x12345)), Some(expected));
    assert_eq!(pages.translate(&memory, GuestPhysical(2 * MIB)), None);
    assert_eq!(pages.translate(&memory, GuestPhysical(1 << 48)), None);
    assert_eq!(pages.translate(&memory, GuestPhysical(u64::MAX)), None);
}

#[test]
fn overlap_names_the_first_mapped_address_and_changes_nothing() {
    let (mut memory, mut pages) = tree(16);
    map(&mut pages, &mut memory, 2 * MIB, 8 * MIB, 2 * MIB).unwrap();
    memory.log.clear();
    let error = map(&mut pages, &mut memory, MIB, 16 * MIB, 2 * MIB).unwrap_err();
    let existing = pages.translate(&memory, GuestPhysical(2 * MIB)).unwrap();
    assert_eq!(error, PagingError::Overlap { at: GuestPhysical(2 * MIB), existing });
    assert_eq!(memory.log, []);
    assert!(error.to_string().starts_with("guest address 0x200000 is already mapped to 0x800000"));
}

#[test]
fn running_out_of_tables_undoes_what_was_mapped() {
    // The root, one table of level 3, one of level 2: a 4 KiB page needs a fourth.
    let (mut memory, mut pages) = tree(3);
    let error = map(&mut pages, &mut memory, 0, 0, 4 * MIB + 4 * KIB).unwrap_err();
    assert_eq!(error, PagingError::OutOfTables);
    for at in [0, 2 * MIB, 4 * MIB] {
        assert_eq!(size_at(&pages, &memory, at), None);
    }
    map(&mut pages, &mut memory, 0, 0, 4 * MIB).expect("the tables are reused");
}

#[test]
fn a_split_without_a_free_table_changes_no_translation() {
    let (mut memory, mut pages) = tree(3);
    map(&mut pages, &mut memory, 0, 0, GIB).unwrap();
    let before = pages.translate(&memory, GuestPhysical(MIB));
    let (at, bytes) = (GuestPhysical(MIB), 4 * KIB);
    assert_eq!(pages.unmap(&mut memory, at, bytes), Err(PagingError::OutOfTables));
    assert_eq!(pages.protect(&mut memory, at, bytes, READ_ONLY), Err(PagingError::OutOfTables));
    let after = pages.translate(&memory, at);
    assert_eq!(before.map(|m| (m.host, m.attributes)), after.map(|m| (m.host, m.attributes)));
}

#[test]
fn a_hole_in_a_large_page_leaves_neighbouring_pages_mapped() {
    let (mut memory, mut pages) = tree(16);
    map(&mut pages, &mut memory, 0, 0, 4 * GIB).unwrap();
    pages.unmap(&mut memory, GuestPhysical(0xfee0_0000), 4 * KIB).unwrap();
    assert_eq!(size_at(&pages, &memory, 0xfee0_0000), None);
    for at in [0xfedf_ffff, 0xfee0_1000] {
        let mapping = pages.translate(&memory, GuestPhysical(at)).unwrap();
        assert_eq!((mapping.host, mapping.attributes), (HostPhysical(at), Attributes::MEMORY));
    }
    // 1 GiB split into 2 MiB and 4 KiB pages: two more tables than the root and the level-3 table.
    assert_eq!(memory.tables.len(), 4);
    assert_eq!(size_at(&pages, &memory, 0), Some(PageSize::Size1GiB));
}

#[test]
fn protect_changes_only_its_range() {
    let (mut memory, mut pages) = tree(16);
    map(&mut pages, &mut memory, 0, 0, 4 * MIB).unwrap();
    pages.protect(&mut memory, GuestPhysical(MIB), 2 * MIB, READ_ONLY).unwrap();
    let attributes = |at| pages.translate(&memory, GuestPhysical(at)).map(|mapping| mapping.attributes);
    assert_eq!(attributes(MIB - 1), Some(Attributes::MEMORY));
    assert_eq!(attributes(MIB), Some(READ_ONLY));
    assert_eq!(attributes(3 * MIB - 1), Some(READ_ONLY));
    assert_eq!(attributes(3 * MIB), Some(Attributes::MEMORY));
}

#[test]
fn ranges_with_holes_are_not_unmapped_or_protected() {
    let (mut memory, mut pages) = tree(16);
    map(&mut pages, &mut memory, 0, 0, 2 * MIB).unwrap();
    let error = Err(PagingError::NotMapped(GuestPhysical(2 * MIB)));
    assert_eq!(pages.unmap(&mut memory, GuestPhysical(MIB), 2 * MIB), error);
    assert_eq!(pages.protect(&mut memory, GuestPhysical(MIB), 2 * MIB, READ_ONLY), error);
    assert_eq!(size_at(&pages, &memory, MIB), Some(PageSize::Size2MiB));
}

#[test]
fn invalid_ranges_are_refused_with_their_values() {
    let (mut memory, mut pages) = tree(16);
    let mut refused = |guest, host, bytes| map(&mut pages, &mut memory, guest, host, bytes).unwrap_err();
    for (guest, bytes) in [(0, 0), (1, 4096), (0, 4095)] {
        let guest = GuestPhysical(guest);
        assert_eq!(refused(guest.0, 0, bytes), PagingError::Unaligned { guest, bytes });
    }
    assert_eq!(refused(0, 0x800, 4096), PagingError::UnalignedHost(HostPhysical(0x800)));
    for (guest, bytes) in [(1 << 48, 4096), ((1 << 48) - 4096, 8192), (u64::MAX - 4095, 4096)] {
        let guest = GuestPhysical(guest);
        assert_eq!(refused(guest.0, 0, bytes), PagingError::BeyondGuest { guest, bytes });
    }
    for (host, bytes) in [(1 << 40, 4096), ((1 << 40) - 4096, 8192), (u64::MAX - 4095, 4096)] {
        let host = HostPhysical(host);
        assert_eq!(refused(0, host.0, bytes), PagingError::BeyondHost { host, bytes });
    }
    assert_eq!(memory.log, []);
}

#[test]
fn the_last_guest_page_can_be_mapped_and_unmapped() {
    let (mut memory, mut pages) = tree(16);
    map(&mut pages, &mut memory, (1 << 48) - GIB, 0, GIB).unwrap();
    pages.unmap(&mut memory, GuestPhysical((1 << 48) - 4096), 4096).unwrap();
    assert_eq!(size_at(&pages, &memory, (1 << 48) - 4096), None);
    assert_eq!(size_at(&pages, &memory, (1 << 48) - 4097), Some(PageSize::Size4KiB));
}

#[test]
fn attributes_that_a_format_cannot_express_are_refused() {
    let mut memory = FakeMemory::with_limit(16);
    let mut pages = NestedPages::<Npt>::new(&mut memory, 48).unwrap();
    let combining = Attributes { memory_type: MemoryType::WriteCombining, ..Attributes::MEMORY };
    let (guest, host) = (GuestPhysical(0), HostPhysical(0));
    let error = Err(PagingError::Unsupported(combining));
    assert_eq!(pages.map(&mut memory, guest, host, 4096, combining, PageSize::Size4KiB), error);
    map(&mut pages, &mut memory, 0, 0, 4096).unwrap();
    assert_eq!(pages.protect(&mut memory, guest, 4096, combining), error);
}

#[test]
fn every_supported_attribute_survives_the_encoding() {
    fn check<F: Format>() {
        let mut memory = FakeMemory::with_limit(4);
        let mut pages = NestedPages::<F>::new(&mut memory, 52).unwrap();
        let types = [
            MemoryType::Uncacheable,
            MemoryType::WriteCombining,
            MemoryType::WriteThrough,
            MemoryType::WriteProtected,
            MemoryType::WriteBack,
        ];
        let mut supported = 0;
        for (memory_type, bits, ignore_guest_pat) in types.iter().flat_map(|memory_type| {
            (0..8).flat_map(move |bits| [false, true].map(move |ignore| (*memory_type, bits, ignore)))
        }) {
            let permissions = Permissions::from_bits(bits).unwrap();
            let attributes = Attributes { permissions, memory_type, ignore_guest_pat };
            let at = GuestPhysical(0);
            let host = HostPhysical((1 << 52) - 4096);
            if pages.map(&mut memory, at, host, 4096, attributes, PageSize::Size1GiB).is_ok() {
                let expected = Mapping { host, size: PageSize::Size4KiB, attributes };
                assert_eq!(pages.translate(&memory, at), Some(expected));
                pages.unmap(&mut memory, at, 4096).unwrap();
                supported += 1;
            }
        }
        assert!(supported >= 12, "{supported}");
    }
    check::<Ept>();
    check::<Npt>();
}

#[test]
fn pointers_have_the_fields_of_the_manuals() {
    let mut memory = FakeMemory::with_limit(2);
    let ept = NestedPages::<Ept>::new(&mut memory, 40).unwrap();
    assert_eq!(ept.eptp(false), ept.root().0 | 0x1e);
    assert_eq!(ept.eptp(true), ept.root().0 | 0x5e);
    let npt = NestedPages::<Npt>::new(&mut memory, 40).unwrap();
    assert_eq!(npt.ncr3(), npt.root().0);
}

#[test]
fn tables_outside_the_address_width_are_refused() {
    struct Beyond(u64);
    impl TableMemory for Beyond {
        fn allocate(&mut self) -> Option<HostPhysical> {
            Some(HostPhysical(self.0))
        }
        fn read(&self, _: HostPhysical, _: usize) -> u64 {
            0
        }
        fn write(&mut self, _: HostPhysical, _: usize, _: u64) {}
    }
    for at in [1 << 40, 0x1008] {
        let error = NestedPages::<Ept>::new(&mut Beyond(at), 40).unwrap_err();
        assert_eq!(error, PagingError::BadTable(HostPhysical(at)));
    }
    for bits in [0, 31, 53, 64, u32::MAX] {
        let error = NestedPages::<Ept>::new(&mut Beyond(0), bits).unwrap_err();
        assert_eq!(error, PagingError::BadAddressWidth(bits));
    }
}
