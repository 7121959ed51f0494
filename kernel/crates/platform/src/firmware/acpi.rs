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
/// A guest finds the tables by a scan of the firmware area, and follows their addresses:
///
/// ```
/// use base::GuestMemory;
/// use testkit::FakeMemory;
///
/// let tables = platform::acpi::build(2);
/// let memory = FakeMemory::new(1 << 20);
/// memory.write(tables.base, &tables.bytes)?;
///
/// let rsdp = (0xe_0000..0x10_0000).step_by(16).find(|at| memory.bytes(*at, 8) == b"RSD PTR ");
/// assert_eq!(rsdp, Some(tables.rsdp.0));
/// let xsdt = memory.read_u64(tables.rsdp.0 + 24);
/// assert_eq!(memory.bytes(xsdt, 4), b"XSDT");
/// let madt = memory.read_u64(xsdt + 36 + 8);
/// assert_eq!(memory.bytes(madt, 4), b"APIC");
/// # Ok::<(), base::MemoryError>(())
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
mod tests;
