//! Weir in the form of a Linux kernel, for what loads Linux on a BIOS: the stage's real-mode part, then the stage, the
//! kernel and the bundle in one piece that is loaded to 1 MiB [Linux boot protocol, The Real-Mode Kernel Header].

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

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with one segment at 1 MiB and the section `.setup`, written down independently of `elf` [ELF 1.2].
    fn stage(mark: &[u8; 8], address: u64) -> Vec<u8> {
        const SETUP: usize = 0x400;
        const SEGMENT: usize = 0x200;
        const NAMES: usize = 0x1c0;
        const SECTIONS: usize = 0x100;
        let mut file = vec![0; SETUP + 2 * SECTOR];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02\x01\x01");
        for (at, value) in [(16, 2u16), (18, 62), (52, 64), (54, 56), (56, 1), (58, 64), (60, 3), (62, 2)] {
            put(at, &value.to_le_bytes());
        }
        put(20, &1u32.to_le_bytes());
        put(32, &64u64.to_le_bytes());
        put(40, &(SECTIONS as u64).to_le_bytes());
        put(64, &1u32.to_le_bytes());
        for (at, value) in [(8, SEGMENT as u64), (16, address), (24, address), (32, 64), (40, 0x1800)] {
            put(64 + at, &value.to_le_bytes());
        }
        for (index, name, start, bytes) in [(1, 1u32, SETUP, 2 * SECTOR), (2, 8, NAMES, 18)] {
            let section = SECTIONS + index * 64;
            put(section, &name.to_le_bytes());
            put(section + 4, &(if index == 1 { 1u32 } else { 3 }).to_le_bytes());
            put(section + 24, &(start as u64).to_le_bytes());
            put(section + 32, &(bytes as u64).to_le_bytes());
        }
        put(NAMES, b"\0.setup\0.shstrtab\0");
        put(SEGMENT + MARK.start, mark);
        put(SETUP + SETUP_SECTORS, &[1]);
        put(SETUP + HEADER.start, b"HdrS");
        file
    }

    #[test]
    fn kernel_and_bundle_follow_the_stage_on_pages_of_their_own() {
        let file = make(&stage(b"WEIRPART", LOADED_AT), &[1; 5000], &[2; 100]).unwrap();
        let system = &file[2 * SECTOR..];
        let number = |at: usize| u64::from_le_bytes(system[at..at + 8].try_into().unwrap());
        assert_eq!([24, 32, 40, 48].map(number), [0x10_2000, 5000, 0x10_4000, 100]);
        assert_eq!(&system[0x2000..0x2000 + 5000], [1; 5000]);
        assert_eq!(&system[0x4000..0x4064], [2; 100]);
        assert_eq!(file[SYSTEM_SIZE], (0x5000u32 / 16).to_le_bytes());
        assert_eq!(file[MEMORY_SIZE], 0x5000u32.to_le_bytes());
    }

    #[test]
    fn what_is_not_the_stage_is_refused() {
        let refused = |stage: &[u8]| make(stage, &[1], &[2]).unwrap_err().to_string();
        assert!(refused(b"MZ").contains("not an ELF file"));
        assert!(refused(&stage(b"        ", LOADED_AT)).contains("no place for kernel"));
        assert!(refused(&stage(b"WEIRPART", 0x1000)).contains("not at 1 MiB"));
        let whole = stage(b"WEIRPART", LOADED_AT);
        for length in 0..whole.len() {
            assert!(make(&whole[..length], &[1], &[2]).is_err(), "{length}");
        }
    }
}
