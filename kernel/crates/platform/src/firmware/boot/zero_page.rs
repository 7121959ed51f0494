//! The boot parameters, or "zero page", whose address a kernel gets in RSI [Linux boot protocol; Linux
//! zero-page documentation].

use super::entry::ZERO_PAGE;
use super::linux::{HEADER_START, SetupHeader};
use crate::layout::{MemoryLayout, RangeKind};
use base::bits::low_u32;
use base::{GuestMemory, GuestPhysical, MemoryError};
use core::ops::Range;

/// Offsets in the page.
const ACPI_RSDP_ADDR: usize = 0x070;
const E820_ENTRIES: usize = 0x1e8;
const VID_MODE: usize = 0x1fa;
const BOOT_FLAG: usize = 0x1fe;
const HEADER_MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const TYPE_OF_LOADER: usize = 0x210;
const LOADFLAGS: usize = 0x211;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const CMD_LINE_PTR: usize = 0x228;
const E820_TABLE: usize = 0x2d0;
const E820_ENTRY_BYTES: usize = 20;

/// A loader without an assigned number.
const UNDEFINED_LOADER: u8 = 0xff;
/// The protected-mode part lies at 1 MiB or above.
const LOADED_HIGH: u8 = 1 << 0;
/// "normal" video mode: the kernel does not ask for one.
const VIDEO_NORMAL: u16 = 0xffff;
/// E820 types [ACPI 6.5 15].
const USABLE: u32 = 1;
const RESERVED: u32 = 2;
/// The version given to a kernel without a header of its own: the newest protocol described here.
const PROTOCOL_2_15: u16 = 0x020f;

/// The variable contents of the page.
pub(super) struct Contents {
    pub header: Option<SetupHeader>,
    pub command_line: GuestPhysical,
    pub initrd: Range<u64>,
    pub rsdp: GuestPhysical,
}

/// Writes the page. All addresses fit 32 bits, because nothing is loaded above 4 GiB.
pub(super) fn write<M: GuestMemory>(
    memory: &M,
    layout: &MemoryLayout,
    contents: &Contents,
) -> Result<(), MemoryError> {
    let mut page = [0u8; 4096];
    let mut put = |offset: usize, bytes: &[u8]| page[offset..offset + bytes.len()].copy_from_slice(bytes);
    match &contents.header {
        Some(header) => put(HEADER_START, header.bytes()),
        None => {
            put(BOOT_FLAG, &0xaa55u16.to_le_bytes());
            put(HEADER_MAGIC, b"HdrS");
            put(VERSION, &PROTOCOL_2_15.to_le_bytes());
        }
    }
    put(ACPI_RSDP_ADDR, &contents.rsdp.0.to_le_bytes());
    put(VID_MODE, &VIDEO_NORMAL.to_le_bytes());
    put(TYPE_OF_LOADER, &[UNDEFINED_LOADER]);
    put(RAMDISK_IMAGE, &low_u32(contents.initrd.start).to_le_bytes());
    put(RAMDISK_SIZE, &low_u32(contents.initrd.end - contents.initrd.start).to_le_bytes());
    put(CMD_LINE_PTR, &low_u32(contents.command_line.0).to_le_bytes());
    let mut entries = 0;
    for entry in layout.map() {
        let at = E820_TABLE + usize::from(entries) * E820_ENTRY_BYTES;
        let kind = match entry.kind {
            RangeKind::Usable => USABLE,
            RangeKind::Reserved => RESERVED,
        };
        put(at, &entry.start.0.to_le_bytes());
        put(at + 8, &entry.length.to_le_bytes());
        put(at + 16, &kind.to_le_bytes());
        entries += 1;
    }
    put(E820_ENTRIES, &[entries]);
    page[LOADFLAGS] |= LOADED_HIGH;
    memory.write(ZERO_PAGE, &page)
}
