//! Weir as one EFI application: this program with two more sections, the kernel and the bundle, which the boot
//! tool adds. Firmware loads everything at once, whether from a disk, by PXE, by HTTP boot or through iPXE.
//! Therefore nothing has to be found or fetched here, and no boot path needs its own code.
//!
//! After ExitBootServices the `bootloader` crate takes over: the kernel cannot distinguish this stage from the
//! BIOS one.
#![no_std]
#![no_main]

mod firmware;
mod image;
mod memory;

use boot_memory::last_ram::regions_to_last_ram;
use bootloader_boot_config::BootConfig;
use bootloader_x86_64_common::legacy_memory_region::LegacyFrameAllocator;
use bootloader_x86_64_common::{Kernel, SystemInfo, load_and_switch_to_kernel};
use uefi::Status;
use uefi::mem::memory_map::{MemoryMap, MemoryMapMut};
use x86_64::registers::control::{Cr4, Cr4Flags};

/// Starts the kernel that this application contains. Returns only if there is none.
#[uefi::entry]
fn main() -> Status {
    let parts = match image::parts() {
        Ok(parts) => parts,
        Err(error) => {
            uefi::println!("Weir: {error}");
            return Status::LOAD_ERROR;
        }
    };
    uefi::println!("Weir: kernel {} KiB, guests {} KiB", parts.kernel.len() >> 10, parts.bundle.len() >> 10);
    // The common part loads tables of four levels into CR3, which the processor would read as five [SDM3A 4.1.1]; and
    // CR4.LA57 changes only outside of 64-bit mode.
    if Cr4::read().contains(Cr4Flags::L5_PAGING) {
        uefi::println!("Weir: the firmware uses 5-level paging (LA57): switch it off in its set-up");
        return Status::UNSUPPORTED;
    }
    let kernel = Kernel::parse(parts.kernel);
    let system = SystemInfo {
        framebuffer: firmware::framebuffer(),
        rsdp_addr: firmware::rsdp(),
        ramdisk_addr: Some(parts.bundle.as_ptr() as u64),
        ramdisk_len: parts.bundle.len() as u64,
    };

    // SAFETY: nothing that boot services own is used from here on: `parts` is in this image, the rest are numbers.
    let mut map = unsafe { uefi::boot::exit_boot_services(None) };
    map.sort();
    let count = regions_to_last_ram(map.entries().map(|entry| memory::is_ram(entry.ty)));
    let mut frames = LegacyFrameAllocator::new(map.entries().take(count).copied().map(memory::Region));
    let tables = memory::page_tables(&mut frames, system.framebuffer.as_ref());
    load_and_switch_to_kernel(kernel, BootConfig::default(), frames, tables, system)
}

/// Reached by failed checks of the loader. After ExitBootServices nothing can be printed any more.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo) -> ! {
    uefi::println!("Weir: {info}");
    loop {
        x86_64::instructions::interrupts::disable();
        x86_64::instructions::hlt();
    }
}
