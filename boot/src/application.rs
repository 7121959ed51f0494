//! Weir as one EFI application: the UEFI stage, with the kernel and the bundle as two more sections. Firmware then
//! loads everything at once, from wherever it loads applications.

use anyhow::{Context, Result, ensure};
use object::pe::{IMAGE_SCN_CNT_INITIALIZED_DATA, IMAGE_SCN_MEM_READ, ImageNtHeaders64, ImageSectionHeader};
use object::read::pe::PeFile64;
use object::{LittleEndian as LE, U16, U32, pod};
use std::mem::{offset_of, size_of};

const TOO_LARGE: &str = "the guests' images are too large: a UEFI application must be smaller than 4 GiB";

/// Makes the application from the UEFI stage's file.
pub fn make(mut stage: Vec<u8>, kernel: &[u8], bundle: &[u8]) -> Result<Vec<u8>> {
    add_section(&mut stage, *b".kernel\0", kernel)?;
    add_section(&mut stage, *b".bundle\0", bundle)?;
    Ok(stage)
}

/// Appends a section to a PE file [PE format, section table]: after all others, in the file and in memory.
fn add_section(file: &mut Vec<u8>, name: [u8; 8], content: &[u8]) -> Result<()> {
    let pe = PeFile64::parse(&**file).context("the UEFI stage is not a PE file")?;
    let (headers_at, mut headers) = (pe.dos_header().nt_headers_offset() as usize, *pe.nt_headers());
    let (coff, optional) = (&mut headers.file_header, &mut headers.optional_header);
    let (alignment, file_alignment) = (optional.section_alignment.get(LE), optional.file_alignment.get(LE));
    ensure!(alignment.is_power_of_two(), "its section alignment is not a power of two");
    ensure!(file_alignment.is_power_of_two(), "its file alignment is not a power of two");

    let table = headers_at
        + offset_of!(ImageNtHeaders64, optional_header)
        + usize::from(coff.size_of_optional_header.get(LE));
    let count = coff.number_of_sections.get(LE);
    let entry = table + usize::from(count) * size_of::<ImageSectionHeader>();
    let entry = entry..entry + size_of::<ImageSectionHeader>();
    let headers_end = optional.size_of_headers.get(LE) as usize;
    ensure!(headers_end <= file.len(), "it is truncated in its headers");
    ensure!(entry.end <= headers_end, "its section table has no room for another section");

    let address = optional.size_of_image.get(LE).checked_next_multiple_of(alignment).context(TOO_LARGE)?;
    let bytes = u32::try_from(content.len()).context(TOO_LARGE)?;
    let end = address.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(alignment));
    coff.number_of_sections = U16::new(LE, count + 1);
    optional.size_of_image = U32::new(LE, end.context(TOO_LARGE)?);

    let pad = |file: &mut Vec<u8>| file.resize(file.len().next_multiple_of(file_alignment as usize), 0);
    pad(file);
    let start = u32::try_from(file.len()).context(TOO_LARGE)?;
    file.extend_from_slice(content);
    pad(file);
    let end = u32::try_from(file.len()).context(TOO_LARGE)?;
    let section = ImageSectionHeader {
        name,
        virtual_size: U32::new(LE, bytes),
        virtual_address: U32::new(LE, address),
        size_of_raw_data: U32::new(LE, end - start),
        pointer_to_raw_data: U32::new(LE, start),
        characteristics: U32::new(LE, IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ),
        ..Default::default()
    };
    file[entry].copy_from_slice(pod::bytes_of(&section));
    file[headers_at..][..size_of_val(&headers)].copy_from_slice(pod::bytes_of(&headers));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offsets in the test's file, written down independently of `object` [PE format].
    const PE: usize = 0x40;
    const SECTION_COUNT: usize = PE + 6;
    const OPTIONAL_HEADER_BYTES: usize = PE + 20;
    const MAGIC: usize = PE + 24;
    const SECTION_ALIGNMENT: usize = PE + 56;
    const FILE_ALIGNMENT: usize = PE + 60;
    const IMAGE_BYTES: usize = PE + 80;
    const HEADER_BYTES: usize = PE + 84;
    const TABLE: usize = PE + 24 + 240;
    const SECTION_BYTES: usize = 40;

    /// A PE file without code: headers with room for `sections`, one section of 512 bytes.
    fn stage(sections: usize) -> Vec<u8> {
        let headers = TABLE + sections * SECTION_BYTES;
        let mut file = vec![0; headers.next_multiple_of(512) + 512];
        let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"MZ");
        put(0x3c, &(PE as u32).to_le_bytes());
        put(PE, b"PE\0\0");
        put(SECTION_COUNT, &1u16.to_le_bytes());
        put(OPTIONAL_HEADER_BYTES, &240u16.to_le_bytes());
        put(MAGIC, &0x20bu16.to_le_bytes());
        let fields = [
            (SECTION_ALIGNMENT, 4096),
            (FILE_ALIGNMENT, 512),
            (IMAGE_BYTES, 0x2000),
            (HEADER_BYTES, headers as u32),
        ];
        for (field, value) in fields {
            put(field, &u32::to_le_bytes(value));
        }
        file
    }

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn section(file: &[u8], index: usize) -> (&[u8], u32, &[u8]) {
        let entry = &file[TABLE + index * SECTION_BYTES..][..SECTION_BYTES];
        let field = |at| u32_at(entry, at);
        (&entry[..8], field(12), &file[field(20) as usize..][..field(8) as usize])
    }

    #[test]
    fn kernel_and_bundle_are_appended_as_sections() {
        let file = make(stage(3), &[1; 5000], &[2; 100]).unwrap();
        assert_eq!(section(&file, 1), (&b".kernel\0"[..], 0x2000, &[1; 5000][..]));
        assert_eq!(section(&file, 2), (&b".bundle\0"[..], 0x4000, &[2; 100][..]));
        assert_eq!(file[SECTION_COUNT..][..2], 3u16.to_le_bytes());
        assert_eq!(u32_at(&file, IMAGE_BYTES), 0x5000);
        assert!(file.len().is_multiple_of(512));
        // Nothing else in the headers has changed.
        let (before, changed) = (stage(3), [SECTION_COUNT..SECTION_COUNT + 2, IMAGE_BYTES..IMAGE_BYTES + 4]);
        for at in (0..TABLE + SECTION_BYTES).filter(|at| !changed.iter().any(|field| field.contains(at))) {
            assert_eq!(file[at], before[at], "{at:#x}");
        }
    }

    #[test]
    fn a_full_section_table_is_refused() {
        let error = make(stage(2), &[1], &[2]).unwrap_err();
        assert!(error.to_string().contains("no room"), "{error}");
    }

    #[test]
    fn an_invalid_pe_file_is_refused() {
        let whole = stage(3);
        for length in 0..TABLE + 3 * SECTION_BYTES {
            assert!(make(whole[..length].to_vec(), &[1], &[2]).is_err(), "{length}");
        }
        assert!(make(b"\x7fELF".to_vec(), &[1], &[2]).is_err());
    }
}
