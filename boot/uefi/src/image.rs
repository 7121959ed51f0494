//! The parts of this application, in the memory that firmware loaded it to: sections of a PE image [PE format,
//! section table]. They are found without a crate for object files: those need an allocator, which this stage does
//! not have.

use core::fmt;
use uefi::boot;
use uefi::proto::loaded_image::LoadedImage;

/// Names of the sections that the boot tool adds.
const KERNEL: &[u8; 8] = b".kernel\0";
const BUNDLE: &[u8; 8] = b".bundle\0";

/// Offset of the PE header's offset in a DOS header.
const PE_OFFSET: usize = 0x3c;
/// Offsets of fields of the COFF header, counted from the signature before it.
const SECTION_COUNT: usize = 6;
const OPTIONAL_HEADER_BYTES: usize = 20;
const OPTIONAL_HEADER: usize = 24;
/// Size of an entry of the section table: name, size in memory, offset in memory, and fields that matter only in
/// files.
const SECTION_BYTES: usize = 40;

/// The files that this application contains.
pub struct Parts {
    /// The kernel, an ELF file.
    pub kernel: &'static [u8],
    /// Configuration and guests' images.
    pub bundle: &'static [u8],
}

/// Why there is no kernel to start.
#[derive(Debug)]
pub enum ImageError {
    /// Firmware does not report where it loaded this application.
    NotLoaded(uefi::Error),
    /// This section is missing: the boot tool adds it.
    NoSection(&'static str),
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded(error) => {
                write!(f, "the firmware does not report where it loaded this application: {error}")
            }
            Self::NoSection(name) => {
                write!(f, "this application contains no {name}: make it with `boot image`")
            }
        }
    }
}

/// Finds the kernel and the bundle.
pub fn parts() -> Result<Parts, ImageError> {
    let loaded =
        boot::open_protocol_exclusive::<LoadedImage>(boot::image_handle()).map_err(ImageError::NotLoaded)?;
    let (base, bytes) = loaded.info();
    #[expect(clippy::cast_possible_truncation, reason = "usize has 64 bits on UEFI for x86-64")]
    // SAFETY: firmware loaded this image there; its headers and the sections read here are never written, and the
    // kernel keeps their memory.
    let image = unsafe { core::slice::from_raw_parts(base.cast::<u8>(), bytes as usize) };
    Ok(Parts {
        kernel: section(image, KERNEL).ok_or(ImageError::NoSection("kernel"))?,
        bundle: section(image, BUNDLE).ok_or(ImageError::NoSection("bundle"))?,
    })
}

fn section<'a>(image: &'a [u8], name: &[u8; 8]) -> Option<&'a [u8]> {
    let pe = u32_at(image, PE_OFFSET)?;
    let table = pe + OPTIONAL_HEADER + usize::from(u16_at(image, pe + OPTIONAL_HEADER_BYTES)?);
    let count = u16_at(image, pe + SECTION_COUNT)?;
    let entries = (0..usize::from(count)).map(|index| table + index * SECTION_BYTES);
    let entry =
        entries.map_while(|at| image.get(at..at + SECTION_BYTES)).find(|entry| entry.starts_with(name))?;
    let (bytes, start) = (u32_at(entry, 8)?, u32_at(entry, 12)?);
    image.get(start..start.checked_add(bytes)?).filter(|section| !section.is_empty())
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize)
}
