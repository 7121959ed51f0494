//! A static ELF64 executable, loaded by physical address: micro-guests, and Linux's `vmlinux` [ELF 1.2,
//! System V ABI AMD64 supplement].

use super::{LoadError, Loaded, entry, is_free_low_memory};
use crate::layout::MemoryLayout;
use base::{GuestMemory, GuestPhysical};
use elf::abi::{EI_CLASS, EI_DATA, EI_NIDENT, ELFCLASS64, ELFDATA2LSB, EM_X86_64, ET_EXEC, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, ELF64_EHDR_TAILSIZE, FileHeader};
use elf::segment::{Elf64_Phdr, ProgramHeader, SegmentTable};

const MAGIC: &[u8; 4] = b"\x7fELF";
const PROGRAM_HEADER_BYTES: u64 = size_of::<Elf64_Phdr>() as u64;
/// More program headers than a linker makes for a small static executable.
const MAX_PROGRAM_HEADERS: u16 = 64;

/// True when `image` is an ELF file.
pub(super) fn is_elf(image: &[u8]) -> bool {
    image.starts_with(MAGIC)
}

/// Copies the segments of `image` to their physical addresses and clears the memory that they have beyond the
/// file.
pub(super) fn load<M: GuestMemory>(
    memory: &M,
    layout: &MemoryLayout,
    image: &[u8],
) -> Result<Loaded, LoadError> {
    let header = file_header(image)?;
    let entry = header.e_entry;
    let (mut start, mut end) = (u64::MAX, 0);
    let (mut by_virtual, mut by_physical) = (None, None);
    let table = part(image, "a header", header.e_phoff, u64::from(header.e_phnum) * PROGRAM_HEADER_BYTES)?;
    for segment in SegmentTable::new(LittleEndian, Class::ELF64, table) {
        if segment.p_type != PT_LOAD || segment.p_memsz == 0 && segment.p_filesz == 0 {
            continue;
        }
        load_segment(memory, layout, image, &segment)?;
        start = start.min(segment.p_paddr);
        end = end.max(segment.p_paddr + segment.p_memsz);
        let within = |from: u64| entry.checked_sub(from).filter(|at| *at < segment.p_memsz);
        by_virtual = by_virtual.or(within(segment.p_vaddr).map(|at| segment.p_paddr + at));
        by_physical = by_physical.or(within(segment.p_paddr).map(|_| entry));
    }
    // The guest starts with memory mapped to itself. The entry point is a virtual address; Linux's is a
    // physical one, which lies in no segment's virtual addresses.
    let entry_physical = by_virtual.or(by_physical);
    let wanted = "in one of the segments that are loaded";
    let entry = entry_physical.ok_or(LoadError::UnsuitableElf { field: "e_entry", value: entry, wanted })?;
    Ok(Loaded {
        entry: GuestPhysical(entry),
        taken: start..end,
        initrd_max: u32::MAX.into(),
        command_line_max: entry::COMMAND_LINE_ROOM - 1,
        header: None,
    })
}

/// The file header of `image`, after a check of the fields that show whether it can be started.
fn file_header(image: &[u8]) -> Result<FileHeader<LittleEndian>, LoadError> {
    let truncated = |_| LoadError::Truncated { what: "a header", end: 64, length: image.len() };
    let [class, data] = [EI_CLASS, EI_DATA].map(|at| image.get(at).copied().unwrap_or_default());
    suitable("EI_CLASS", class, class == ELFCLASS64, "2, for a 64-bit file")?;
    suitable("EI_DATA", data, data == ELFDATA2LSB, "1, for little-endian numbers")?;
    let tail = part(image, "a header", EI_NIDENT as u64, ELF64_EHDR_TAILSIZE as u64)?;
    let header = FileHeader::parse_tail((LittleEndian, Class::ELF64, 0, 0), tail).map_err(truncated)?;
    let executable = "0x2, for an executable with fixed addresses (not position-independent)";
    suitable("e_type", header.e_type, header.e_type == ET_EXEC, executable)?;
    suitable("e_machine", header.e_machine, header.e_machine == EM_X86_64, "0x3e, for x86-64")?;
    let bytes = header.e_phentsize;
    suitable("e_phentsize", bytes, u64::from(bytes) == PROGRAM_HEADER_BYTES, "0x38, the size of a header")?;
    let count = header.e_phnum;
    suitable("e_phnum", count, (1..=MAX_PROGRAM_HEADERS).contains(&count), "from 1 to 64")?;
    Ok(header)
}

/// An error, unless the field is suitable.
fn suitable(
    field: &'static str,
    value: impl Into<u64>,
    suitable: bool,
    wanted: &'static str,
) -> Result<(), LoadError> {
    if suitable { Ok(()) } else { Err(LoadError::UnsuitableElf { field, value: value.into(), wanted }) }
}

fn load_segment<M: GuestMemory>(
    memory: &M,
    layout: &MemoryLayout,
    image: &[u8],
    segment: &ProgramHeader,
) -> Result<(), LoadError> {
    let fits = segment.p_filesz <= segment.p_memsz;
    suitable("p_filesz", segment.p_filesz, fits, "at most p_memsz")?;
    let start = segment.p_paddr;
    let end = start.saturating_add(segment.p_memsz);
    if !is_free_low_memory(layout, &(start..end)) {
        return Err(LoadError::KernelDoesNotFit { start, end });
    }
    let bytes = part(image, "a segment", segment.p_offset, segment.p_filesz)?;
    memory.write(GuestPhysical(start), bytes)?;
    // At most the guest's low memory, in pages.
    let zeros = [0; 4096];
    let mut at = start + segment.p_filesz;
    while at < end {
        let length = usize::try_from(end - at).map_or(zeros.len(), |left| left.min(zeros.len()));
        memory.write(GuestPhysical(at), &zeros[..length])?;
        at += length as u64;
    }
    Ok(())
}

/// `length` bytes of `image` from `offset` on; `what` names them in the error.
fn part<'a>(image: &'a [u8], what: &'static str, offset: u64, length: u64) -> Result<&'a [u8], LoadError> {
    // A saturated end lies beyond any image.
    let end = offset.saturating_add(length);
    let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
    let truncated = LoadError::Truncated { what, end, length: image.len() };
    range.and_then(|(from, to)| image.get(from..to)).ok_or(truncated)
}
