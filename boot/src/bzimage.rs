//! Weir in the form of a Linux kernel, for what loads Linux on a BIOS: the stage's real-mode part, then the stage, the
//! kernel and the bundle in one piece that is loaded to 1 MiB [Linux boot, real-mode kernel header].

use anyhow::{Context, Result, ensure};
use elf::ElfBytes;
use elf::abi::PT_LOAD;
use elf::endian::LittleEndian;
use std::ops::Range;

/// Where loaders put it.
const LOADED_AT: u64 = 0x10_0000;
const SECTOR: usize = 512;
const PAGE: usize = 4096;
/// Fields of the header: the number of sectors of the real-mode part without the first, the size of the rest in
/// paragraphs of 16 bytes, the signature, and the memory that the rest takes.
const SETUP_SECTORS: usize = 0x1f1;
const SYSTEM_SIZE: Range<usize> = 0x1f4..0x1f8;
const HEADER: Range<usize> = 0x202..0x206;
const MEMORY_SIZE: Range<usize> = 0x260..0x264;
/// Where the stage looks for kernel and bundle, and what marks that place.
const MARK: Range<usize> = 16..24;
const FILES: Range<usize> = 24..56;

const TOO_LARGE: &str = "the guests' images are too large: a bzImage must be smaller than 2 GiB";

/// Makes the file from the stage's ELF file.
pub fn make(stage: &[u8], kernel: &[u8], bundle: &[u8]) -> Result<Vec<u8>> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(stage).context("the BIOS stage is not an ELF file")?;
    let section = elf.section_header_by_name(".setup")?.context("the BIOS stage has no section .setup")?;
    let mut file = elf.section_data(&section)?.0.to_vec();
    let sectors = file.get(SETUP_SECTORS).map_or(0, |sectors| usize::from(*sectors) + 1);
    ensure!(
        file.len() == sectors * SECTOR && file.get(HEADER) == Some(&b"HdrS"[..]),
        "the BIOS stage's real-mode part has no header"
    );
    let mut system = Vec::new();
    for segment in elf.segments().context("the BIOS stage has no segments")?.iter() {
        if segment.p_type == PT_LOAD {
            let at = segment.p_paddr.checked_sub(LOADED_AT).context("the BIOS stage is not at 1 MiB")?;
            system.resize(system.len().max(usize::try_from(at)?), 0);
            system.truncate(usize::try_from(at)?);
            system.extend(elf.segment_data(&segment)?);
            let end = at.checked_add(segment.p_memsz).context("the BIOS stage is too large")?;
            system.resize(system.len().max(usize::try_from(end)?), 0);
        }
    }
    ensure!(system.get(MARK) == Some(&b"WEIRPART"[..]), "the BIOS stage has no place for kernel and bundle");
    let mut place = FILES.start;
    for content in [kernel, bundle] {
        system.resize(system.len().next_multiple_of(PAGE), 0);
        for number in [LOADED_AT + system.len() as u64, content.len() as u64] {
            system[place..place + 8].copy_from_slice(&number.to_le_bytes());
            place += 8;
        }
        system.extend(content);
    }
    system.resize(system.len().next_multiple_of(PAGE), 0);
    let size = u32::try_from(system.len()).ok().filter(|size| *size < 1 << 31).context(TOO_LARGE)?;
    file[SYSTEM_SIZE].copy_from_slice(&(size / 16).to_le_bytes());
    file[MEMORY_SIZE].copy_from_slice(&size.to_le_bytes());
    file.extend(system);
    Ok(file)
}
