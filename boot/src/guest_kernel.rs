//! A guest's kernel as images carry it. A `vmlinux` of Linux is mostly symbols, and zeros for what a kernel clears
//! itself: neither is worth reading from a disk at every boot, or from the network.

const FILE_HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
/// Fields of the file header [ELF 1.2, System V ABI AMD64 supplement].
const PROGRAM_TABLE: usize = 32;
const SECTION_TABLE: usize = 40;
const PROGRAM_HEADER_BYTES: usize = 54;
const PROGRAM_HEADERS: usize = 56;
/// From here to the file header's end: size and number of section headers, and which of them has their names.
const SECTION_HEADERS: usize = 58;
/// Fields of a program header.
const OFFSET: usize = 8;
const FILE_BYTES: usize = 32;
const PT_LOAD: [u8; 4] = [1, 0, 0, 0];

/// An ELF64 executable without all that is not loaded, and without the zeros that its segments end in: loading clears
/// what a segment has in memory beyond the file. Anything else stays as it is; Weir says what it cannot start.
pub fn compact(file: Vec<u8>) -> Vec<u8> {
    segments_only(&file).unwrap_or(file)
}

fn segments_only(file: &[u8]) -> Option<Vec<u8>> {
    if !file.starts_with(b"\x7fELF\x02\x01") || number::<2>(file, PROGRAM_HEADER_BYTES)? != PROGRAM_HEADER {
        return None;
    }
    let table = number::<8>(file, PROGRAM_TABLE)?;
    let (mut headers, mut contents) = (Vec::new(), Vec::new());
    for index in 0..number::<2>(file, PROGRAM_HEADERS)? {
        let header = part(file, table.checked_add(index * PROGRAM_HEADER)?, PROGRAM_HEADER)?;
        if header.starts_with(&PT_LOAD) {
            let content = part(file, number::<8>(header, OFFSET)?, number::<8>(header, FILE_BYTES)?)?;
            let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            headers.push(header.to_vec());
            contents.push(&content[..used]);
        }
    }
    let mut compact = part(file, 0, FILE_HEADER)?.to_vec();
    put(&mut compact, PROGRAM_TABLE, &(FILE_HEADER as u64).to_le_bytes());
    put(&mut compact, SECTION_TABLE, &[0; 8]);
    put(&mut compact, PROGRAM_HEADERS, &(headers.len() as u16).to_le_bytes());
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

fn part(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let mut number = [0; 8];
    number[..N].copy_from_slice(part(bytes, at, N)?);
    usize::try_from(u64::from_le_bytes(number)).ok()
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A note and a segment of 16 bytes, the last 8 of them zero; behind them 100 bytes of symbols.
    fn executable() -> Vec<u8> {
        let mut file = vec![0; 300];
        put(&mut file, 0, b"\x7fELF\x02\x01");
        put(&mut file, PROGRAM_TABLE, &72u64.to_le_bytes());
        put(&mut file, SECTION_TABLE, &200u64.to_le_bytes());
        put(&mut file, PROGRAM_HEADER_BYTES, &[56, 0, 2, 0, 64, 0, 1, 0, 1, 0]);
        put(&mut file, 72, &[4]);
        put(&mut file, 128, &PT_LOAD);
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
