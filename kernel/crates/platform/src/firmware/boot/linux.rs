//! A Linux bzImage: its setup header and the load address of its protected-mode part [Linux boot protocol:
//! the real-mode kernel header].

use super::{LoadError, Loaded, is_free_low_memory};
use crate::layout::{MemoryLayout, ONE_MIB};
use base::{GuestMemory, GuestPhysical};

/// Offsets in the image, which are those in the zero page.
const SETUP_SECTS: usize = 0x1f1;
const SYSSIZE: usize = 0x1f4;
const JUMP_OFFSET: usize = 0x201;
const HEADER_MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const INITRD_ADDR_MAX: usize = 0x22c;
const KERNEL_ALIGNMENT: usize = 0x230;
const RELOCATABLE_KERNEL: usize = 0x234;
const XLOADFLAGS: usize = 0x236;
const CMDLINE_SIZE: usize = 0x238;
const PREF_ADDRESS: usize = 0x258;
const INIT_SIZE: usize = 0x260;
/// The fields above exist in this version and later.
const OLDEST_VERSION: u16 = 0x020c;
const XLF_KERNEL_64: u16 = 1 << 0;
/// The 64-bit entry point lies this far into the protected-mode part.
const ENTRY_64: u64 = 0x200;
const SECTOR: usize = 512;
/// The unit of `syssize`.
const PARAGRAPH: u64 = 16;

/// Start of the header.
pub(super) const HEADER_START: usize = SETUP_SECTS;
/// Room in the zero page for the header: up to the next field, `edd_mbr_sig_buffer`.
const HEADER_ROOM: usize = 0x290 - HEADER_START;

/// The setup header of a bzImage, to be copied into the zero page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetupHeader {
    bytes: [u8; HEADER_ROOM],
    length: usize,
    /// Version of the boot protocol: major in the high byte.
    pub version: u16,
    /// Sectors of real-mode code before the protected-mode part, boot sector included.
    setup_sectors: usize,
    /// Bytes of the protected-mode part.
    protected_bytes: u64,
    /// Highest address that an initrd may occupy.
    pub initrd_addr_max: u32,
    /// Longest command line, without terminating zero.
    pub cmdline_size: u32,
    /// The load address that the kernel prefers.
    pub pref_address: u64,
    /// Memory that the kernel needs from its load address on before it reads the memory map.
    pub init_size: u32,
    /// Alignment of the load address, for a relocatable kernel.
    alignment: Option<u32>,
}

impl SetupHeader {
    /// Parses the header of `image`.
    ///
    /// # Errors
    /// [`LoadError`] names the unsuitable field.
    pub fn parse(image: &[u8]) -> Result<Self, LoadError> {
        let unknown = LoadError::UnknownImage { length: image.len() };
        if image.get(HEADER_MAGIC..HEADER_MAGIC + 4) != Some(b"HdrS") {
            return Err(unknown);
        }
        let version = u16::from_le_bytes(field(image, VERSION)?);
        if version < OLDEST_VERSION {
            let [minor, major] = version.to_le_bytes();
            return Err(LoadError::OldProtocol { major, minor });
        }
        let xloadflags = u16::from_le_bytes(field(image, XLOADFLAGS)?);
        if xloadflags & XLF_KERNEL_64 == 0 {
            return Err(LoadError::No64BitEntry { xloadflags });
        }
        // The header ends at the target of the short jump at its start.
        let [jump] = field(image, JUMP_OFFSET)?;
        let end = (HEADER_MAGIC + usize::from(jump)).min(HEADER_START + HEADER_ROOM);
        let header = image.get(HEADER_START..end).ok_or(truncated(image, "the setup header", end as u64))?;
        let mut bytes = [0; HEADER_ROOM];
        bytes[..header.len()].copy_from_slice(header);
        let [sectors] = field(image, SETUP_SECTS)?;
        let [relocatable] = field(image, RELOCATABLE_KERNEL)?;
        let alignment = u32::from_le_bytes(field(image, KERNEL_ALIGNMENT)?);
        Ok(Self {
            bytes,
            length: header.len(),
            version,
            // Zero stands for four, for historical reasons.
            setup_sectors: 1 + if sectors == 0 { 4 } else { usize::from(sectors) },
            protected_bytes: PARAGRAPH * u64::from(u32::from_le_bytes(field(image, SYSSIZE)?)),
            initrd_addr_max: u32::from_le_bytes(field(image, INITRD_ADDR_MAX)?),
            cmdline_size: u32::from_le_bytes(field(image, CMDLINE_SIZE)?),
            pref_address: u64::from_le_bytes(field(image, PREF_ADDRESS)?),
            init_size: u32::from_le_bytes(field(image, INIT_SIZE)?),
            alignment: (relocatable != 0 && alignment.is_power_of_two()).then_some(alignment),
        })
    }

    /// The header's bytes, which go to [`HEADER_START`] of the zero page.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Copies the protected-mode part of `image` to its preferred address, or to the lowest possible one.
pub(super) fn load<M: GuestMemory>(
    memory: &M,
    layout: &MemoryLayout,
    image: &[u8],
) -> Result<Loaded, LoadError> {
    let header = SetupHeader::parse(image)?;
    let start = header.setup_sectors * SECTOR;
    // What is signed has its signature behind the protected-mode part.
    let least = header.protected_bytes.max(ENTRY_64 + 1);
    let kernel = image.get(start..).filter(|kernel| kernel.len() as u64 >= least).ok_or(truncated(
        image,
        "the protected-mode part",
        start as u64 + least,
    ))?;
    let size = u64::from(header.init_size).max(kernel.len() as u64);
    let range_at = |address: u64| address..address.saturating_add(size);
    let lowest = header.alignment.map(|alignment| ONE_MIB.next_multiple_of(alignment.into()));
    let places = || core::iter::once(header.pref_address).chain(lowest).map(range_at);
    let preferred = range_at(header.pref_address);
    // In an error, the place that needs the least memory.
    let least = places().min_by_key(|range| range.end).unwrap_or(preferred);
    let taken = places()
        .find(|range| is_free_low_memory(layout, range))
        .ok_or(LoadError::KernelDoesNotFit { start: least.start, end: least.end })?;
    memory.write(GuestPhysical(taken.start), kernel)?;
    Ok(Loaded {
        entry: GuestPhysical(taken.start + ENTRY_64),
        taken,
        initrd_max: header.initrd_addr_max.into(),
        command_line_max: header.cmdline_size as usize,
        header: Some(header),
    })
}

fn field<const N: usize>(image: &[u8], offset: usize) -> Result<[u8; N], LoadError> {
    image.get(offset..offset + N).and_then(|bytes| bytes.try_into().ok()).ok_or(truncated(
        image,
        "the setup header",
        (offset + N) as u64,
    ))
}

fn truncated(image: &[u8], what: &'static str, end: u64) -> LoadError {
    LoadError::Truncated { what, end, length: image.len() }
}
