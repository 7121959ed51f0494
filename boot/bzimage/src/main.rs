//! Weir as one file in the form of a Linux kernel, a bzImage: what loads Linux on a BIOS (iPXE, pxelinux, GRUB) loads
//! Weir. The boot tool puts this stage, the kernel and the bundle into it; as with the UEFI stage, nothing has to be
//! found or fetched here, and the `bootloader` crate's common part does the rest.
#![no_std]
#![no_main]

use boot_memory::e820::{UsableMap, UsableMemory, ZERO_PAGE};
use boot_memory::rsdp;
use bootloader_api::info::MemoryRegionKind;
use bootloader_boot_config::BootConfig;
use bootloader_x86_64_common::legacy_memory_region::{LegacyFrameAllocator, LegacyMemoryRegion};
use bootloader_x86_64_common::{Kernel, PageTables, SystemInfo, load_and_switch_to_kernel};
use core::arch::global_asm;
use core::fmt::Write;
use core::ops::Range;
use core::slice;
use x86_64::instructions::port::Port;
use x86_64::registers::control::Cr3;
use x86_64::structures::paging::{FrameAllocator, OffsetPageTable, PageTable, PhysFrame};
use x86_64::{PhysAddr, VirtAddr};

global_asm!(include_str!("setup.s"), options(att_syntax));
global_asm!(include_str!("entry.s"), options(att_syntax));

/// Offset of the ACPI root pointer's address in the zero page, where the loader knows it [Linux, arch/x86/zero-page].
const ACPI_RSDP_ADDR: usize = 0x70;
/// Where a BIOS keeps its extended data area's x86 segment, and where it keeps tables [ACPI 6.5 5.2.5.1].
const EXTENDED_AREA: u64 = 0x40e;
const BIOS_AREA: Range<u64> = 0xe_0000..0x10_0000;

/// Where the boot tool put the files.
#[repr(C)]
struct EmbeddedFiles {
    kernel: u64,
    kernel_bytes: u64,
    bundle: u64,
    bundle_bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct BiosRegion(UsableMemory);

impl LegacyMemoryRegion for BiosRegion {
    fn start(&self) -> PhysAddr {
        PhysAddr::new(self.0.start)
    }

    fn len(&self) -> u64 {
        self.0.end - self.0.start
    }

    fn kind(&self) -> MemoryRegionKind {
        MemoryRegionKind::Usable
    }

    fn usable_after_bootloader_exit(&self) -> bool {
        true
    }
}

/// Starts the kernel. Called in 64-bit mode with 4 GiB identity-mapped, with the zero page's address.
#[unsafe(no_mangle)]
extern "C" fn stage(zero_page: u64, files: &EmbeddedFiles) -> ! {
    // SAFETY: the loader, or the real-mode part, put the zero page there; nothing writes it any more.
    let zero_page = unsafe { &*(zero_page as *const [u8; ZERO_PAGE]) };
    assert!(files.bundle_bytes > 0, "this file contains no kernel: make it with `boot image`");
    let kernel = bytes(files.kernel, files.kernel_bytes);
    let system = SystemInfo {
        framebuffer: None,
        rsdp_addr: rsdp_address(zero_page).map(PhysAddr::new),
        ramdisk_addr: Some(files.bundle),
        ramdisk_len: files.bundle_bytes,
    };
    let map = UsableMap::read(zero_page);
    assert!(!map.regions().is_empty(), "the BIOS reports no memory");
    // The file is in usable memory: what is allocated comes behind it.
    let end = PhysAddr::new(files.bundle + files.bundle_bytes).align_up(4096u64);
    let regions = map.regions().iter().map(|region| BiosRegion(*region));
    let mut frames = LegacyFrameAllocator::new_starting_at(PhysFrame::containing_address(end), regions);
    let kernel_level_4_frame = frames.allocate_frame().expect("no memory is left behind this file");
    let new = kernel_level_4_frame.start_address().as_u64() as *mut PageTable;
    let own = Cr3::read().0.start_address().as_u64() as *mut PageTable;
    // SAFETY: the new frame was free, the other is this stage's root table; both are below 4 GiB, where everything is
    // identity-mapped, and nothing else refers to them.
    let tables = unsafe {
        new.write(PageTable::new());
        PageTables {
            bootloader: OffsetPageTable::new(&mut *own, VirtAddr::zero()),
            kernel: OffsetPageTable::new(&mut *new, VirtAddr::zero()),
            kernel_level_4_frame,
        }
    };
    load_and_switch_to_kernel(Kernel::parse(kernel), BootConfig::default(), frames, tables, system)
}

fn rsdp_address(zero_page: &[u8; ZERO_PAGE]) -> Option<u64> {
    let given = rsdp_of_loader(zero_page);
    if given != 0 {
        return Some(given);
    }
    let segment = bytes(EXTENDED_AREA, 2);
    let extended = u64::from(u16::from_le_bytes([segment[0], segment[1]])) << 4;
    let areas = [extended..extended + 1024, BIOS_AREA];
    areas.into_iter().filter(|area| area.start != 0).find_map(|area| {
        let at = rsdp::find(bytes(area.start, area.end - area.start))?;
        Some(area.start + at as u64)
    })
}

fn rsdp_of_loader(zero_page: &[u8; ZERO_PAGE]) -> u64 {
    zero_page[ACPI_RSDP_ADDR..][..8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Memory that nothing writes while this stage runs: parts of the loaded file, and of the BIOS.
fn bytes(start: u64, bytes: u64) -> &'static [u8] {
    // SAFETY: below 4 GiB everything is identity-mapped; see above.
    #[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits here")]
    unsafe {
        slice::from_raw_parts(start as *const u8, bytes as usize)
    }
}

/// The serial port, as firmware left it.
struct SerialLine;

impl Write for SerialLine {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            // A port that is not there reads as ready.
            let mut status = Port::<u8>::new(0x3fd);
            // SAFETY: COM1's line status and data; Weir's kernel does not run yet.
            unsafe {
                for _ in 0..100_000 {
                    if status.read() & 0x20 != 0 {
                        break;
                    }
                }
                Port::new(0x3f8).write(byte);
            }
        }
        Ok(())
    }
}

/// Reached by failed checks, of this stage and of the loader's common part.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    let _ = writeln!(SerialLine, "Weir: {}\r", info.message());
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}
