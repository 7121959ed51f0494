//! SMBIOS tables: the machine's description of itself, at the place that PCs use [SMBIOS 3.0 5.2, 7].

use alloc::string::String;
use alloc::vec::Vec;
use base::bits::low_u32;
use base::{GuestMemory, GuestPhysical, MemoryError};

/// The entry point lies in the last 64 KiB below 1 MiB, on a 16-byte boundary [SMBIOS 3.0 5.2.1].
const ENTRY_POINT: GuestPhysical = GuestPhysical(0xf_0000);
const TABLE: GuestPhysical = GuestPhysical(0xf_0040);

/// What tells one guest's machine from another's.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct DmiIdentity {
    /// The UUID in the order in which it is written as text; all zeros: there is none.
    pub uuid: [u8; 16],
    /// The serial number; empty: there is none.
    pub serial: String,
    /// The owner's tag; empty: there is none.
    pub asset_tag: String,
}

impl DmiIdentity {
    /// An identity with these three parts.
    #[must_use]
    pub fn new(uuid: [u8; 16], serial: &str, asset_tag: &str) -> Self {
        Self { uuid, serial: serial.into(), asset_tag: asset_tag.into() }
    }
}

/// Writes the entry point and the structures.
pub(super) fn write<M: GuestMemory>(memory: &M, identity: &DmiIdentity) -> Result<(), MemoryError> {
    let structures = structures(identity);
    let bytes: Vec<u8> = structures.concat();
    let longest = structures.iter().map(Vec::len).max().unwrap_or(0);
    memory.write(TABLE, &bytes)?;
    memory.write(ENTRY_POINT, &entry_point(bytes.len(), structures.len(), longest))
}

/// BIOS, system, chassis and end of table: the structures with information about this machine.
fn structures(identity: &DmiIdentity) -> [Vec<u8>; 4] {
    // BIOS: segment 0xf000, 64 KiB; characteristics "not supported"; the second extension byte marks a
    // virtual machine [SMBIOS 3.0 7.1].
    let bios = [1, 2, 0, 0xf0, 3, 0, 1 << 3, 0, 0, 0, 0, 0, 0, 0, 0, 1 << 4, 0, 0, 0xff, 0xff];
    // A string that is there has the number of its place behind the fixed ones.
    let number = |text: &str, place: u8| if text.is_empty() { 0 } else { place };
    let (serial, tag) = (identity.serial.as_str(), identity.asset_tag.as_str());
    // System: manufacturer and product, no version, serial number, UUID; woken by the power switch [SMBIOS 3.0 7.2].
    let mut system = [0; 23];
    (system[0], system[1], system[3], system[20]) = (1, 2, number(serial, 3), 6);
    system[4..20].copy_from_slice(&stored(identity.uuid));
    // Chassis: of type "other", serial number and tag, all states "safe", security "none" [SMBIOS 3.0 7.4].
    let tag_number = number(tag, 2 + number(serial, 1));
    let chassis = [1, 1, 0, number(serial, 2), tag_number, 3, 3, 3, 3];
    [
        structure(0, &bios, &["Weir", env!("CARGO_PKG_VERSION"), "01/01/2026"]),
        structure(1, &system, &["Weir", "Weir virtual machine", serial]),
        structure(3, &chassis, &["Weir", serial, tag]),
        structure(127, &[], &[]),
    ]
}

/// The UUID as structures hold it: its first three fields are little-endian numbers [SMBIOS 3.0 7.2.1].
fn stored([a, b, c, d, e, f, g, h, rest @ ..]: [u8; 16]) -> [u8; 16] {
    let mut bytes = [d, c, b, a, f, e, h, g, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[8..].copy_from_slice(&rest);
    bytes
}

/// A structure: type, length, handle, formatted part, then its strings [SMBIOS 3.0 6.1].
#[expect(clippy::cast_possible_truncation, reason = "the formatted parts above have at most 23 bytes")]
fn structure(kind: u8, formatted: &[u8], strings: &[&str]) -> Vec<u8> {
    let length = formatted.len() as u8 + 4;
    // Types double as handles: there is one structure of each.
    let mut bytes = alloc::vec![kind, length, kind, 0];
    bytes.extend_from_slice(formatted);
    for text in strings.iter().filter(|text| !text.is_empty()) {
        bytes.extend_from_slice(text.as_bytes());
        bytes.push(0);
    }
    // A second zero ends the strings; two zeros stand for an empty list.
    bytes.extend_from_slice(if strings.is_empty() { &[0, 0] } else { &[0] });
    bytes
}

/// The 32-bit entry point of version 2.8 with both of its checksums.
#[expect(clippy::cast_possible_truncation, reason = "the structures above have fewer than 256 bytes")]
fn entry_point(table_bytes: usize, count: usize, longest: usize) -> [u8; 31] {
    let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    let mut bytes = [0; 31];
    bytes[0..4].copy_from_slice(b"_SM_");
    bytes[5..8].copy_from_slice(&[31, 2, 8]);
    bytes[8..10].copy_from_slice(&(longest as u16).to_le_bytes());
    bytes[16..21].copy_from_slice(b"_DMI_");
    bytes[22..24].copy_from_slice(&(table_bytes as u16).to_le_bytes());
    bytes[24..28].copy_from_slice(&low_u32(TABLE.0).to_le_bytes());
    bytes[28..30].copy_from_slice(&(count as u16).to_le_bytes());
    bytes[30] = 0x28;
    bytes[21] = sum(&bytes[16..]);
    bytes[4] = sum(&bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_checksums_of_the_entry_point_are_zero() {
        let entry = entry_point(100, 4, 50);
        let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!((sum(&entry), sum(&entry[16..])), (0, 0));
    }

    #[test]
    fn structures_have_the_lengths_of_their_version_and_end_in_two_zeros() {
        let structures = structures(&DmiIdentity::default());
        assert_eq!(structures.each_ref().map(|bytes| bytes[1]), [24, 27, 13, 4]);
        assert!(structures.iter().all(|bytes| bytes.ends_with(&[0, 0])));
        assert_eq!((structures[1][7], &structures[1][8..24]), (0, &[0; 16][..]), "no serial number, no UUID");
    }

    #[test]
    fn the_identity_is_where_systems_look_for_it() {
        // RFC 9562 writes this one 00112233-4455-6677-8899-aabbccddeeff, and SMBIOS stores it so.
        let text =
            [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let stored =
            [0x33, 0x22, 0x11, 0, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        for (serial, numbers) in [("S-1", [3, 2, 3]), ("", [0, 0, 2])] {
            let identity = DmiIdentity { uuid: text, serial: serial.into(), asset_tag: "row 7".into() };
            let [_, system, chassis, _] = structures(&identity);
            assert_eq!(&system[8..24], stored);
            assert_eq!([system[7], chassis[7], chassis[8]], numbers);
            let strings = if serial.is_empty() { &b"\0row 7\0\0"[..] } else { b"\0S-1\0row 7\0\0" };
            assert!(chassis.ends_with(strings));
        }
    }
}
