//! The memory map of a BIOS: what INT 15h with AX=E820h returns [ACPI 6.5 15.1], as a loader puts it into Linux' zero page
//! [Linux, arch/x86/zero-page].

/// Size of the zero page.
pub const ZERO_PAGE: usize = 4096;
/// Most entries that it has room for.
pub const MOST_ENTRIES: usize = 128;
/// Offsets of the number of entries, and of the entries.
const COUNT: usize = 0x1e8;
const ENTRIES: usize = 0x2d0;
const ENTRY_BYTES: usize = 20;
/// The type of memory that may be used.
const USABLE: u32 = 1;
const PAGE: u64 = 4096;
/// Each entry has two ends.
const MOST_ENDS: usize = 2 * MOST_ENTRIES;

/// Usable memory: whole pages, from `start` up to and without `end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsableMemory {
    /// The address of the first byte.
    pub start: u64,
    /// The address after the last byte.
    pub end: u64,
}

/// All usable memory, sorted, without overlaps.
pub struct UsableMap {
    regions: [UsableMemory; MOST_ENDS],
    count: usize,
}

impl UsableMap {
    /// Reads the map in a zero page. Entries may be in any order and overlap: what one of them reserves is not usable.
    pub fn read(zero_page: &[u8; ZERO_PAGE]) -> Self {
        let count = usize::from(zero_page[COUNT]).min(MOST_ENTRIES);
        let entries = || {
            zero_page[ENTRIES..].chunks_exact(ENTRY_BYTES).take(count).map(|entry| {
                let number = |at: usize| {
                    entry[at..at + 8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
                };
                let kind = entry[16..20].iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
                pages(number(0), number(8), kind == USABLE)
            })
        };
        let mut ends = [0; MOST_ENDS];
        for (pair, (region, _)) in ends.chunks_exact_mut(2).zip(entries()) {
            pair.copy_from_slice(&[region.start, region.end]);
        }
        let ends = &mut ends[..2 * count];
        ends.sort_unstable();
        let mut map = Self { regions: [UsableMemory::default(); MOST_ENDS], count: 0 };
        for pair in ends.windows(2).filter(|pair| pair[0] < pair[1]) {
            let mut covering =
                entries().filter(|(region, _)| region.start <= pair[0] && pair[1] <= region.end).peekable();
            if covering.peek().is_some() && covering.all(|(_, usable)| usable) {
                map.add(pair[0], pair[1]);
            }
        }
        map
    }

    /// The regions.
    pub fn regions(&self) -> &[UsableMemory] {
        &self.regions[..self.count]
    }

    fn add(&mut self, start: u64, end: u64) {
        match self.regions[..self.count].last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => {
                self.regions[self.count] = UsableMemory { start, end };
                self.count += 1;
            }
        }
    }
}

/// The whole pages of an entry: of usable memory those that it has completely, otherwise those that it touches.
fn pages(start: u64, bytes: u64, usable: bool) -> (UsableMemory, bool) {
    let end = start.saturating_add(bytes);
    let (down, up) = (
        |at: u64| at / PAGE * PAGE,
        |at: u64| at.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX / PAGE * PAGE),
    );
    let (start, end) = if usable { (up(start), down(end)) } else { (down(start), up(end)) };
    (UsableMemory { start, end: end.max(start) }, usable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(entries: &[(u64, u64, u32)]) -> Vec<(u64, u64)> {
        let mut page = [0; ZERO_PAGE];
        page[COUNT] = u8::try_from(entries.len()).unwrap();
        for (index, (start, bytes, kind)) in entries.iter().enumerate() {
            let entry = &mut page[ENTRIES + index * ENTRY_BYTES..][..ENTRY_BYTES];
            entry[..8].copy_from_slice(&start.to_le_bytes());
            entry[8..16].copy_from_slice(&bytes.to_le_bytes());
            entry[16..].copy_from_slice(&kind.to_le_bytes());
        }
        UsableMap::read(&page).regions().iter().map(|region| (region.start, region.end)).collect()
    }

    #[test]
    fn memory_is_sorted_and_joined_and_in_whole_pages() {
        let map = [
            (0x100000, 0x100000, 1),
            (0, 0x9fc00, 1),
            (0x9fc00, 0x400, 2),
            (0x200000, 0x5800, 1),
            (1 << 32, 0x3000, 1),
        ];
        assert_eq!(usable(&map), [(0, 0x9f000), (0x100000, 0x205000), (1 << 32, (1 << 32) + 0x3000)]);
    }

    #[test]
    fn what_an_entry_reserves_is_not_usable_whatever_another_says() {
        let map = [(0x100000, 0x100000, 1), (0x140800, 0x100, 2), (0x1ff000, 0x5000, 4)];
        assert_eq!(usable(&map), [(0x100000, 0x140000), (0x141000, 0x1ff000)]);
    }

    #[test]
    fn an_absurd_map_gives_no_memory_and_no_panic() {
        assert!(usable(&[]).is_empty());
        assert!(
            usable(&[(u64::MAX, u64::MAX, 2), (0x1800, 0x800, 1), (5, 0, 1), (0x1001, 0xffe, 1)]).is_empty()
        );
        assert!(usable(&[(0, u64::MAX, 1), (0, u64::MAX, 2)]).is_empty());
        let many: Vec<_> = (0..160u64).map(|index| (index * 0x2000, 0x1000, 1)).collect();
        assert_eq!(usable(&many).len(), MOST_ENTRIES);
    }
}
