//! The part of the tables that Weir uses.

use crate::fadt::Fadt;
use crate::madt::Madt;
use crate::other_tables::{IommuKind, Remapping, hpet, note_segments};
use crate::tables::{
    FirmwareMemory, HEADER, MAX_TABLES, RootError, Signature, TableFault, TableFaults, Tables, note, table,
};
use crate::{aml, power::SleepTypes};
use base::HostPhysical;

/// An interrupt's way to a processor: an input of an IO-APIC, and how it is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wire {
    /// Global system interrupt.
    pub gsi: u32,
    /// Level-triggered instead of edge-triggered.
    pub level: bool,
    /// Active low instead of active high.
    pub low: bool,
}

/// What the firmware's tables say of the machine.
#[derive(Clone, Debug, Default)]
pub struct MachineInfo<'a> {
    /// Processors and interrupt controllers.
    pub madt: Madt,
    /// Timers, power and reset.
    pub fadt: Fadt,
    /// What switches the machine off, for the registers of `fadt`.
    pub sleep_types: Option<SleepTypes>,
    /// Address of the HPET's registers.
    pub hpet: Option<HostPhysical>,
    /// IOMMUs.
    pub remapping: Remapping,
    /// What was wrong with the tables.
    pub faults: TableFaults,
    /// The AML of DSDT and SSDTs.
    pub(crate) aml: heapless::Vec<&'a [u8], MAX_TABLES>,
}

/// Fields of [`SourceOverride::flags`](crate::SourceOverride) [ACPI 6.5 5.2.12.5]: 0 means that the bus decides.
const POLARITY: u16 = 0b0011;
const TRIGGER: u16 = 0b1100;
const ACTIVE_HIGH: u16 = 0b0001;
const ACTIVE_LOW: u16 = 0b0011;
const EDGE: u16 = 0b0100;
const LEVEL: u16 = 0b1100;

impl<'a> MachineInfo<'a> {
    /// Reads the tables.
    ///
    /// # Errors
    /// When there are none, or their root is damaged. A missing table leaves its fields empty.
    pub fn discover(memory: &impl FirmwareMemory<'a>, rsdp: Option<HostPhysical>) -> Result<Self, RootError> {
        let mut machine = Self::default();
        let faults = &mut machine.faults;
        let tables = Tables::find(memory, rsdp, faults)?;
        match tables.get(b"APIC", faults) {
            Some(madt) => machine.madt = Madt::parse(madt, faults),
            None => note(faults, TableFault::Missing(Signature(*b"APIC"))),
        }
        match tables.get(b"FACP", faults) {
            Some(fadt) => machine.fadt = Fadt::parse(fadt),
            None => note(faults, TableFault::Missing(Signature(*b"FACP"))),
        }
        machine.hpet = tables.get(b"HPET", faults).and_then(hpet);
        if let Some(table) = tables.get(b"MCFG", faults) {
            note_segments(table, faults);
        }
        for (name, kind) in [(b"DMAR", IommuKind::Dmar), (b"IVRS", IommuKind::Ivrs)] {
            let table = tables.get(name, faults).unwrap_or_default();
            machine.remapping.add_units(kind, table, faults);
        }
        let dsdt = table(memory, machine.fadt.dsdt).filter(|table| table.starts_with(b"DSDT"));
        for table in dsdt.into_iter().chain(tables.all(b"SSDT")) {
            // There is room for as many tables as are looked at; the last may make way for the DSDT.
            let _ = machine.aml.push(&table[HEADER..]);
        }
        machine.sleep_types = machine.aml.iter().find_map(|aml| aml::sleep_types(aml));
        Ok(machine)
    }

    /// How an ISA interrupt is wired: with MADT's override, else identity, edge, active high.
    #[must_use]
    pub fn isa_wire(&self, isa: u8) -> Wire {
        let default = Wire { gsi: isa.into(), level: false, low: false };
        self.madt.overrides.iter().find(|o| o.isa == isa).map_or(default, |o| Wire {
            gsi: o.gsi,
            level: o.flags & TRIGGER == LEVEL,
            low: o.flags & POLARITY == ACTIVE_LOW,
        })
    }

    /// How the PCI interrupt of an Interrupt Line register is wired: as the ISA interrupt of that number, level and
    /// active low unless MADT says otherwise [PCI 3.0 2.2.6]. 255 means none.
    #[must_use]
    pub fn interrupt_line_wire(&self, line: u8) -> Option<Wire> {
        if line == 255 {
            return None;
        }
        let gsi = self.madt.overrides.iter().find(|o| o.isa == line).map_or(line.into(), |o| o.gsi);
        Some(self.pci_wire(Wire { gsi, level: true, low: true }))
    }

    /// A PCI interrupt whose input is known, driven as `wire` says unless MADT has an override for that input.
    #[must_use]
    pub fn pci_wire(&self, wire: Wire) -> Wire {
        self.madt.overrides.iter().find(|o| o.gsi == wire.gsi).map_or(wire, |o| Wire {
            gsi: wire.gsi,
            level: if o.flags & TRIGGER == 0 { wire.level } else { o.flags & TRIGGER != EDGE },
            low: if o.flags & POLARITY == 0 { wire.low } else { o.flags & POLARITY != ACTIVE_HIGH },
        })
    }
}
