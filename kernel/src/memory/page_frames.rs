//! Physical memory, allocated at boot and never freed: guest memory, page tables, DMA buffers, the heap.

use super::physical;
use crate::processor::narrow::to_usize;
use base::HostPhysical;
use host_memory::{FreeMemory, MemoryShortage, Runs};

/// Bytes in a frame.
pub const PAGE: u64 = 4096;

/// Memory below this is not allocated: it holds firmware data and the start pages of other processors.
const LOWEST: u64 = 0x10_0000;

/// Bytes of [`PageFrames::low`].
const LOW_BYTES: u64 = 4 * PAGE;
/// Below this address the BIOS keeps its interrupt table and data.
const LOW_START: u64 = 0x1000;
/// End of conventional memory on a PC.
const LOW_END: u64 = 0xa_0000;

/// Contents of a [`MemoryRegion`]. Regions of other kinds are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryRegionKind {
    /// Free for Weir.
    Usable,
    /// The kernel, its stack and page tables, and the ramdisk.
    Bootloader,
}

/// A region of the machine's memory, as the loader reports it.
#[derive(Clone, Copy, Debug)]
pub struct MemoryRegion {
    /// Its first address.
    pub start: u64,
    /// The address after its last.
    pub end: u64,
    /// Its contents.
    pub kind: MemoryRegionKind,
}

/// Why memory could not be allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageFrameError {
    /// No free piece of the machine's memory is large enough.
    #[error(
        "no free piece of memory has {bytes:#x} bytes aligned to {alignment:#x}; {left:#x} bytes are free in total"
    )]
    Exhausted {
        /// Requested size.
        bytes: u64,
        /// Requested alignment.
        alignment: u64,
        /// Free bytes in all pieces together.
        left: u64,
    },
}

/// The machine's free memory. Nothing is ever freed: assignment is static.
pub struct PageFrames {
    free: FreeMemory,
    total: u64,
    low: Option<HostPhysical>,
    loader: u64,
}

impl PageFrames {
    /// Takes over the regions that the loader reports, in any order. UEFI's map has usable memory in many pieces.
    pub fn new(regions: impl IntoIterator<Item = MemoryRegion>) -> Self {
        let mut frames = Self { free: FreeMemory::new(), total: 0, low: None, loader: 0 };
        for region in regions {
            match region.kind {
                MemoryRegionKind::Usable => frames.add(region),
                MemoryRegionKind::Bootloader => frames.loader += region.end - region.start,
            }
        }
        frames.total = frames.left();
        frames
    }

    fn add(&mut self, region: MemoryRegion) {
        // The highest low piece: firmware leaves its own data at the bottom.
        self.low = self.low.max(low_piece(region));
        self.free.add(region.start.max(LOWEST).next_multiple_of(PAGE)..region.end & !(PAGE - 1));
    }

    /// Bytes that the loader has filled: the kernel, its stack and page tables, and the ramdisk.
    pub fn loader(&self) -> u64 {
        self.loader
    }

    /// Four contiguous frames below 640 KiB that nothing else uses: the start pages of other processors.
    pub fn low(&self) -> Option<HostPhysical> {
        self.low
    }

    /// Bytes that were free at first.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes not yet allocated.
    pub fn left(&self) -> u64 {
        self.free.left()
    }

    /// Allocates `bytes` (rounded up to frames) in one piece at a multiple of `alignment`, zeroed.
    ///
    /// # Errors
    /// [`PageFrameError::Exhausted`] when no piece is large enough.
    pub fn allocate(&mut self, bytes: u64, alignment: u64) -> Result<HostPhysical, PageFrameError> {
        self.allocate_below(u64::MAX, bytes, alignment)
    }

    /// As [`allocate`](Self::allocate), below the address `limit`.
    ///
    /// # Errors
    /// [`PageFrameError::Exhausted`].
    pub fn allocate_below(
        &mut self,
        limit: u64,
        bytes: u64,
        alignment: u64,
    ) -> Result<HostPhysical, PageFrameError> {
        let bytes = bytes.max(1).next_multiple_of(PAGE);
        let alignment = alignment.max(PAGE);
        let Some(at) = self.free.take_below(limit, bytes, alignment) else {
            return Err(PageFrameError::Exhausted { bytes, alignment, left: self.left() });
        };
        clear(at, bytes);
        Ok(at)
    }

    /// Allocates a guest's memory, zeroed, and lets `build` make what needs it. If that fails, the memory is free again,
    /// and so is everything that `build` allocated.
    ///
    /// # Errors
    /// [`MemoryShortage`], or the error of `build`.
    pub fn with_guest_memory<T, E: From<MemoryShortage>>(
        &mut self,
        bytes: u64,
        build: impl FnOnce(&mut Self, &Runs) -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.free.clone();
        let runs = self.free.take_runs(bytes)?;
        runs.iter().for_each(|run| clear(run.start, run.bytes));
        let built = build(self, &runs);
        if built.is_err() {
            self.free = before;
        }
        built
    }
}

/// Clears memory that was just taken from the free memory.
fn clear(at: HostPhysical, bytes: u64) {
    // SAFETY: the loader reported this memory as usable, it is in the direct map, and it was not allocated before, or
    // what it was allocated to is gone.
    unsafe { physical::pointer(at).write_bytes(0, to_usize(bytes)) };
}

/// The highest place in a region for [`PageFrames::low`].
fn low_piece(region: MemoryRegion) -> Option<HostPhysical> {
    let start = region.start.max(LOW_START);
    let at = (region.end.min(LOW_END).checked_sub(LOW_BYTES)?) & !(PAGE - 1);
    (at >= start).then_some(HostPhysical(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(start: u64, end: u64, kind: MemoryRegionKind) -> MemoryRegion {
        MemoryRegion { start, end, kind }
    }

    #[test]
    fn only_usable_memory_above_the_first_mebibyte_counts() {
        let frames = PageFrames::new([
            region(0, 0x9_f000, MemoryRegionKind::Usable),
            region(0xf_0000, 0x20_0800, MemoryRegionKind::Usable),
            region(0x30_0000, 0x40_0000, MemoryRegionKind::Bootloader),
        ]);
        assert_eq!(frames.total(), 0x10_0000);
        assert_eq!(frames.loader(), 0x10_0000);
    }

    #[test]
    fn low_memory_is_the_highest_place_that_fits_below_640_kib() {
        let low = |regions: &[MemoryRegion]| PageFrames::new(regions.iter().copied()).low().map(|at| at.0);
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
    fn the_error_for_too_large_a_request_says_how_much_is_left() {
        let mut frames = PageFrames::new([region(0x10_0000, 0x20_0000, MemoryRegionKind::Usable)]);
        assert_eq!(
            frames.allocate(0x20_0000, PAGE),
            Err(PageFrameError::Exhausted { bytes: 0x20_0000, alignment: PAGE, left: 0x10_0000 })
        );
    }

    #[test]
    fn a_guest_that_cannot_be_built_gives_its_memory_back() {
        // On the host the direct map begins at address 0.
        let memory = vec![0xee_u8; 8 << 20].leak();
        let start = memory.as_ptr() as u64;
        let mut frames = PageFrames::new([region(start, start + (8 << 20), MemoryRegionKind::Usable)]);
        let left = frames.left();
        let refused = frames.with_guest_memory(4 << 20, |frames, runs| {
            assert_eq!(runs.iter().map(|run| run.bytes).sum::<u64>(), 4 << 20);
            frames.allocate(PAGE, PAGE).unwrap();
            Err::<(), _>(MemoryShortage::TooLittle { bytes: 1, left: 0 })
        });
        assert!(refused.is_err());
        assert_eq!(frames.left(), left);
        let runs =
            frames.with_guest_memory(4 << 20, |_, runs| Ok::<_, MemoryShortage>(runs.clone())).unwrap();
        let offset = (runs[0].start.0 - start) as usize;
        assert!(memory[offset..][..4 << 20].iter().all(|byte| *byte == 0), "it is zeroed");
        assert_eq!(frames.left(), left - (4 << 20));
    }
}
