//! Files added to a Linux guest's initramfs: the kernel unpacks archives that follow one another
//! [Linux, Documentation/driver-api/early-userspace/buffer-format.rst].

/// A file of the archive.
pub struct Entry<'a> {
    /// Path without a leading slash; its folder is there already.
    pub path: &'a str,
    /// What is in it. All files may be executed.
    pub contents: &'a [u8],
}

/// An archive in the format `newc`, to be appended to another one.
#[must_use]
pub fn archive(entries: &[Entry<'_>]) -> Vec<u8> {
    const EXECUTABLE_FILE: u32 = 0o100_755;
    let mut bytes = Vec::new();
    for entry in entries {
        append(&mut bytes, entry.path, EXECUTABLE_FILE, entry.contents);
    }
    append(&mut bytes, "TRAILER!!!", 0, &[]);
    bytes
}

fn append(bytes: &mut Vec<u8>, path: &str, mode: u32, contents: &[u8]) {
    bytes.extend_from_slice(b"070701");
    // Inode, mode, user, group, links, time, size, device twice, special device twice, length of name, checksum.
    let fields = [0, mode, 0, 0, 1, 0, contents.len() as u32, 0, 0, 0, 0, path.len() as u32 + 1, 0];
    for field in fields {
        bytes.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    bytes.extend_from_slice(path.as_bytes());
    bytes.push(0);
    pad(bytes);
    bytes.extend_from_slice(contents);
    pad(bytes);
}

/// Headers and contents begin at multiples of four.
fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_the_layout_of_newc() {
        let bytes = archive(&[Entry { path: "a/bc", contents: b"hello" }]);
        assert_eq!(&bytes[..6], b"070701");
        assert_eq!(&bytes[54..62], b"00000005", "size");
        assert_eq!(&bytes[94..102], b"00000005", "length of the name with its zero byte");
        // Header and name fill 110 + 5 bytes, padded to 116.
        assert_eq!(&bytes[110..116], b"a/bc\0\0");
        assert_eq!(&bytes[116..124], b"hello\0\0\0");
        assert_eq!(&bytes[124..130], b"070701");
        assert_eq!(bytes.len() % 4, 0);
    }
}
