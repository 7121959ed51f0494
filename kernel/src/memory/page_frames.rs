//! Physical memory handed out at boot, for good: guest memory, tables, DMA buffers, the heap.

use super::physical;
use base::HostPhysical;
use bootloader_api::info::{MemoryRegion, MemoryRegionKind};

/// Bytes in a frame.
pub const PAGE: u64 = 4096;

/// Memory below this stays untouched: firmware data, and where processors start.
const LOWEST: u64 = 0x10_0000;

/// Bytes of [`PageFrames::low`].
const LOW_BYTES: u64 = 4 * PAGE;
/// Below this the BIOS keeps its interrupt table and data.
const LOW_START: u64 = 0x1000;
/// From here on there is no memory on a PC.
const LOW_END: u64 = 0xa_0000;

/// Why memory could not be handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageFrameError {
    /// No region of the machine's memory has that much left in one piece.
    #[error(
        "{bytes:#x} bytes aligned to {alignment:#x} are not left in one piece; {left:#x} bytes are left in all"
    )]
    Exhausted {
        /// What was asked for.
        bytes: u64,
        /// Its alignment.
        alignment: u64,
        /// What is left, in all pieces together.
        left: u64,
    },
}

/// Most pieces that are remembered.
const PIECES: usize = 128;

#[derive(Clone, Copy)]
struct Free {
    start: u64,
    end: u64,
}

impl Free {
    fn bytes(&self) -> u64 {
        self.end - self.start
    }
}

/// The machine's free memory. Nothing is ever given back: assignment is static.
pub struct PageFrames {
    free: heapless::Vec<Free, PIECES>,
    total: u64,
    low: Option<HostPhysical>,
    loader: u64,
}

impl PageFrames {
    /// Takes over what the loader reports as usable, in any order. UEFI's map has it in many pieces; those that
    /// touch are joined, and if there are still more than fit, the largest are kept.
    pub fn new(regions: &[MemoryRegion]) -> Self {
        let mut free: heapless::Vec<Free, PIECES> = heapless::Vec::new();
        for region in regions.iter().filter(|r| r.kind == MemoryRegionKind::Usable) {
            let start = region.start.max(LOWEST).next_multiple_of(PAGE);
            let end = region.end & !(PAGE - 1);
            if start >= end {
                continue;
            }
            if let Some(before) = free.last_mut().filter(|before| before.end == start) {
                before.end = end;
            } else if let Err(piece) = free.push(Free { start, end })
                && let Some(smallest) = free.iter_mut().min_by_key(|kept| kept.bytes())
                && smallest.bytes() < piece.bytes()
            {
                *smallest = piece;
            }
        }
        let loader = regions.iter().filter(|r| r.kind == MemoryRegionKind::Bootloader);
        Self {
            total: free.iter().map(Free::bytes).sum(),
            free,
            low: low_piece(regions),
            loader: loader.map(|r| r.end - r.start).sum(),
        }
    }

    /// Bytes that the loader has put something into that stays: the kernel, its stack and page tables, the ramdisk.
    pub fn loader(&self) -> u64 {
        self.loader
    }

    /// Four frames in one piece below 640 KiB that nobody uses: where other processors take their first steps.
    pub fn low(&self) -> Option<HostPhysical> {
        self.low
    }

    /// Bytes that were usable at the start.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes not yet handed out.
    pub fn left(&self) -> u64 {
        self.free.iter().map(Free::bytes).sum()
    }

    /// Hands out `bytes` (rounded up to frames) in one piece at a multiple of `alignment`, zeroed.
    ///
    /// # Errors
    /// [`PageFrameError::Exhausted`] when no piece is large enough.
    pub fn allocate(&mut self, bytes: u64, alignment: u64) -> Result<HostPhysical, PageFrameError> {
        let bytes = bytes.max(1).next_multiple_of(PAGE);
        let alignment = alignment.max(PAGE);
        // The tightest piece that fits, so that large pieces stay whole for guests.
        let fit = self
            .free
            .iter()
            .enumerate()
            .filter(|(_, f)| f.start.next_multiple_of(alignment).saturating_add(bytes) <= f.end)
            .min_by_key(|(_, f)| f.bytes())
            .map(|(index, _)| index);
        let Some(index) = fit else {
            return Err(PageFrameError::Exhausted { bytes, alignment, left: self.left() });
        };
        let piece = self.free[index];
        let start = piece.start.next_multiple_of(alignment);
        self.free[index].start = start + bytes;
        if start > piece.start {
            // The gap before an aligned piece is kept when there is room to remember it.
            let _ = self.free.push(Free { start: piece.start, end: start });
        }
        let at = HostPhysical(start);
        // SAFETY: the loader reported this memory usable, it is in the direct map, and it was not handed
        // out before.
        unsafe { physical::pointer(at).write_bytes(0, bytes as usize) };
        Ok(at)
    }
}

/// The highest piece that fits: what firmware left behind lies low.
fn low_piece(regions: &[MemoryRegion]) -> Option<HostPhysical> {
    let usable = regions.iter().filter(|region| region.kind == MemoryRegionKind::Usable);
    let pieces = usable.filter_map(|region| {
        let start = region.start.max(LOW_START);
        let at = (region.end.min(LOW_END).checked_sub(LOW_BYTES)?) & !(PAGE - 1);
        (at >= start).then_some(HostPhysical(at))
    });
    pieces.max_by_key(|at| at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, end: u64, kind: MemoryRegionKind) -> MemoryRegion {
        MemoryRegion { start, end, kind }
    }

    #[test]
    fn only_usable_memory_above_the_first_mebibyte_counts() {
        let frames = PageFrames::new(&[
            region(0, 0x9_f000, MemoryRegionKind::Usable),
            region(0xf_0000, 0x20_0800, MemoryRegionKind::Usable),
            region(0x30_0000, 0x40_0000, MemoryRegionKind::Bootloader),
        ]);
        assert_eq!(frames.total(), 0x10_0000);
        assert_eq!(frames.loader(), 0x10_0000);
    }

    #[test]
    fn pieces_that_touch_are_one() {
        let mut regions: Vec<MemoryRegion> = (0..1000)
            .map(|index| 0x10_0000 + index * PAGE)
            .map(|start| region(start, start + PAGE, MemoryRegionKind::Usable))
            .collect();
        assert_eq!(PageFrames::new(&regions).total(), 1000 * PAGE);
        regions[500].kind = MemoryRegionKind::Bootloader;
        let frames = PageFrames::new(&regions);
        assert_eq!((frames.total(), frames.free.len()), (999 * PAGE, 2));
    }

    #[test]
    fn of_too_many_pieces_the_largest_are_kept() {
        // As in the maps of real machines: crumbs below 4 GiB, and nearly everything behind them.
        let crumbs = (0..200).map(|index| 0x10_0000 + 2 * index * PAGE);
        let mut regions: Vec<MemoryRegion> =
            crumbs.map(|start| region(start, start + PAGE, MemoryRegionKind::Usable)).collect();
        regions.push(region(1 << 32, 9 << 32, MemoryRegionKind::Usable));
        let frames = PageFrames::new(&regions);
        assert_eq!(frames.total(), (8 << 32) + (PIECES as u64 - 1) * PAGE);
    }

    #[test]
    fn low_memory_is_the_highest_that_fits_below_640_kib() {
        let low = |regions: &[MemoryRegion]| PageFrames::new(regions).low().map(|at| at.0);
        assert_eq!(low(&[region(0, 0x9_fc00, MemoryRegionKind::Usable)]), Some(0x9_b000));
        let split = [
            region(0x1000, 0x8_0000, MemoryRegionKind::Usable),
            region(0x9_e000, 0x20_0000, MemoryRegionKind::Usable),
        ];
        assert_eq!(low(&split), Some(0x7_c000));
        assert_eq!(low(&[region(0, 0x4fff, MemoryRegionKind::Usable)]), None);
        assert_eq!(low(&[region(0x1000, 0x8_0000, MemoryRegionKind::Bootloader)]), None);
    }

    #[test]
    fn too_large_a_request_says_what_is_left() {
        let mut frames = PageFrames::new(&[region(0x10_0000, 0x20_0000, MemoryRegionKind::Usable)]);
        assert_eq!(
            frames.allocate(0x20_0000, PAGE),
            Err(PageFrameError::Exhausted { bytes: 0x20_0000, alignment: PAGE, left: 0x10_0000 })
        );
    }
}
