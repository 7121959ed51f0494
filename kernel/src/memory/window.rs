//! Uncached windows onto device registers.

use super::{FRAME, Frames, physical};
use base::HostPhysical;
use core::sync::atomic::{AtomicU64, Ordering};
use x86_64::structures::paging::{
    FrameAllocator, Mapper, OffsetPageTable, Page, PageTable, PageTableFlags, PhysFrame, Size4KiB,
};
use x86_64::{PhysAddr, VirtAddr};

/// Where windows are put: a part of the kernel's half that the loader leaves alone.
const START: u64 = 0xffff_e000_0000_0000;

static NEXT: AtomicU64 = AtomicU64::new(START);

/// A range of device registers, mapped uncached for good.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: a window is an address range that stays mapped; accesses are single volatile instructions.
unsafe impl Send for Window {}

impl Window {
    /// Where it is mapped.
    pub fn address(&self) -> usize {
        self.start as usize
    }

    /// Reads the 32-bit register at `offset`; all ones outside the window, as an absent device answers.
    pub fn read(&self, offset: usize) -> u32 {
        debug_assert!(offset.is_multiple_of(4));
        if offset + 4 > self.bytes {
            return u32::MAX;
        }
        // SAFETY: inside the mapped range and aligned.
        unsafe { self.start.add(offset).cast::<u32>().read_volatile() }
    }

    /// Writes the 32-bit register at `offset`; does nothing outside the window.
    pub fn write(&mut self, offset: usize, value: u32) {
        debug_assert!(offset.is_multiple_of(4));
        if offset + 4 <= self.bytes {
            // SAFETY: inside the mapped range and aligned; what the register does is the driver's concern.
            unsafe { self.start.add(offset).cast::<u32>().write_volatile(value) }
        }
    }
}

struct TableFrames<'a>(&'a mut Frames);

// SAFETY: `Frames` hands every frame out once.
unsafe impl FrameAllocator<Size4KiB> for TableFrames<'_> {
    fn allocate_frame(&mut self) -> Option<PhysFrame> {
        let at = self.0.allocate(FRAME, FRAME).ok()?;
        PhysFrame::from_start_address(PhysAddr::new(at.0)).ok()
    }
}

/// Why a window could not be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes:#x} bytes of device registers at {at} could not be mapped")]
pub struct WindowError {
    at: HostPhysical,
    bytes: u64,
}

/// Maps `bytes` of device registers at `at`, strongly uncacheable: PCD and PWT select PAT entry 3, UC
/// [SDM3A 12.12.3].
///
/// # Errors
/// When no frame is left for the tables.
pub fn map(frames: &mut Frames, at: HostPhysical, bytes: u64) -> Result<Window, WindowError> {
    let error = WindowError { at, bytes };
    let first = at.0 & !(FRAME - 1);
    let end = at.0.checked_add(bytes).ok_or(error)?.next_multiple_of(FRAME);
    let start = NEXT.fetch_add(end - first + FRAME, Ordering::Relaxed);
    let root = x86_64::registers::control::Cr3::read().0.start_address().as_u64();
    // SAFETY: the active root table is in the direct map, and boot is single-threaded: no other reference
    // to the tables exists while this one does.
    let mut tables = unsafe {
        let root = &mut *physical::pointer(HostPhysical(root)).cast::<PageTable>();
        OffsetPageTable::new(root, VirtAddr::new(physical::offset()))
    };
    let flags = PageTableFlags::PRESENT
        | PageTableFlags::WRITABLE
        | PageTableFlags::NO_CACHE
        | PageTableFlags::WRITE_THROUGH
        | PageTableFlags::NO_EXECUTE;
    for offset in (0..end - first).step_by(FRAME as usize) {
        let page = Page::<Size4KiB>::containing_address(VirtAddr::new(start + offset));
        let frame = PhysFrame::containing_address(PhysAddr::new(first + offset));
        // SAFETY: the page is fresh, so nothing is mapped away; the frame is a device's, not memory.
        unsafe { tables.map_to(page, frame, flags, &mut TableFrames(frames)) }.map_err(|_| error)?.flush();
    }
    Ok(Window { start: (start + (at.0 - first)) as *mut u8, bytes: bytes as usize })
}
