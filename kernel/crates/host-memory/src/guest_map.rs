//! Where a guest's memory lies in the machine's.

use crate::Run;
use alloc::sync::Arc;
use base::{GuestPhysical, HostPhysical};
use core::ops::Range;

/// A piece of guest memory that is contiguous in the machine's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPiece {
    /// Its guest-physical address.
    pub guest: GuestPhysical,
    /// Its host-physical address.
    pub host: HostPhysical,
    /// Its length in bytes.
    pub bytes: u64,
}

/// All memory of one guest, in ascending order of guest-physical addresses. Copies share it.
#[derive(Clone, Debug, Default)]
pub struct GuestMap {
    pieces: Arc<[MemoryPiece]>,
    /// The largest one, in which nearly all addresses are: it is looked at first.
    largest: Option<MemoryPiece>,
}

impl MemoryPiece {
    /// As [`GuestMap::part`], of this piece alone.
    #[inline]
    fn part(&self, at: GuestPhysical, bytes: u64) -> Option<(HostPhysical, u64)> {
        let offset = at.0.checked_sub(self.guest.0)?;
        let room = self.bytes.checked_sub(offset).filter(|room| *room > 0 || bytes == 0)?;
        Some((HostPhysical(self.host.0 + offset), room.min(bytes)))
    }
}

impl FromIterator<MemoryPiece> for GuestMap {
    /// The map with these pieces, which do not overlap.
    fn from_iter<I: IntoIterator<Item = MemoryPiece>>(pieces: I) -> Self {
        let pieces: Arc<[MemoryPiece]> = pieces.into_iter().collect();
        let largest = pieces.iter().max_by_key(|piece| piece.bytes).copied();
        Self { pieces, largest }
    }
}

impl GuestMap {
    /// Lays ranges of guest-physical addresses out over runs of the machine's memory: each with the offset in all runs
    /// together at which its memory begins. A range goes as far as the runs do.
    ///
    /// ```
    /// use base::{GuestPhysical, HostPhysical};
    /// use host_memory::{GuestMap, Run};
    ///
    /// let runs = [Run { start: HostPhysical(0x40_0000), bytes: 0x20_0000 }, Run { start: HostPhysical(0), bytes: 0x20_0000 }];
    /// // A hole at 0xa0000, whose memory is left unused.
    /// let map = GuestMap::new(&[(0..0xa_0000, 0), (0xc_0000..0x40_0000, 0xc_0000)], &runs);
    /// assert_eq!(map.part(GuestPhysical(0xc_0000), 4), Some((HostPhysical(0x4c_0000), 4)));
    /// assert_eq!(map.part(GuestPhysical(0x1f_fffe), 4), Some((HostPhysical(0x5f_fffe), 2)));
    /// assert_eq!(map.part(GuestPhysical(0x20_0000), 2), Some((HostPhysical(0), 2)));
    /// assert_eq!(map.part(GuestPhysical(0xa_0000), 1), None);
    /// ```
    #[must_use]
    pub fn new(ranges: &[(Range<u64>, u64)], runs: &[Run]) -> Self {
        let (mut before, mut pieces) = (0, alloc::vec::Vec::new());
        for run in runs {
            for (range, offset) in ranges {
                // Both as offsets in all runs together.
                let start = before.max(*offset);
                let end = (before + run.bytes).min(offset + (range.end - range.start));
                if start < end {
                    let guest = GuestPhysical(range.start + (start - offset));
                    let host = HostPhysical(run.start.0 + (start - before));
                    pieces.push(MemoryPiece { guest, host, bytes: end - start });
                }
            }
            before += run.bytes;
        }
        pieces.sort_by_key(|piece| piece.guest);
        pieces.into_iter().collect()
    }

    /// Its length in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }

    /// The pieces.
    #[must_use]
    pub fn pieces(&self) -> &[MemoryPiece] {
        &self.pieces
    }

    /// Where memory begins that holds the guest-physical addresses from `at` on, and how many bytes of it are
    /// contiguous, at most `bytes`. `None` if there is no memory at `at`.
    #[must_use]
    #[inline]
    pub fn part(&self, at: GuestPhysical, bytes: u64) -> Option<(HostPhysical, u64)> {
        let found = self.largest.and_then(|piece| piece.part(at, bytes));
        found.or_else(|| self.pieces.iter().find_map(|piece| piece.part(at, bytes)))
    }

    /// The memory at `from` as it is seen a second time at the addresses `at`; shorter, or `None`, where there is less.
    #[must_use]
    pub fn seen_again(&self, from: GuestPhysical, at: Range<u64>) -> Option<MemoryPiece> {
        let (host, bytes) = self.part(from, at.end - at.start)?;
        Some(MemoryPiece { guest: GuestPhysical(at.start), host, bytes })
    }

    /// Memory from the offset `from` on, counted through all pieces: where it begins, and how many bytes of it are
    /// contiguous, at most `bytes`. `None` past the end.
    #[must_use]
    pub fn at_offset(&self, from: u64, bytes: u64) -> Option<(HostPhysical, u64)> {
        let mut start = 0;
        self.pieces.iter().find_map(|piece| {
            let offset = from - start;
            start += piece.bytes.min(offset);
            let room = piece.bytes.checked_sub(offset).filter(|room| *room > 0)?;
            Some((HostPhysical(piece.host.0 + offset), room.min(bytes)))
        })
    }
}
