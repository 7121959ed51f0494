//! Translates the firmware's memory map for the loader, and makes the page tables that the kernel starts with.

use bootloader_api::info::MemoryRegionKind;
use bootloader_x86_64_common::legacy_memory_region::{LegacyFrameAllocator, LegacyMemoryRegion};
use bootloader_x86_64_common::{PageTables, RawFrameBufferInfo};
use uefi::boot::{MemoryDescriptor, MemoryType};
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::{FrameAllocator, OffsetPageTable, PageTable, PhysFrame};
use x86_64::{PhysAddr, VirtAddr};

const PAGE: u64 = 4096;

/// A region of the firmware's map.
#[derive(Clone, Copy, Debug)]
pub struct Region(pub MemoryDescriptor);

impl LegacyMemoryRegion for Region {
    fn start(&self) -> PhysAddr {
        PhysAddr::new(self.0.phys_start)
    }

    fn len(&self) -> u64 {
        self.0.page_count * PAGE
    }

    fn kind(&self) -> MemoryRegionKind {
        match self.0.ty {
            MemoryType::CONVENTIONAL => MemoryRegionKind::Usable,
            other => MemoryRegionKind::UnknownUefi(other.0),
        }
    }

    /// Includes the memory of boot services, which have ended, and of this stage, which ends soon [UEFI 2.10 7.2,
    /// table 7.10]. The loader's common part reserves the kernel and the bundle in this image.
    fn usable_after_bootloader_exit(&self) -> bool {
        matches!(
            self.0.ty,
            MemoryType::CONVENTIONAL
                | MemoryType::LOADER_CODE
                | MemoryType::LOADER_DATA
                | MemoryType::BOOT_SERVICES_CODE
                | MemoryType::BOOT_SERVICES_DATA
        )
    }
}

/// True for memory, whoever owns it; false for devices and for addresses that are only reserved [UEFI 2.10 7.2].
pub fn is_ram(kind: MemoryType) -> bool {
    matches!(
        kind,
        MemoryType::CONVENTIONAL
            | MemoryType::LOADER_CODE
            | MemoryType::LOADER_DATA
            | MemoryType::BOOT_SERVICES_CODE
            | MemoryType::BOOT_SERVICES_DATA
            | MemoryType::RUNTIME_SERVICES_CODE
            | MemoryType::RUNTIME_SERVICES_DATA
            | MemoryType::ACPI_RECLAIM
            | MemoryType::ACPI_NON_VOLATILE
    )
}

/// Makes page tables for this stage, which replace the firmware's, and empty ones for the kernel. All memory is
/// identity-mapped, as under boot services [UEFI 2.10 2.3.4].
pub fn page_tables<I>(
    frames: &mut LegacyFrameAllocator<I, Region>,
    screen: Option<&RawFrameBufferInfo>,
) -> PageTables
where
    I: ExactSizeIterator<Item = Region> + Clone,
{
    let end = frames.max_phys_addr().as_u64();
    let (own_frame, own) = new_table(frames);
    let (firmware_frame, _) = Cr3::read();
    // SAFETY: this is the active table, in identity-mapped memory, and no other processor runs.
    let firmware = unsafe { &*(firmware_frame.start_address().as_u64() as *const PageTable) };
    // The firmware's root table may be read-only; the tables below it are shared and not written.
    let mut keep = |start: u64, end: u64| {
        let (first, last) = (VirtAddr::new(start).p4_index(), VirtAddr::new(end - 1).p4_index());
        for index in usize::from(first)..=usize::from(last) {
            own[index] = firmware[index].clone();
        }
    };
    keep(0, end);
    if let Some(screen) = screen {
        let start = screen.addr.as_u64();
        keep(start, start + screen.info.byte_len as u64);
    }
    // SAFETY: it maps this code and all memory as the firmware's tables did.
    unsafe { Cr3::write(own_frame, Cr3Flags::empty()) };
    let (kernel_level_4_frame, kernel) = new_table(frames);
    // SAFETY: the two root tables are distinct, and all memory is identity-mapped: the offset is 0.
    unsafe {
        PageTables {
            bootloader: OffsetPageTable::new(own, VirtAddr::zero()),
            kernel: OffsetPageTable::new(kernel, VirtAddr::zero()),
            kernel_level_4_frame,
        }
    }
}

fn new_table<I>(frames: &mut LegacyFrameAllocator<I, Region>) -> (PhysFrame, &'static mut PageTable)
where
    I: ExactSizeIterator<Item = Region> + Clone,
{
    let frame = frames.allocate_frame().expect("a machine that could load this application has a free frame");
    let table = frame.start_address().as_u64() as *mut PageTable;
    // SAFETY: the frame was free, is identity-mapped, and is allocated only once.
    unsafe {
        table.write(PageTable::new());
        (frame, &mut *table)
    }
}
