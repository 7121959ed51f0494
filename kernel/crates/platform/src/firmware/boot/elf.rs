//! A static ELF64 executable, loaded by physical address: micro-guests, and Linux's `vmlinux` [ELF 1.2, System V ABI
//! AMD64 supplement].

use super::{LoadError, Loaded, entry, is_free_low_memory};
use crate::layout::MemoryLayout;
use base::{GuestMemory, GuestPhysical};

const IDENTIFICATION: [u8; 6] = [0x7f, b'E', b'L', b'F', CLASS_64, LITTLE_ENDIAN];
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const ET_EXEC: u16 = 2;
const EM_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PROGRAM_HEADER_BYTES: u16 = 56;
/// More program headers than a linker makes for a small static executable.
const MAX_PROGRAM_HEADERS: u16 = 64;

/// True when `image` is an ELF file of the right class.
pub(super) fn is_elf(image: &[u8]) -> bool {
    image.starts_with(&IDENTIFICATION)
}

/// A PT_LOAD program header.
struct ElfSegment {
    offset: u64,
    /// Where it is linked to run.
    virtual_address: u64,
    /// Where it goes.
    physical_address: u64,
    file_bytes: u64,
    memory_bytes: u64,
}

/// Copies the segments of `image` to their physical addresses and clears what they have beyond the file.
pub(super) fn load<M: GuestMemory>(
    memory: &M,
    layout: &MemoryLayout,
    image: &[u8],
) -> Result<Loaded, LoadError> {
    check(image, "e_type", 16, ET_EXEC)?;
    check(image, "e_machine", 18, EM_X86_64)?;
    check(image, "e_phentsize", 54, PROGRAM_HEADER_BYTES)?;
    let count = u16::from_le_bytes(field(image, 56)?);
    if count == 0 || count > MAX_PROGRAM_HEADERS {
        return Err(LoadError::UnsuitableElf { field: "e_phnum", value: count.into() });
    }
    let entry = u64::from_le_bytes(field(image, 24)?);
    let headers = u64::from_le_bytes(field(image, 32)?);
    let (mut start, mut end) = (u64::MAX, 0);
    let (mut by_virtual, mut by_physical) = (None, None);
    for index in 0..u64::from(count) {
        let Some(segment) = segment(image, headers, index)? else { continue };
        load_segment(memory, layout, image, &segment)?;
        start = start.min(segment.physical_address);
        end = end.max(segment.physical_address + segment.memory_bytes);
        let within = |from: u64| entry.checked_sub(from).filter(|at| *at < segment.memory_bytes);
        by_virtual = by_virtual.or(within(segment.virtual_address).map(|at| segment.physical_address + at));
        by_physical = by_physical.or(within(segment.physical_address).map(|_| entry));
    }
    // The guest starts with memory mapped to itself. The entry point is a virtual address; Linux's is the physical one,
    // which is in no segment otherwise.
    let entry_physical = by_virtual.or(by_physical);
    let entry = entry_physical.ok_or(LoadError::UnsuitableElf { field: "e_entry", value: entry })?;
    Ok(Loaded {
        entry: GuestPhysical(entry),
        taken: start..end,
        initrd_max: u32::MAX.into(),
        command_line_max: entry::COMMAND_LINE_ROOM - 1,
        header: None,
    })
}

fn segment(image: &[u8], headers: u64, index: u64) -> Result<Option<ElfSegment>, LoadError> {
    let at = index * u64::from(PROGRAM_HEADER_BYTES);
    let number = |offset: u64| {
        // Saturated offsets lie beyond any image.
        field(image, headers.saturating_add(at + offset)).map(u64::from_le_bytes)
    };
    if number(0)? as u32 != PT_LOAD {
        return Ok(None);
    }
    let segment = ElfSegment {
        offset: number(8)?,
        virtual_address: number(16)?,
        physical_address: number(24)?,
        file_bytes: number(32)?,
        memory_bytes: number(40)?,
    };
    if segment.file_bytes > segment.memory_bytes {
        return Err(LoadError::UnsuitableElf { field: "p_filesz", value: segment.file_bytes });
    }
    Ok((segment.memory_bytes > 0).then_some(segment))
}

fn load_segment<M: GuestMemory>(
    memory: &M,
    layout: &MemoryLayout,
    image: &[u8],
    segment: &ElfSegment,
) -> Result<(), LoadError> {
    let start = segment.physical_address;
    let end = start.saturating_add(segment.memory_bytes);
    if !is_free_low_memory(layout, &(start..end)) {
        return Err(LoadError::KernelDoesNotFit { start, end });
    }
    let file_end = segment.offset.saturating_add(segment.file_bytes);
    let truncated = LoadError::Truncated { what: "a segment", end: file_end, length: image.len() };
    let range = usize::try_from(segment.offset).ok().zip(usize::try_from(file_end).ok());
    let bytes = range.and_then(|(from, to)| image.get(from..to)).ok_or(truncated)?;
    memory.write(GuestPhysical(start), bytes)?;
    // At most the guest's low memory, in pages.
    let zeros = [0; 4096];
    let mut at = start + segment.file_bytes;
    while at < end {
        let length = (end - at).min(zeros.len() as u64);
        memory.write(GuestPhysical(at), &zeros[..length as usize])?;
        at += length;
    }
    Ok(())
}

fn check(image: &[u8], name: &'static str, offset: u64, expected: u16) -> Result<(), LoadError> {
    let value = u16::from_le_bytes(field(image, offset)?);
    if value == expected {
        Ok(())
    } else {
        Err(LoadError::UnsuitableElf { field: name, value: value.into() })
    }
}

fn field<const N: usize>(image: &[u8], offset: u64) -> Result<[u8; N], LoadError> {
    let end = offset.saturating_add(N as u64);
    usize::try_from(offset)
        .ok()
        .zip(usize::try_from(end).ok())
        .and_then(|(from, to)| image.get(from..to)?.try_into().ok())
        .ok_or(LoadError::Truncated { what: "a header", end, length: image.len() })
}
