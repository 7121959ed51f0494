//! Uncached windows onto device registers.

use super::{PageFrames, mapping};
use crate::processor::narrow::to_usize;
use base::HostPhysical;
use core::ptr::NonNull;
use volatile::VolatilePtr;
use x86_64::VirtAddr;
use x86_64::structures::paging::PageTableFlags;

pub use mapping::MappingError as WindowError;

/// A range of 32-bit device registers that is mapped uncached and never unmapped.
#[derive(Clone, Copy, Debug)]
pub struct RegisterWindow {
    start: VirtAddr,
    bytes: usize,
}

impl RegisterWindow {
    /// The register at `offset`, a multiple of 4; `None` outside the window.
    fn register(&self, offset: usize) -> Option<VolatilePtr<'_, u32>> {
        let register = self.start.as_mut_ptr::<u32>().wrapping_byte_add(offset);
        // SAFETY: inside the mapped range, which does not begin at address zero, and aligned. Registers are no memory of
        // Rust's, and each access is one volatile instruction. They are not shared: a local APIC belongs to its core, an
        // IO-APIC is behind a lock, a NIC has one driver. What a write does is the driver's responsibility.
        (offset.saturating_add(4) <= self.bytes && offset.is_multiple_of(4))
            .then(|| unsafe { VolatilePtr::new(NonNull::new_unchecked(register)) })
    }

    /// Reads the 32-bit register at `offset`; all ones outside the window, as from an absent device.
    pub fn read(&self, offset: usize) -> u32 {
        self.register(offset).map_or(u32::MAX, VolatilePtr::read)
    }

    /// Writes the 32-bit register at `offset`; does nothing outside the window.
    pub fn write(&mut self, offset: usize, value: u32) {
        if let Some(register) = self.register(offset) {
            register.write(value);
        }
    }
}

/// Maps `bytes` of device registers at `at`, strongly uncacheable: PCD and PWT select PAT entry 3, UC
/// [SDM3A 12.12.3].
///
/// # Errors
/// When no page frame is left for the page tables.
pub fn map(frames: &mut PageFrames, at: HostPhysical, bytes: u64) -> Result<RegisterWindow, WindowError> {
    let flags = PageTableFlags::NO_CACHE | PageTableFlags::WRITE_THROUGH;
    let start = mapping::map(frames, at, bytes, flags)?;
    Ok(RegisterWindow { start, bytes: to_usize(bytes) })
}
