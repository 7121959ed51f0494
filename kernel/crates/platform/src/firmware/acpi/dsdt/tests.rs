use super::*;
use acpi_tables::aml::{BufferData, BufferTerm, Path};
use proptest::prelude::*;

/// Bytes that stand for a term.
struct RawTerm(Vec<u8>);

impl Aml for RawTerm {
    fn to_aml_bytes(&self, sink: &mut dyn AmlSink) {
        sink.vec(&self.0);
    }
}

fn encoded(term: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    term.to_aml_bytes(&mut bytes);
    bytes
}

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
        let encoded = &encoded(&BufferTerm::new(&RawTerm(vec![0xaa; length])))[1..];
        let (value, bytes) = package_length(encoded);
        assert_eq!((value, encoded.len()), (encoded.len(), length + bytes), "{length}");
    }
}

#[test]
fn identifiers_have_their_published_encoding() {
    // EISAID("PNP0A03") is 0x030AD041.
    assert_eq!(encoded(&EISAName::new("PNP0A03")), [0x0c, 0x41, 0xd0, 0x0a, 0x03]);
}

#[test]
fn names_are_padded_and_paths_prefixed() {
    assert_eq!(body(1)[..6], *b"\x08\\_S5_");
    assert_eq!(encoded(&Path::new("\\_SB_.PCI0")), b"\\\x2e_SB_PCI0");
}

proptest! {
    #[test]
    fn nested_terms_end_where_their_lengths_say(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let name = Name::new("BUFF".into(), &BufferData::new(bytes));
        let device = Device::new("DEV0".into(), vec![&name]);
        let term = encoded(&Scope::new("\\_SB_".into(), vec![&device]));
        let (length, prefix) = package_length(&term[1..]);
        prop_assert_eq!(length + 1, term.len());
        let inner = 1 + prefix + 5;
        prop_assert_eq!(&term[inner..inner + 2], &[0x5b, 0x82]);
        let (length, _) = package_length(&term[inner + 2..]);
        prop_assert_eq!(inner + 2 + length, term.len());
    }
}
