//! A small assembler for ACPI Machine Language [ACPI 6.5 20.2]: each function returns the encoding of one
//! term, so that a table reads like its source.

use alloc::vec;
use alloc::vec::Vec;

const ZERO_OP: u8 = 0x00;
const ONE_OP: u8 = 0x01;
const NAME_OP: u8 = 0x08;
const BYTE_PREFIX: u8 = 0x0a;
const WORD_PREFIX: u8 = 0x0b;
const DWORD_PREFIX: u8 = 0x0c;
const STRING_PREFIX: u8 = 0x0d;
const SCOPE_OP: u8 = 0x10;
const BUFFER_OP: u8 = 0x11;
const PACKAGE_OP: u8 = 0x12;
const EXTENDED_PREFIX: u8 = 0x5b;
const DEVICE_OP: u8 = 0x82;

/// The bytes of an AML term.
pub type Aml = Vec<u8>;

/// An integer constant in its shortest form [ACPI 6.5 20.2.3].
pub fn integer(value: u32) -> Aml {
    let [a, b, c, d] = value.to_le_bytes();
    match value {
        0 => vec![ZERO_OP],
        1 => vec![ONE_OP],
        2..=0xff => vec![BYTE_PREFIX, a],
        0x100..=0xffff => vec![WORD_PREFIX, a, b],
        _ => vec![DWORD_PREFIX, a, b, c, d],
    }
}

/// A string constant of ASCII characters.
pub fn string(text: &str) -> Aml {
    join([vec![STRING_PREFIX], text.as_bytes().to_vec(), vec![0]])
}

/// The compressed form of a seven-character EISA identifier, such as PNP0A03 [ACPI 6.5 19.6.37].
pub fn eisa_id(id: &[u8; 7]) -> Aml {
    let letter = |at: usize| u32::from(id[at].wrapping_sub(0x40) & 0x1f);
    let digit = |at: usize| (id[at] as char).to_digit(16).unwrap_or(0);
    let maker = letter(0) << 10 | letter(1) << 5 | letter(2);
    let product = (3..7).fold(0, |number, at| number << 4 | digit(at));
    // Both halves are stored with the high byte first.
    let [_, _, a, b] = maker.to_be_bytes();
    let [_, _, c, d] = product.to_be_bytes();
    vec![DWORD_PREFIX, a, b, c, d]
}

/// `Name (name, value)`.
pub fn name(name: &str, value: Aml) -> Aml {
    join([vec![NAME_OP], path(name), value])
}

/// `Scope (name) { .. }`.
pub fn scope(name: &str, body: impl IntoIterator<Item = Aml>) -> Aml {
    join([vec![SCOPE_OP], package_of(join([path(name), join(body)]))])
}

/// `Device (name) { .. }`.
pub fn device(name: &str, body: impl IntoIterator<Item = Aml>) -> Aml {
    join([vec![EXTENDED_PREFIX, DEVICE_OP], package_of(join([path(name), join(body)]))])
}

/// `Package () { .. }` of at most 255 elements.
pub fn package(elements: impl IntoIterator<Item = Aml>) -> Aml {
    let elements: Vec<Aml> = elements.into_iter().collect();
    let count = u8::try_from(elements.len()).unwrap_or(u8::MAX);
    join([vec![PACKAGE_OP], package_of(join([vec![count], join(elements)]))])
}

/// `Buffer () { .. }` with these bytes.
pub fn buffer(bytes: &[u8]) -> Aml {
    let length = integer(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    join([vec![BUFFER_OP], package_of(join([length, bytes.to_vec()]))])
}

/// Terms one after the other.
pub fn join(terms: impl IntoIterator<Item = Aml>) -> Aml {
    terms.into_iter().flatten().collect()
}

/// A name string: `NAME`, `\NAME` or `\_SB.NAME`, each segment of four characters [ACPI 6.5 20.2.2].
fn path(name: &str) -> Aml {
    const DUAL_NAME_PREFIX: u8 = 0x2e;
    let relative = name.strip_prefix('\\');
    let mut bytes = if relative.is_some() { vec![b'\\'] } else { vec![] };
    let segments: Vec<&str> = relative.unwrap_or(name).split('.').collect();
    if segments.len() == 2 {
        bytes.push(DUAL_NAME_PREFIX);
    }
    for segment in segments {
        bytes.extend(segment.bytes().chain(core::iter::repeat(b'_')).take(4));
    }
    bytes
}

/// `body` behind its PkgLength, which counts its own one to four bytes [ACPI 6.5 20.2.4].
fn package_of(body: Aml) -> Aml {
    let length = body.len();
    let encoded = if length + 1 < 1 << 6 {
        vec![(length + 1) as u8]
    } else {
        // The first byte holds the low four bits and the number of bytes that follow.
        let following = (1..4).find(|more| length + 1 + more < 1 << (4 + 8 * more)).unwrap_or(3);
        let total = length + 1 + following;
        let first = (following as u8) << 6 | (total & 0xf) as u8;
        let rest = (0..following).map(|byte| (total >> (4 + 8 * byte)) as u8);
        core::iter::once(first).chain(rest).collect()
    };
    join([encoded, body])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Decodes a PkgLength: its value and how many bytes it takes.
    fn package_length(bytes: &[u8]) -> (usize, usize) {
        let following = usize::from(bytes[0] >> 6);
        if following == 0 {
            return (usize::from(bytes[0] & 0x3f), 1);
        }
        let low = usize::from(bytes[0] & 0xf);
        let value = (0..following).fold(low, |value, i| value | usize::from(bytes[1 + i]) << (4 + 8 * i));
        (value, 1 + following)
    }

    #[test]
    fn package_length_counts_itself_at_every_boundary() {
        for length in [0, 1, 61, 62, 63, 64, 4092, 4093, 4094, 4095, 70_000] {
            let encoded = package_of(vec![0xaa; length]);
            let (value, bytes) = package_length(&encoded);
            assert_eq!((value, encoded.len()), (encoded.len(), length + bytes), "{length}");
        }
    }

    #[test]
    fn identifiers_have_their_published_encoding() {
        // EISAID("PNP0A03") is 0x030AD041.
        assert_eq!(eisa_id(b"PNP0A03"), [0x0c, 0x41, 0xd0, 0x0a, 0x03]);
    }

    #[test]
    fn names_are_padded_and_paths_prefixed() {
        assert_eq!(path("_S5"), b"_S5_");
        assert_eq!(path("\\_SB.PCI0"), b"\\\x2e_SB_PCI0");
    }

    proptest! {
        #[test]
        fn nested_terms_end_where_their_lengths_say(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            let term = scope("\\_SB", [device("DEV0", [name("BUFF", buffer(&bytes))])]);
            let (length, prefix) = package_length(&term[1..]);
            prop_assert_eq!(length + 1, term.len());
            let inner = 1 + prefix + 5;
            prop_assert_eq!(&term[inner..inner + 2], &[0x5b, 0x82]);
            let (length, _) = package_length(&term[inner + 2..]);
            prop_assert_eq!(inner + 2 + length, term.len());
        }
    }
}
