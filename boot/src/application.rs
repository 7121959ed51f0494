//! Weir as one EFI application: the UEFI stage with kernel and bundle as two more sections. Firmware then loads
//! all of it at once, from wherever it loads applications.

use anyhow::{Context, Result, bail, ensure};

/// Where the PE header's offset stands in a DOS header [PE format].
const PE_OFFSET: usize = 0x3c;
const SIGNATURE: &[u8] = b"PE\0\0";
/// Fields of the COFF header, counted from the signature before it.
const SECTION_COUNT: usize = 6;
const OPTIONAL_HEADER_BYTES: usize = 20;
const OPTIONAL_HEADER: usize = 24;
/// Fields of the optional header.
const SECTION_ALIGNMENT: usize = 32;
const FILE_ALIGNMENT: usize = 36;
const IMAGE_BYTES: usize = 56;
const HEADER_BYTES: usize = 60;
/// An entry of the section table.
const SECTION_BYTES: usize = 40;
/// Initialized data that may be read.
const CHARACTERISTICS: u32 = 0x4000_0040;

/// Makes the application of the UEFI stage's own file.
pub fn make(stage: Vec<u8>, kernel: &[u8], bundle: &[u8]) -> Result<Vec<u8>> {
    let mut image = Image::parse(stage).context("the UEFI stage is no PE file")?;
    image.add(*b".kernel\0", kernel)?;
    image.add(*b".bundle\0", bundle)?;
    Ok(image.file)
}

/// A PE file whose headers were found sound.
struct Image {
    file: Vec<u8>,
    /// Where the signature is.
    pe: usize,
}

impl Image {
    fn parse(file: Vec<u8>) -> Result<Self> {
        ensure!(file.starts_with(b"MZ"), "it does not begin as one");
        let pe = u32_at(&file, PE_OFFSET)? as usize;
        ensure!(file.get(pe..).is_some_and(|rest| rest.starts_with(SIGNATURE)), "it has no PE header");
        let image = Self { file, pe };
        for field in [SECTION_ALIGNMENT, FILE_ALIGNMENT] {
            ensure!(image.header(field)?.is_power_of_two(), "its alignments are no powers of two");
        }
        ensure!(image.file.len() >= image.header(HEADER_BYTES)? as usize, "it breaks off in its headers");
        Ok(image)
    }

    /// A field of the optional header.
    fn header(&self, field: usize) -> Result<u32> {
        u32_at(&self.file, self.pe + OPTIONAL_HEADER + field)
    }

    /// Adds a section behind all others, in the file and in memory.
    fn add(&mut self, name: [u8; 8], content: &[u8]) -> Result<()> {
        let (file_alignment, alignment) = (self.header(FILE_ALIGNMENT)?, self.header(SECTION_ALIGNMENT)?);
        let address = self.header(IMAGE_BYTES)?.next_multiple_of(alignment);
        let too_large = "a UEFI application has less than 4 GiB: the guests' images are too large for one";
        let bytes = u32::try_from(content.len()).context(too_large)?;
        let end = address.checked_add(bytes).and_then(|end| end.checked_next_multiple_of(alignment));
        let end = end.context(too_large)?;

        self.pad(file_alignment as usize);
        let start = u32::try_from(self.file.len()).context(too_large)?;
        self.file.extend_from_slice(content);
        self.pad(file_alignment as usize);
        let padded = u32::try_from(self.file.len()).context(too_large)? - start;

        let count = u16_at(&self.file, self.pe + SECTION_COUNT)?;
        let table =
            self.pe + OPTIONAL_HEADER + usize::from(u16_at(&self.file, self.pe + OPTIONAL_HEADER_BYTES)?);
        let entry = table + usize::from(count) * SECTION_BYTES;
        if entry + SECTION_BYTES > self.header(HEADER_BYTES)? as usize {
            bail!("its section table has no room for another section");
        }
        let fields = [bytes, address, padded, start, 0, 0, 0, CHARACTERISTICS];
        self.put(entry, &name);
        self.put(entry + name.len(), &fields.map(u32::to_le_bytes).concat());
        self.put(self.pe + SECTION_COUNT, &(count + 1).to_le_bytes());
        self.put(self.pe + OPTIONAL_HEADER + IMAGE_BYTES, &end.to_le_bytes());
        Ok(())
    }

    fn pad(&mut self, alignment: usize) {
        self.file.resize(self.file.len().next_multiple_of(alignment), 0);
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.file[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let field = bytes.get(at..at + 2).context("it breaks off in its headers")?;
    Ok(u16::from_le_bytes(field.try_into()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let field = bytes.get(at..at + 4).context("it breaks off in its headers")?;
    Ok(u32::from_le_bytes(field.try_into()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PE: usize = 0x40;
    const TABLE: usize = PE + OPTIONAL_HEADER + 240;

    /// A PE file without code: headers with room for `sections`, one section of 512 bytes.
    fn stage(sections: usize) -> Vec<u8> {
        let headers = TABLE + sections * SECTION_BYTES;
        let mut image = Image { file: vec![0; headers.next_multiple_of(512) + 512], pe: PE };
        image.put(0, b"MZ");
        image.put(PE_OFFSET, &(PE as u32).to_le_bytes());
        image.put(PE, SIGNATURE);
        image.put(PE + SECTION_COUNT, &1u16.to_le_bytes());
        image.put(PE + OPTIONAL_HEADER_BYTES, &240u16.to_le_bytes());
        let fields = [
            (SECTION_ALIGNMENT, 4096),
            (FILE_ALIGNMENT, 512),
            (IMAGE_BYTES, 0x2000),
            (HEADER_BYTES, headers as u32),
        ];
        for (field, value) in fields {
            image.put(PE + OPTIONAL_HEADER + field, &u32::to_le_bytes(value));
        }
        image.file
    }

    fn section(file: &[u8], index: usize) -> (&[u8], u32, &[u8]) {
        let entry = &file[TABLE + index * SECTION_BYTES..][..SECTION_BYTES];
        let field = |at| u32_at(entry, at).unwrap();
        (&entry[..8], field(12), &file[field(20) as usize..][..field(8) as usize])
    }

    #[test]
    fn kernel_and_bundle_are_sections_behind_the_others() {
        let file = make(stage(3), &[1; 5000], &[2; 100]).unwrap();
        assert_eq!(section(&file, 1), (&b".kernel\0"[..], 0x2000, &[1; 5000][..]));
        assert_eq!(section(&file, 2), (&b".bundle\0"[..], 0x4000, &[2; 100][..]));
        assert_eq!(u16_at(&file, PE + SECTION_COUNT).unwrap(), 3);
        assert_eq!(u32_at(&file, PE + OPTIONAL_HEADER + IMAGE_BYTES).unwrap(), 0x5000);
        assert!(file.len().is_multiple_of(512));
    }

    #[test]
    fn a_full_section_table_is_refused() {
        let error = make(stage(2), &[1], &[2]).unwrap_err();
        assert!(error.to_string().contains("no room"), "{error}");
    }

    #[test]
    fn what_is_no_pe_file_is_refused() {
        let whole = stage(3);
        for length in 0..TABLE + 3 * SECTION_BYTES {
            assert!(make(whole[..length].to_vec(), &[1], &[2]).is_err(), "{length}");
        }
        assert!(make(b"\x7fELF".to_vec(), &[1], &[2]).is_err());
    }
}
