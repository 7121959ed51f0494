//! ACPI tables of the guest's PC, built once as bytes for the firmware area below 1 MiB.

mod dsdt;
mod tables;

use crate::layout;
use alloc::vec;
use alloc::vec::Vec;
use base::GuestPhysical;

/// The maximum number of processors that the tables describe; tests check that this many fit.
pub const MAX_VCPUS: u8 = 32;

/// All tables, as they go into guest memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcpiTables {
    /// Address of the first byte.
    pub base: GuestPhysical,
    /// The tables, with absolute addresses for `base`.
    pub bytes: Vec<u8>,
    /// The root system description pointer; on a 16-byte boundary, so that a scan also finds it
    /// [ACPI 6.5 5.2.5.1].
    pub rsdp: GuestPhysical,
}

/// Builds the tables for a guest with `vcpus` processors, 1 to [`MAX_VCPUS`]; other numbers are clamped to
/// that range.
///
/// ```
/// let tables = platform::acpi::build(2);
/// let rsdp = (tables.rsdp.0 - tables.base.0) as usize;
/// assert_eq!(&tables.bytes[rsdp..rsdp + 8], b"RSD PTR ");
/// ```
#[must_use]
pub fn build(vcpus: u8) -> AcpiTables {
    let vcpus = vcpus.clamp(1, MAX_VCPUS);
    // The RSDP comes first and is filled in last, when the addresses are known.
    const RSDP_ROOM: usize = 64;
    let mut image = TableImage { bytes: vec![0; RSDP_ROOM] };
    // The FACS needs a 64-byte boundary [ACPI 6.5 5.2.10], which suits the others as well.
    let facs = image.append(&tables::facs());
    let dsdt = image.append(&tables::table(b"DSDT", 2, &dsdt::body(vcpus)));
    let fadt = image.append(&tables::fadt(facs, dsdt));
    let listed = [fadt, image.append(&tables::madt(vcpus)), image.append(&tables::mcfg())];
    let entries32: Vec<u8> = listed.into_iter().flat_map(u32::to_le_bytes).collect();
    let entries64: Vec<u8> = listed.into_iter().flat_map(|at| u64::from(at).to_le_bytes()).collect();
    let rsdt = image.append(&tables::table(b"RSDT", 1, &entries32));
    let xsdt = image.append(&tables::table(b"XSDT", 1, &entries64));
    let rsdp = tables::rsdp(rsdt, xsdt.into());
    image.bytes[..rsdp.len()].copy_from_slice(&rsdp);
    let base = GuestPhysical(layout::FIRMWARE.start);
    AcpiTables { base, bytes: image.bytes, rsdp: base }
}

/// Tables in sequence, each on a 64-byte boundary.
struct TableImage {
    bytes: Vec<u8>,
}

impl TableImage {
    /// Appends `table` and returns its guest-physical address.
    fn append(&mut self, table: &[u8]) -> u32 {
        let offset = self.bytes.len().next_multiple_of(64);
        self.bytes.resize(offset, 0);
        self.bytes.extend_from_slice(table);
        const BASE: u32 = layout::below_4_gib(layout::FIRMWARE.start);
        BASE.saturating_add(u32::try_from(offset).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tables: &AcpiTables, address: u64) -> &[u8] {
        &tables.bytes[(address - tables.base.0) as usize..]
    }

    fn number(bytes: &[u8], offset: usize, length: usize) -> u64 {
        bytes[offset..offset + length].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }

    fn table_at(tables: &AcpiTables, address: u64) -> &[u8] {
        let bytes = at(tables, address);
        &bytes[..number(bytes, 4, 4) as usize]
    }

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
    }

    fn listed(tables: &AcpiTables) -> Vec<&[u8]> {
        let xsdt = table_at(tables, number(at(tables, tables.rsdp.0), 24, 8));
        assert_eq!(&xsdt[..4], b"XSDT");
        (36..xsdt.len()).step_by(8).map(|entry| table_at(tables, number(xsdt, entry, 8))).collect()
    }

    fn find<'a>(tables: &'a AcpiTables, signature: &[u8]) -> &'a [u8] {
        listed(tables).into_iter().find(|table| &table[..4] == signature).expect("the table is listed")
    }

    #[test]
    fn every_table_is_reachable_and_sums_to_zero() {
        for vcpus in [1, 2, MAX_VCPUS] {
            let tables = build(vcpus);
            let rsdp = at(&tables, tables.rsdp.0);
            assert_eq!((&rsdp[..8], sum(&rsdp[..20]), sum(&rsdp[..36])), (&b"RSD PTR "[..], 0, 0));
            let signatures: Vec<&[u8]> = listed(&tables).into_iter().map(|table| &table[..4]).collect();
            assert_eq!(signatures, [b"FACP", b"APIC", b"MCFG"]);
            assert!(listed(&tables).into_iter().all(|table| sum(table) == 0));
            let rsdt = table_at(&tables, number(rsdp, 16, 4));
            assert_eq!((&rsdt[..4], rsdt.len(), sum(rsdt)), (&b"RSDT"[..], 36 + 3 * 4, 0));
        }
    }

    #[test]
    fn the_largest_machine_fits_the_firmware_area_with_room_for_smbios() {
        assert!(build(u8::MAX).bytes.len() < 0x1_0000);
        assert_eq!(build(u8::MAX), build(MAX_VCPUS));
    }

    #[test]
    fn fadt_points_at_dsdt_and_facs_and_names_the_registers() {
        let tables = build(1);
        let fadt = find(&tables, b"FACP");
        assert_eq!((fadt.len(), fadt[8], fadt[131]), (276, 6, 5));
        let dsdt = table_at(&tables, number(fadt, 40, 4));
        assert_eq!((&dsdt[..4], sum(dsdt), number(fadt, 140, 8)), (&b"DSDT"[..], 0, number(fadt, 40, 4)));
        let facs = number(fadt, 36, 4);
        assert_eq!((&at(&tables, facs)[..4], facs % 64), (&b"FACS"[..], 0));
        assert_eq!(number(fadt, 48, 4), 0, "no SMI command: ACPI mode is permanent");
        assert_eq!((number(fadt, 56, 4), number(fadt, 64, 4), number(fadt, 76, 4)), (0x600, 0x604, 0x608));
        assert_eq!((number(fadt, 46, 2), fadt[108]), (9, 0x32));
        assert_eq!(fadt[116..129], [1, 8, 0, 1, 0xf9, 0x0c, 0, 0, 0, 0, 0, 0, 6]);
    }

    #[test]
    fn madt_lists_one_local_apic_per_vcpu_and_the_overrides() {
        let tables = build(3);
        let madt = find(&tables, b"APIC");
        let (mut entry, mut kinds) = (44, Vec::new());
        while entry < madt.len() {
            kinds.push(madt[entry]);
            entry += usize::from(madt[entry + 1]);
        }
        assert_eq!((entry, kinds), (madt.len(), vec![0, 0, 0, 1, 2, 2, 4]));
    }
}
