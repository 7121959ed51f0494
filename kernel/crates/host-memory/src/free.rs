//! The machine's free memory.

use crate::LARGE_PAGE;
use base::HostPhysical;

/// Most free pieces that are tracked.
const PIECES: usize = 128;
/// Most runs that one guest's memory may be in. Each takes a few comparisons of an access to guest memory that is in
/// none before it; a machine's memory map has a handful of large pieces.
pub const MAX_RUNS: usize = 32;

/// Contiguous memory of the machine, in whole large pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its first address.
    pub start: HostPhysical,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The runs that one guest's memory is in.
pub type Runs = heapless::Vec<Run, MAX_RUNS>;

/// Why a guest cannot have its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryShortage {
    /// The machine has less left.
    #[error(
        "it needs {} MiB of memory, and {} MiB are left in pieces of 2 MiB or more: give it or the guests before it less",
        .bytes >> 20, .left >> 20
    )]
    TooLittle {
        /// What it needs.
        bytes: u64,
        /// What is left for guests.
        left: u64,
    },
    /// There is enough, in too many pieces.
    #[error(
        "the {} MiB of memory that it needs are left in more than {MAX_RUNS} pieces, and the largest {MAX_RUNS} have {} MiB together: give it less",
        .bytes >> 20, .largest >> 20
    )]
    TooManyPieces {
        /// What it needs.
        bytes: u64,
        /// What it could have.
        largest: u64,
    },
}

#[derive(Clone, Copy, Debug)]
struct Free {
    start: u64,
    end: u64,
}

impl Free {
    fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// The whole large pages in it.
    fn large_pages(&self) -> Option<Run> {
        let start = self.start.checked_next_multiple_of(LARGE_PAGE)?;
        let bytes = (self.end & !(LARGE_PAGE - 1)).checked_sub(start).filter(|bytes| *bytes > 0)?;
        Some(Run { start: HostPhysical(start), bytes })
    }
}

/// The machine's free memory, as a list of pieces. What is taken is never given back.
///
/// ```
/// use base::HostPhysical;
/// use host_memory::FreeMemory;
///
/// const MIB: u64 = 1 << 20;
/// let mut free = FreeMemory::new();
/// free.add(16 * MIB..96 * MIB);
/// free.add(128 * MIB..160 * MIB);
/// assert_eq!(free.take(4096, 4096), Some(HostPhysical(128 * MIB)), "the smallest piece that has room");
/// let runs = free.take_runs(100 * MIB)?;
/// assert_eq!(runs.iter().map(|run| run.bytes / MIB).collect::<Vec<_>>(), [80, 20]);
/// assert_eq!(free.left(), 12 * MIB - 4096);
/// # Ok::<(), host_memory::MemoryShortage>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct FreeMemory {
    pieces: heapless::Vec<Free, PIECES>,
}

impl FreeMemory {
    /// No memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { pieces: heapless::Vec::new() }
    }

    /// Adds a piece. One that begins where the last one ended is joined to it; if there are more than can be tracked,
    /// the largest are kept.
    pub fn add(&mut self, piece: core::ops::Range<u64>) {
        if piece.start >= piece.end {
            return;
        }
        if let Some(before) = self.pieces.last_mut().filter(|before| before.end == piece.start) {
            before.end = piece.end;
        } else {
            self.keep(Free { start: piece.start, end: piece.end });
        }
    }

    /// Tracks a piece, in place of the smallest if there is no room.
    fn keep(&mut self, piece: Free) {
        if let Err(piece) = self.pieces.push(piece)
            && let Some(smallest) = self.pieces.iter_mut().min_by_key(|kept| kept.bytes())
            && smallest.bytes() < piece.bytes()
        {
            *smallest = piece;
        }
    }

    /// Free bytes.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.pieces.iter().map(Free::bytes).sum()
    }

    /// Takes `bytes` in one piece at a multiple of `alignment`, a power of two: from the smallest piece that has room,
    /// so that large ones stay whole.
    pub fn take(&mut self, bytes: u64, alignment: u64) -> Option<HostPhysical> {
        self.take_below(u64::MAX, bytes, alignment)
    }

    /// As [`take`](Self::take), below the address `limit`: for devices that reach no further.
    pub fn take_below(&mut self, limit: u64, bytes: u64, alignment: u64) -> Option<HostPhysical> {
        let fits = |piece: &Free| {
            let start = piece.start.checked_next_multiple_of(alignment)?;
            (start.checked_add(bytes)? <= piece.end.min(limit)).then_some(start)
        };
        let fitting = self.pieces.iter().filter_map(|piece| Some((piece.bytes(), fits(piece)?)));
        let (_, start) = fitting.min_by_key(|(size, _)| *size)?;
        self.remove(start, start + bytes);
        Some(HostPhysical(start))
    }

    /// Takes `bytes`, a multiple of [`LARGE_PAGE`], in as few runs as possible: one if a piece has room, else the
    /// largest pieces.
    ///
    /// # Errors
    /// [`MemoryShortage`]; nothing is taken then.
    pub fn take_runs(&mut self, bytes: u64) -> Result<Runs, MemoryShortage> {
        let mut offered: heapless::Vec<Run, PIECES> =
            self.pieces.iter().filter_map(Free::large_pages).collect();
        let left = offered.iter().map(|run| run.bytes).sum();
        if left < bytes {
            return Err(MemoryShortage::TooLittle { bytes, left });
        }
        let mut runs = Runs::new();
        let mut wanted = bytes;
        while wanted > 0 {
            let candidates = || offered.iter().copied().enumerate();
            let whole = candidates().filter(|(_, run)| run.bytes >= wanted).min_by_key(|(_, run)| run.bytes);
            let next = whole.or_else(|| candidates().max_by_key(|(_, run)| run.bytes));
            // There is one: what is offered covers what is wanted.
            let Some((index, mut run)) = next else { break };
            offered.swap_remove(index);
            run.bytes = run.bytes.min(wanted);
            if runs.push(run).is_err() {
                return Err(MemoryShortage::TooManyPieces { bytes, largest: bytes - wanted });
            }
            wanted -= run.bytes;
        }
        for run in &runs {
            self.remove(run.start.0, run.start.0 + run.bytes);
        }
        Ok(runs)
    }

    /// Removes a range, which lies inside one piece; what is left of the piece on either side stays.
    fn remove(&mut self, start: u64, end: u64) {
        let Some(index) = self.pieces.iter().position(|piece| piece.start <= start && end <= piece.end)
        else {
            return;
        };
        let piece = self.pieces.swap_remove(index);
        for rest in [Free { start: end, end: piece.end }, Free { start: piece.start, end: start }] {
            if rest.bytes() > 0 {
                self.keep(rest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const PAGE: u64 = 4096;

    fn memory(pieces: &[(u64, u64)]) -> FreeMemory {
        let mut free = FreeMemory::new();
        pieces.iter().for_each(|(start, end)| free.add(start * MIB..end * MIB));
        free
    }

    #[test]
    fn a_device_that_reaches_4_gib_gets_nothing_above() {
        let mut free = memory(&[(4090, 4100), (8192, 8193)]);
        assert_eq!(free.take_below(1 << 32, 2 * MIB, PAGE), Some(HostPhysical(4090 * MIB)));
        assert_eq!(free.take_below(1 << 32, 5 * MIB, PAGE), None);
        assert_eq!(free.take_below(1 << 32, 4 * MIB, PAGE), Some(HostPhysical(4092 * MIB)));
        assert_eq!(free.take_below(1 << 32, PAGE, PAGE), None);
        assert_eq!(free.left(), 5 * MIB);
    }

    fn mebibytes(runs: &Runs) -> heapless::Vec<(u64, u64), MAX_RUNS> {
        runs.iter().map(|run| (run.start.0 / MIB, run.bytes / MIB)).collect()
    }

    #[test]
    fn adjacent_pieces_are_joined() {
        let mut free = FreeMemory::new();
        for page in (0..1000).filter(|page| *page != 500) {
            free.add(MIB + page * PAGE..MIB + (page + 1) * PAGE);
        }
        assert_eq!((free.left(), free.pieces.len()), (999 * PAGE, 2));
    }

    #[test]
    fn the_largest_of_too_many_pieces_are_kept() {
        // As in the maps of real machines: small pieces below 4 GiB, and nearly everything after them.
        let mut free = FreeMemory::new();
        for at in (0..200).map(|index| MIB + 2 * index * PAGE) {
            free.add(at..at + PAGE);
        }
        free.add(1 << 32..9 << 32);
        assert_eq!(free.left(), (8 << 32) + (PIECES as u64 - 1) * PAGE);
    }

    #[test]
    fn one_piece_is_taken_where_one_has_room() {
        let mut free = memory(&[(16, 1040), (4096, 8192), (9000, 9600)]);
        let runs = free.take_runs(600 * MIB).unwrap();
        assert_eq!(mebibytes(&runs), [(9000, 600)]);
        let runs = free.take_runs(600 * MIB).unwrap();
        assert_eq!(mebibytes(&runs), [(16, 600)]);
    }

    #[test]
    fn a_guest_larger_than_any_piece_gets_the_largest_ones() {
        // A PC with 8 GiB: 3 GiB below the hole for devices, 5 GiB above it.
        let mut free = memory(&[(16, 3072), (4096, 9216)]);
        let runs = free.take_runs(6144 * MIB).unwrap();
        assert_eq!(mebibytes(&runs), [(4096, 5120), (16, 1024)]);
        assert_eq!(free.left(), 2032 * MIB);
    }

    #[test]
    fn pieces_smaller_than_a_large_page_are_left_to_smaller_needs() {
        let mut free = memory(&[(1, 2), (3, 5), (7, 9), (11, 16)]);
        assert_eq!(free.take_runs(6 * MIB), Err(MemoryShortage::TooLittle { bytes: 6 * MIB, left: 4 * MIB }));
        assert_eq!(mebibytes(&free.take_runs(4 * MIB).unwrap()), [(12, 4)]);
        assert_eq!(free.left(), 6 * MIB);
    }

    #[test]
    fn what_cannot_be_had_leaves_everything_as_it_was() {
        let pieces: [(u64, u64); 40] =
            core::array::from_fn(|index| (16 + 4 * index as u64, 18 + 4 * index as u64));
        let mut free = memory(&pieces);
        let shortage = MemoryShortage::TooManyPieces { bytes: 70 * MIB, largest: 64 * MIB };
        assert_eq!(free.take_runs(70 * MIB), Err(shortage));
        assert_eq!(
            free.take_runs(u64::MAX),
            Err(MemoryShortage::TooLittle { bytes: u64::MAX, left: 80 * MIB })
        );
        assert_eq!(free.left(), 80 * MIB);
        assert_eq!(free.take(3 * MIB, PAGE), None);
        assert_eq!(free.take(u64::MAX, PAGE), None);
        assert_eq!(free.take_runs(64 * MIB).map(|runs| runs.len()), Ok(MAX_RUNS));
    }

    #[test]
    fn a_shortage_says_what_is_needed_and_what_is_left() {
        let text = alloc::format!("{}", memory(&[(16, 80)]).take_runs(128 * MIB).unwrap_err());
        assert!(text.starts_with("it needs 128 MiB of memory, and 64 MiB are left"), "{text}");
    }
}
