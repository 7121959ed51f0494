//! The parts of this file, as firmware has loaded it: sections of a PE image [PE format, section table].

use core::fmt;
use uefi::boot;
use uefi::proto::loaded_image::LoadedImage;

/// Names of the sections that the boot tool adds.
const KERNEL: &[u8; 8] = b".kernel\0";
const BUNDLE: &[u8; 8] = b".bundle\0";

/// Where the PE header's offset stands in a DOS header.
const PE_OFFSET: usize = 0x3c;
/// Fields of the COFF header, counted from the signature before it.
const SECTION_COUNT: usize = 6;
const OPTIONAL_HEADER_BYTES: usize = 20;
const OPTIONAL_HEADER: usize = 24;
/// An entry of the section table: name, bytes in memory, offset in memory, and what matters in files only.
const SECTION_BYTES: usize = 40;

/// What travels in this file.
pub struct Parts {
    /// Weir, an ELF file.
    pub kernel: &'static [u8],
    /// Configuration and guests.
    pub bundle: &'static [u8],
}

/// Why there is nothing to start.
#[derive(Debug)]
pub enum ImageError {
    /// Firmware does not tell where it has loaded this file.
    NotLoaded(uefi::Error),
    /// The boot tool has not added this section.
    NoSection(&'static str),
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoaded(error) => write!(f, "the firmware does not say where this file is: {error}"),
            Self::NoSection(name) => write!(f, "this file has no {name}: `boot image` makes one that has"),
        }
    }
}

/// Finds them.
pub fn parts() -> Result<Parts, ImageError> {
    let loaded =
        boot::open_protocol_exclusive::<LoadedImage>(boot::image_handle()).map_err(ImageError::NotLoaded)?;
    let (base, bytes) = loaded.info();
    // SAFETY: firmware has loaded this image there; nobody writes its headers and the sections read here, and the
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
