//! SMBIOS tables: the machine's description of itself, at the place that PCs use [SMBIOS 3.0 5.2, 7].

use alloc::vec::Vec;
use base::bits::low_u32;
use base::{GuestMemory, GuestPhysical, MemoryError};

/// The entry point lies in the last 64 KiB below 1 MiB, on a 16-byte boundary [SMBIOS 3.0 5.2.1].
const ENTRY_POINT: GuestPhysical = GuestPhysical(0xf_0000);
const TABLE: GuestPhysical = GuestPhysical(0xf_0040);

/// Writes the entry point and the structures.
pub(super) fn write<M: GuestMemory>(memory: &M) -> Result<(), MemoryError> {
    let structures = structures();
    let bytes: Vec<u8> = structures.concat();
    let longest = structures.iter().map(Vec::len).max().unwrap_or(0);
    memory.write(TABLE, &bytes)?;
    memory.write(ENTRY_POINT, &entry_point(bytes.len(), structures.len(), longest))
}

/// BIOS, system, chassis and end of table: the structures with information about this machine.
fn structures() -> [Vec<u8>; 4] {
    // BIOS: segment 0xf000, 64 KiB; characteristics "not supported"; the second extension byte marks a
    // virtual machine [SMBIOS 3.0 7.1].
    let bios = [1, 2, 0, 0xf0, 3, 0, 1 << 3, 0, 0, 0, 0, 0, 0, 0, 0, 1 << 4, 0, 0, 0xff, 0xff];
    // System: manufacturer and product; no version, serial number or UUID; woken by the power switch
    // [SMBIOS 3.0 7.2].
    let mut system = [0; 23];
    (system[0], system[1], system[20]) = (1, 2, 6);
    // Chassis: of type "other", all states "safe", security "none" [SMBIOS 3.0 7.4].
    let chassis = [1, 1, 0, 0, 0, 3, 3, 3, 3];
    [
        structure(0, &bios, &["Weir", env!("CARGO_PKG_VERSION"), "01/01/2026"]),
        structure(1, &system, &["Weir", "Weir virtual machine"]),
        structure(3, &chassis, &["Weir"]),
        structure(127, &[], &[]),
    ]
}

/// A structure: type, length, handle, formatted part, then its strings [SMBIOS 3.0 6.1].
#[expect(clippy::cast_possible_truncation, reason = "the formatted parts above have at most 23 bytes")]
fn structure(kind: u8, formatted: &[u8], strings: &[&str]) -> Vec<u8> {
    let length = formatted.len() as u8 + 4;
    // Types double as handles: there is one structure of each.
    let mut bytes = alloc::vec![kind, length, kind, 0];
    bytes.extend_from_slice(formatted);
    for text in strings {
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
        let structures = structures();
        assert_eq!(structures.each_ref().map(|bytes| bytes[1]), [24, 27, 13, 4]);
        assert!(structures.iter().all(|bytes| bytes.ends_with(&[0, 0])));
    }
}
