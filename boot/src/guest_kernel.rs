//! A guest's kernel as images carry it. A `vmlinux` of Linux is mostly symbols, and zeros for what a kernel clears
//! itself: neither is worth reading from a disk at every boot, or from the network.

use core::mem::offset_of;
use elf::abi::{EI_NIDENT, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, Elf64_Ehdr, FileHeader};
use elf::parse::ParseAt;
use elf::segment::{Elf64_Phdr, ProgramHeader};

const FILE_HEADER: usize = size_of::<Elf64_Ehdr>();
const PROGRAM_HEADER: usize = size_of::<Elf64_Phdr>();
/// Fields that change, of the file header [ELF 1.2, System V ABI AMD64 supplement].
const PROGRAM_TABLE: usize = offset_of!(Elf64_Ehdr, e_phoff);
const SECTION_TABLE: usize = offset_of!(Elf64_Ehdr, e_shoff);
const PROGRAM_HEADERS: usize = offset_of!(Elf64_Ehdr, e_phnum);
/// From here to the file header's end: size and number of section headers, and which of them has their names.
const SECTION_HEADERS: usize = offset_of!(Elf64_Ehdr, e_shentsize);
/// Of a program header.
const OFFSET: usize = offset_of!(Elf64_Phdr, p_offset);
const FILE_BYTES: usize = offset_of!(Elf64_Phdr, p_filesz);

/// An ELF64 executable without all that is not loaded, and without the zeros that its segments end in: loading clears
/// what a segment has in memory beyond the file. Anything else stays as it is; Weir says what it cannot start.
pub fn compact(file: Vec<u8>) -> Vec<u8> {
    segments_only(&file).unwrap_or(file)
}

fn segments_only(file: &[u8]) -> Option<Vec<u8>> {
    let header = part(file, 0, FILE_HEADER)?;
    let fields = FileHeader::parse_tail((LittleEndian, Class::ELF64, 0, 0), header.get(EI_NIDENT..)?).ok()?;
    if !file.starts_with(b"\x7fELF\x02\x01") || usize::from(fields.e_phentsize) != PROGRAM_HEADER {
        return None;
    }
    let table = part(file, fields.e_phoff, usize::from(fields.e_phnum) * PROGRAM_HEADER)?;
    let (mut headers, mut contents) = (Vec::new(), Vec::new());
    for header in table.chunks_exact(PROGRAM_HEADER) {
        let segment = ProgramHeader::parse_at(LittleEndian, Class::ELF64, &mut 0, header).ok()?;
        if segment.p_type == PT_LOAD {
            let content = part(file, segment.p_offset, segment.p_filesz.try_into().ok()?)?;
            let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            headers.push(header.to_vec());
            contents.push(&content[..used]);
        }
    }
    let mut compact = header.to_vec();
    put(&mut compact, PROGRAM_TABLE, &(FILE_HEADER as u64).to_le_bytes());
    put(&mut compact, SECTION_TABLE, &[0; 8]);
    put(&mut compact, PROGRAM_HEADERS, &u16::try_from(headers.len()).ok()?.to_le_bytes());
    compact[SECTION_HEADERS..].fill(0);
    // Not at the offsets that paging would want: Weir copies.
    let mut offset = FILE_HEADER + headers.len() * PROGRAM_HEADER;
    for (header, content) in headers.iter_mut().zip(&contents) {
        put(header, OFFSET, &(offset as u64).to_le_bytes());
        put(header, FILE_BYTES, &(content.len() as u64).to_le_bytes());
        compact.extend_from_slice(header);
        offset += content.len();
    }
    contents.into_iter().for_each(|content| compact.extend_from_slice(content));
    Some(compact)
}

fn part(bytes: &[u8], at: u64, length: usize) -> Option<&[u8]> {
    let at = usize::try_from(at).ok()?;
    bytes.get(at..at.checked_add(length)?)
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM_HEADER_BYTES: usize = offset_of!(Elf64_Ehdr, e_phentsize);

    fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
        let mut number = [0; 8];
        number[..N].copy_from_slice(part(bytes, at as u64, N)?);
        usize::try_from(u64::from_le_bytes(number)).ok()
    }

    /// A note and a segment of 16 bytes, the last 8 of them zero; behind them 100 bytes of symbols.
    fn executable() -> Vec<u8> {
        let mut file = vec![0; 300];
        put(&mut file, 0, b"\x7fELF\x02\x01");
        put(&mut file, PROGRAM_TABLE, &72u64.to_le_bytes());
        put(&mut file, SECTION_TABLE, &200u64.to_le_bytes());
        put(&mut file, PROGRAM_HEADER_BYTES, &[56, 0, 2, 0, 64, 0, 1, 0, 1, 0]);
        put(&mut file, 72, &[4]);
        put(&mut file, 128, &PT_LOAD.to_le_bytes());
        put(&mut file, 128 + OFFSET, &184u64.to_le_bytes());
        put(&mut file, 128 + FILE_BYTES, &16u64.to_le_bytes());
        put(&mut file, 128 + 40, &24u64.to_le_bytes());
        put(&mut file, 184, &[1, 2, 3, 4, 5, 6, 7, 8]);
        file[200..].fill(0xff);
        file
    }

    #[test]
    fn an_executable_keeps_what_is_loaded_and_is_not_zero() {
        let compact = compact(executable());
        assert_eq!(compact.len(), 64 + 56 + 8);
        assert_eq!(compact[120..], [1, 2, 3, 4, 5, 6, 7, 8]);
        let field = |at| number::<8>(&compact, at).unwrap();
        assert_eq!((field(PROGRAM_TABLE), field(SECTION_TABLE)), (64, 0));
        assert_eq!((field(64 + OFFSET), field(64 + FILE_BYTES), field(64 + 40)), (120, 8, 24));
        assert_eq!(compact[PROGRAM_HEADER_BYTES..64], [56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn what_cannot_be_understood_stays_as_it_is() {
        for at in [0, 5, PROGRAM_TABLE + 7, PROGRAM_HEADER_BYTES, 128 + OFFSET + 7, 128 + FILE_BYTES + 1] {
            let mut file = executable();
            file[at] ^= 0x55;
            assert!(compact(file.clone()) == file, "changed with byte {at} damaged");
        }
        assert!(compact(b"\x7fELF\x02\x01".to_vec()).len() == 6);
        assert!(compact(vec![0; 4096]) == vec![0; 4096]);
    }
}
