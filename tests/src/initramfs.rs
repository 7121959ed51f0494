//! Files added to a Linux guest's initramfs: the kernel unpacks concatenated archives
//! [Linux, Documentation/driver-api/early-userspace/buffer-format.rst].

use crate::Outcome;
use crate::failure::ErrorContext;
use cpio::newc;
use std::io::{Error, Write};

/// A file of the archive.
pub struct ArchiveFile<'a> {
    /// Path without a leading slash; its folder must exist already.
    pub path: &'a str,
    /// Its contents. All files are executable.
    pub contents: &'a [u8],
}

/// An archive in the format `newc`, to be appended to another one.
///
/// # Errors
/// The contents of a file are too long for the format.
pub fn archive(files: &[ArchiveFile<'_>]) -> Outcome<Vec<u8>> {
    const EXECUTABLE_FILE: u32 = 0o100_755;
    let pack = |mut bytes: Vec<u8>, file: &ArchiveFile<'_>| {
        let length = u32::try_from(file.contents.len()).map_err(Error::other)?;
        let mut entry = newc::Builder::new(file.path).mode(EXECUTABLE_FILE).write(&mut bytes, length);
        entry.write_all(file.contents)?;
        entry.finish()?;
        Ok(bytes)
    };
    files.iter().try_fold(Vec::new(), pack).and_then(newc::trailer).context("packing an initramfs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_the_layout_of_newc() {
        let bytes = archive(&[ArchiveFile { path: "a/bc", contents: b"hello" }]).unwrap();
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[14..22], b"000081ed", "mode");
        assert_eq!(&bytes[54..62], b"00000005", "size");
        assert_eq!(&bytes[94..102], b"00000005", "length of the name with its zero byte");
        // Header and name take 110 + 5 bytes, padded to 116.
        assert_eq!(&bytes[110..116], b"a/bc\0\0");
        assert_eq!(&bytes[116..124], b"hello\0\0\0");
        assert_eq!(&bytes[124..130], b"070701");
        assert_eq!(bytes.len() % 4, 0);
    }
}
