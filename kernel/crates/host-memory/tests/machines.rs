//! Random machines: memory with holes, from which guests of random sizes are taken until nothing is left.

use base::{GuestPhysical, HostPhysical};
use host_memory::{FreeMemory, GuestMap, LARGE_PAGE};
use nested_paging::{Attributes, Ept, NestedPages, PageSize, TableMemory};
use proptest::prelude::*;
use std::ops::Range;

/// Where a PC's guests have no memory.
const HOLE: Range<u64> = 0xa_0000..0xc_0000;
/// End of memory below 4 GiB, made small so that guests of the test go beyond it.
const LOW: u64 = 16 << 20;
const HIGH: u64 = 1 << 32;

/// Tables from an address on that no machine of the test has memory at.
struct Tables(Vec<[u64; 512]>);

const TABLES: u64 = 1 << 40;

impl TableMemory for Tables {
    fn allocate(&mut self) -> Option<HostPhysical> {
        self.0.push([0; 512]);
        Some(HostPhysical(TABLES + 4096 * (self.0.len() as u64 - 1)))
    }

    fn read(&self, table: HostPhysical, index: usize) -> u64 {
        self.0[((table.0 - TABLES) >> 12) as usize][index]
    }

    fn write(&mut self, table: HostPhysical, index: usize, entry: u64) {
        self.0[((table.0 - TABLES) >> 12) as usize][index] = entry;
    }
}

/// The ranges of a guest's memory, with their offsets in what backs it.
fn ranges(bytes: u64) -> Vec<(Range<u64>, u64)> {
    let low = bytes.min(LOW);
    vec![(0..HOLE.start, 0), (HOLE.end..low, HOLE.end), (HIGH..HIGH + (bytes - low), low)]
}

/// A machine's memory: pieces of 4 KiB to 24 MiB with gaps of 4 KiB to 8 MiB between them.
fn machine() -> impl Strategy<Value = Vec<Range<u64>>> {
    proptest::collection::vec((1u64..0x800, 1u64..0x1800), 1..30).prop_map(|pieces| {
        let mut at = 1 << 20;
        let place = |(gap, length): (u64, u64)| {
            let start = at + 4096 * gap;
            at = start + 4096 * length;
            start..at
        };
        pieces.into_iter().map(place).collect()
    })
}

proptest! {
    #[test]
    fn guests_get_disjoint_memory_that_was_free_and_all_of_theirs(
        machine in machine(), guests in proptest::collection::vec((1u64..20, 1u64..64), 1..8)
    ) {
        let mut free = FreeMemory::new();
        machine.iter().cloned().for_each(|piece| free.add(piece));
        let mut taken: Vec<Range<u64>> = Vec::new();
        for (large_pages, small) in guests {
            // What Weir itself takes between guests.
            let before = free.left();
            if let Some(at) = free.take(small * 4096, 4096) {
                taken.push(at.0..at.0 + small * 4096);
                prop_assert_eq!(free.left(), before - small * 4096);
            }
            let (before, bytes) = (free.left(), large_pages * LARGE_PAGE);
            let Ok(runs) = free.take_runs(bytes) else {
                prop_assert_eq!(free.left(), before);
                continue;
            };
            prop_assert_eq!(free.left(), before - bytes);
            prop_assert!(runs.iter().all(|run| run.start.is_aligned(LARGE_PAGE) && run.bytes % LARGE_PAGE == 0));
            taken.extend(runs.iter().map(|run| run.start.0..run.start.0 + run.bytes));
            let map = GuestMap::new(&ranges(bytes), &runs);
            let hole = HOLE.end - HOLE.start;
            prop_assert_eq!(map.bytes(), bytes - hole);
            for (range, _) in ranges(bytes).iter().filter(|(range, _)| !range.is_empty()) {
                // Every byte of a range is there once: part follows part, up to the end.
                let mut at = range.start;
                while at < range.end {
                    let (host, length) = map.part(GuestPhysical(at), range.end - at).expect("memory");
                    prop_assert!(runs.iter().any(|run| (run.start.0..run.start.0 + run.bytes).contains(&host.0)
                        && host.0 + length <= run.start.0 + run.bytes));
                    prop_assert_eq!((host.0 ^ at) % LARGE_PAGE, 0, "large pages can map it");
                    at += length;
                }
                prop_assert_eq!(map.part(GuestPhysical(range.end), 1), None);
            }
        }
        taken.sort_by_key(|range| range.start);
        prop_assert!(taken.windows(2).all(|pair| pair[0].end <= pair[1].start), "{:x?}", taken);
        prop_assert!(taken.iter().all(|range| machine.iter().any(|piece| piece.start <= range.start && range.end <= piece.end)));
    }

    #[test]
    fn nested_tables_of_any_largest_page_translate_as_the_map_does(
        machine in machine(), large_pages in 1u64..20, probes in proptest::collection::vec(0u64..40 << 20, 1..50)
    ) {
        let mut free = FreeMemory::new();
        machine.iter().cloned().for_each(|piece| free.add(piece));
        let Ok(runs) = free.take_runs(large_pages * LARGE_PAGE) else { return Ok(()) };
        let map = GuestMap::new(&ranges(large_pages * LARGE_PAGE), &runs);
        for largest in [PageSize::Size4KiB, PageSize::Size2MiB, PageSize::Size1GiB] {
            let mut tables = Tables(Vec::new());
            let mut pages = NestedPages::<Ept>::new(&mut tables, 48).unwrap();
            for piece in map.pieces() {
                pages.map(&mut tables, piece.guest, piece.host, piece.bytes, Attributes::MEMORY, largest).unwrap();
            }
            for probe in &probes {
                // Half of the probes above 4 GiB.
                let at = GuestPhysical(if probe % 2 == 0 { *probe } else { HIGH + probe });
                let mapping = pages.translate(&tables, at);
                prop_assert_eq!(mapping.map(|mapping| mapping.host), map.part(at, 1).map(|(host, _)| host));
                if largest > PageSize::Size4KiB && at.0 >= LARGE_PAGE {
                    prop_assert!(mapping.is_none_or(|mapping| mapping.size == PageSize::Size2MiB), "{:?}", mapping);
                }
            }
        }
    }

    #[test]
    fn offsets_go_through_all_pieces_in_order(machine in machine(), large_pages in 1u64..20, step in 1u64..8 << 20) {
        let mut free = FreeMemory::new();
        machine.iter().cloned().for_each(|piece| free.add(piece));
        let Ok(runs) = free.take_runs(large_pages * LARGE_PAGE) else { return Ok(()) };
        let map = GuestMap::new(&ranges(large_pages * LARGE_PAGE), &runs);
        let (mut from, mut seen) = (0, Vec::new());
        while let Some((host, length)) = map.at_offset(from, step) {
            prop_assert!((1..=step).contains(&length));
            seen.push(host.0..host.0 + length);
            from += length;
        }
        prop_assert_eq!(from, map.bytes());
        seen.sort_by_key(|range| range.start);
        prop_assert!(seen.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
