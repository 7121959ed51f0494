//! Loads a guest into memory, as firmware and a boot loader would: the kernel (a Linux bzImage or a static
//! ELF64 executable), initrd, command line, memory map, ACPI tables, page tables and descriptor table, so
//! that the processor can start in 64-bit mode [Linux boot protocol: 64-bit boot protocol].

mod bios;
mod elf;
mod entry;
mod error;
mod linux;
mod outline;
mod smbios;
mod steps;
mod zero_page;

pub use entry::EntryState;
pub use error::LoadError;
pub use linux::SetupHeader;
pub use smbios::DmiIdentity;
pub use steps::{LoadStep, load_step};

use crate::acpi::AcpiTables;
use crate::layout::{self, MemoryLayout};
use base::{GuestMemory, GuestPhysical};
use core::ops::Range;
use outline::Outline;

/// Everything that a guest starts with.
#[derive(Clone, Copy, Debug)]
pub struct BootImages<'a> {
    /// A bzImage or an ELF64 executable.
    pub kernel: &'a [u8],
    /// The initial RAM disk; empty when there is none.
    pub initrd: &'a [u8],
    /// The kernel's command line, without terminating zero.
    pub command_line: &'a str,
    /// From [`crate::acpi::build`].
    pub acpi: &'a AcpiTables,
    /// What the SMBIOS tables say.
    pub identity: &'a DmiIdentity,
}

/// The result of loading one kind of image: the entry point and the memory used.
#[derive(Clone, Debug)]
struct Loaded {
    entry: GuestPhysical,
    /// Used by the image, including the space in which it unpacks itself.
    taken: Range<u64>,
    /// Highest address an initrd may reach, inclusive.
    initrd_max: u64,
    command_line_max: usize,
    /// The setup header for the zero page, for a bzImage.
    header: Option<SetupHeader>,
}

/// Loads a guest with `memory_bytes` of memory and returns how its first processor starts.
///
/// Memory to which nothing is loaded stays unchanged; it must be zero at the first start.
///
/// # Errors
/// [`LoadError`]; some of the memory may have been written by then.
///
/// # Examples
/// A static executable with one segment, which holds `hlt` and a jump back to it:
///
/// ```
/// use platform::boot::{BootImages, LoadError, load};
/// use testkit::FakeMemory;
///
/// const START: u64 = 0x10_0000;
/// let file_header = [0x1_003e_0002, START, 64, 0, 64 << 32 | 56 << 48, 1]; // from e_type on
/// let segment = [5 << 32 | 1, 120, START, START, 3, 3, 0x1000]; // from p_type on
/// let mut kernel = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
/// kernel.extend(file_header.into_iter().chain(segment).flat_map(u64::to_le_bytes));
/// kernel.extend([0xf4, 0xeb, 0xfd]);
///
/// let acpi = platform::acpi::build(1);
/// let memory = FakeMemory::new(16 << 20);
/// let (command_line, identity) = ("console=ttyS0", &Default::default());
/// let mut images = BootImages { kernel: &kernel, initrd: b"", command_line, acpi: &acpi, identity };
/// let entry = load(&memory, 16 << 20, &images)?;
/// assert_eq!(memory.bytes(entry.rip, 3), [0xf4, 0xeb, 0xfd]);
/// // The boot parameters have the address of the command line at 0x228.
/// let command_line = memory.read_u32(entry.rsi + 0x228);
/// assert_eq!(memory.bytes(command_line.into(), 14), b"console=ttyS0\0");
///
/// images.kernel = b"MZ";
/// assert_eq!(load(&memory, 16 << 20, &images), Err(LoadError::UnknownImage { length: 2 }));
/// # Ok::<(), LoadError>(())
/// ```
pub fn load<M: GuestMemory>(
    memory: &M,
    memory_bytes: u64,
    images: &BootImages<'_>,
) -> Result<EntryState, LoadError> {
    let layout = MemoryLayout::new(memory_bytes);
    let loaded = if elf::is_elf(images.kernel) {
        elf::load(memory, &layout, images.kernel)?
    } else {
        linux::load(memory, &layout, images.kernel)?
    };
    let initrd = load_initrd(memory, &layout, &loaded, images.initrd)?;
    load_command_line(memory, &loaded, images.command_line)?;
    memory.write(images.acpi.base, &images.acpi.bytes)?;
    smbios::write(memory, images.identity)?;
    bios::write(memory)?;
    zero_page::write(
        memory,
        &layout,
        &zero_page::Contents {
            header: loaded.header,
            command_line: entry::COMMAND_LINE,
            initrd,
            rsdp: images.acpi.rsdp,
        },
    )?;
    Ok(entry::write(memory, loaded.entry)?)
}

/// What [`load`] would return, without a guest's memory: the check of a guest's images, on the host as at boot.
///
/// # Errors
/// [`LoadError`], the same as [`load`]'s.
///
/// ```
/// use platform::boot::{BootImages, LoadError, check};
///
/// let acpi = platform::acpi::build(1);
/// let identity = &Default::default();
/// let images = BootImages { kernel: b"MZ", initrd: b"", command_line: "", acpi: &acpi, identity };
/// assert_eq!(check(1 << 40, &images), Err(LoadError::UnknownImage { length: 2 }));
/// ```
pub fn check(memory_bytes: u64, images: &BootImages<'_>) -> Result<EntryState, LoadError> {
    load(&Outline::new(memory_bytes), memory_bytes, images)
}

/// Loads the initrd as high as allowed, which leaves the kernel space below to unpack.
fn load_initrd<M: GuestMemory>(
    memory: &M,
    layout: &MemoryLayout,
    loaded: &Loaded,
    initrd: &[u8],
) -> Result<Range<u64>, LoadError> {
    const PAGE: u64 = 4096;
    if initrd.is_empty() {
        return Ok(0..0);
    }
    let limit = layout.low_end.min(loaded.initrd_max.saturating_add(1));
    let from = loaded.taken.end.max(layout::ONE_MIB);
    let start = limit.checked_sub(initrd.len() as u64).map(|start| start & !(PAGE - 1));
    let refused = LoadError::InitrdDoesNotFit { length: initrd.len(), from, limit };
    let start = start.filter(|start| *start >= from).ok_or(refused)?;
    memory.write(GuestPhysical(start), initrd)?;
    Ok(start..start + initrd.len() as u64)
}

fn load_command_line<M: GuestMemory>(memory: &M, loaded: &Loaded, text: &str) -> Result<(), LoadError> {
    let limit = loaded.command_line_max.min(entry::COMMAND_LINE_ROOM - 1);
    if text.len() > limit {
        return Err(LoadError::CommandLineTooLong { length: text.len(), limit });
    }
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        return Err(LoadError::CommandLineHasZero { at });
    }
    memory.write(entry::COMMAND_LINE, text.as_bytes())?;
    memory.write(GuestPhysical(entry::COMMAND_LINE.0 + text.len() as u64), &[0])?;
    Ok(())
}

/// True when `range` is RAM from 1 MiB on and below 4 GiB.
fn is_free_low_memory(layout: &MemoryLayout, range: &Range<u64>) -> bool {
    range.start >= layout::ONE_MIB && range.start <= range.end && range.end <= layout.low_end
}

#[cfg(test)]
mod tests;
