//! The smaller tables: MCFG, HPET, DMAR, IVRS.

use crate::bytes::{u8_at, u16_at, u64_at};
use crate::tables::{HEADER, Signature, TableFault, TableFaults, note};
use base::HostPhysical;

/// Notes the PCI segments of MCFG that the configuration ports do not reach [PCI Firmware 3.3 4.1.2].
pub(crate) fn note_segments(mcfg: &[u8], faults: &mut TableFaults) {
    let entries = mcfg.get(HEADER + 8..).unwrap_or_default().chunks_exact(16);
    for segment in entries.filter_map(|entry| u16_at(entry, 8)).filter(|segment| *segment != 0) {
        note(faults, TableFault::OtherSegment(segment));
    }
}

/// The address of the HPET's registers, if they are in memory [IA-PC HPET 3.2.4].
pub(crate) fn hpet(table: &[u8]) -> Option<HostPhysical> {
    let is_memory = u8_at(table, 40)? == 0;
    u64_at(table, 44).filter(|at| is_memory && *at != 0 && at.is_multiple_of(8)).map(HostPhysical)
}

/// Which IOMMU a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IommuKind {
    /// Listed in DMAR, with the registers of [VT-d 4.1 chapter 11].
    Dmar,
    /// Listed in IVRS, with the registers of [AMD IOMMU 3.4].
    Ivrs,
}

/// An IOMMU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IommuUnit {
    /// Its registers' layout.
    pub kind: IommuKind,
    /// Address of its registers.
    pub at: HostPhysical,
}

/// The IOMMUs of a machine.
pub type IommuUnits = heapless::Vec<IommuUnit, 64>;

/// What DMAR or IVRS says.
#[derive(Clone, Debug, Default)]
pub struct Remapping {
    /// The IOMMUs, each once.
    pub units: IommuUnits,
    /// Firmware asks not to use x2APIC mode: X2APIC_OPT_OUT [VT-d 4.1 8.1].
    pub x2apic_opt_out: bool,
}

const X2APIC_OPT_OUT: u8 = 1 << 1;
/// A DMA remapping hardware unit [VT-d 4.1 8.3].
const DRHD: u16 = 0;
/// An I/O virtualization hardware definition, in three layouts that begin alike [AMD IOMMU 5.2.2].
const IVHD: [u8; 3] = [0x10, 0x11, 0x40];

impl Remapping {
    /// Adds what DMAR or IVRS says. After 12 bytes both have a list of structures, each with its type and, in bytes 2
    /// and 3, its length, and with the address of a unit's registers in bytes 8 to 15, if it describes one
    /// [VT-d 4.1 8.1, 8.3; AMD IOMMU 5.2.1, 5.2.2].
    pub(crate) fn add_units(&mut self, kind: IommuKind, table: &[u8], faults: &mut TableFaults) {
        let is_dmar = kind == IommuKind::Dmar;
        self.x2apic_opt_out |=
            is_dmar && u8_at(table, HEADER + 1).is_some_and(|flags| flags & X2APIC_OPT_OUT != 0);
        let mut rest = table.get(HEADER + 12..).unwrap_or_default();
        while let Some((structure, length)) = u16_at(rest, 0).zip(u16_at(rest, 2)) {
            let length = usize::from(length);
            let Some(next) = rest.get(length..).filter(|_| length >= 4) else {
                note(faults, TableFault::Truncated(Signature(if is_dmar { *b"DMAR" } else { *b"IVRS" })));
                return;
            };
            // The type has 16 bits in DMAR, and 8 in IVRS.
            let [low, _] = structure.to_le_bytes();
            if length >= 16 && if is_dmar { structure == DRHD } else { IVHD.contains(&low) } {
                self.add(kind, u64_at(rest, 8));
            }
            rest = next;
        }
    }

    fn add(&mut self, kind: IommuKind, at: Option<u64>) {
        let Some(at) = at.filter(|at| *at != 0 && at.is_multiple_of(4096)).map(HostPhysical) else { return };
        if !self.units.iter().any(|unit| unit.at == at) {
            // No machine has more units than there is room for.
            let _ = self.units.push(IommuUnit { kind, at });
        }
    }
}
