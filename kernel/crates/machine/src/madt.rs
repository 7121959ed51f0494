//! MADT: processors and interrupt controllers [ACPI 6.5 5.2.12].

use crate::bytes::{u8_at, u16_at, u32_at};
use crate::tables::{HEADER, Signature, TableFault, TableFaults, entries, note};
use base::HostPhysical;

/// Most processors that are kept.
pub const MAX_PROCESSORS: usize = 256;

/// How the wiring of an ISA interrupt differs from the default: identity, edge, active high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceOverride {
    /// ISA interrupt.
    pub isa: u8,
    /// Global system interrupt that it is wired to.
    pub gsi: u32,
    /// MPS INTI flags [ACPI 6.5 5.2.12.5]: polarity in bits 1:0, trigger mode in bits 3:2.
    pub flags: u16,
}

/// An IO-APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApicInfo {
    /// Address of its registers.
    pub address: HostPhysical,
    /// Global system interrupt of its first input.
    pub gsi_base: u32,
}

/// What MADT says.
#[derive(Clone, Debug, Default)]
pub struct Madt {
    /// Local APIC ids of the enabled processors, each once.
    pub processors: heapless::Vec<u32, MAX_PROCESSORS>,
    /// IO-APICs.
    pub io_apics: heapless::Vec<IoApicInfo, 8>,
    /// ISA interrupts that are not wired by default.
    pub overrides: heapless::Vec<SourceOverride, 16>,
}

/// A processor that can be used at once; others, such as those that could be plugged in, stay off
/// [ACPI 6.5 table 5.22].
const ENABLED: u32 = 1 << 0;
/// Ids that address every processor: the value of a local APIC's destination for a broadcast [SDM3A 11.6.1, 11.12.9].
const EVERY_APIC: u32 = 0xff;
const EVERY_X2APIC: u32 = u32::MAX;

impl Madt {
    /// Reads the table.
    #[must_use]
    pub fn parse(table: &[u8], faults: &mut TableFaults) -> Self {
        let mut madt = Self::default();
        let (mut odd, mut too_many) = (0, 0);
        for entry in entries(table.get(HEADER + 8..).unwrap_or_default()) {
            let Ok((kind, entry)) = entry else {
                note(faults, TableFault::Truncated(Signature(*b"APIC")));
                break;
            };
            // An entry that is shorter than its type requires is left out.
            let _ = madt.note(kind, entry, &mut odd, &mut too_many);
        }
        if odd != 0 {
            note(faults, TableFault::OddProcessors(odd));
        }
        if too_many != 0 {
            note(faults, TableFault::TooManyProcessors(too_many));
        }
        madt
    }

    // Failed pushes of IO-APICs and overrides: those for which there is no room are left out, and Weir runs without.
    fn note(&mut self, kind: u8, entry: &[u8], odd: &mut u32, too_many: &mut u32) -> Option<()> {
        match kind {
            0 => {
                let id = u32::from(u8_at(entry, 3)?);
                self.processor(id, EVERY_APIC, u32_at(entry, 4)?, odd, too_many);
            }
            9 => self.processor(u32_at(entry, 4)?, EVERY_X2APIC, u32_at(entry, 8)?, odd, too_many),
            1 => {
                let (address, gsi_base) = (HostPhysical(u32_at(entry, 4)?.into()), u32_at(entry, 8)?);
                // Its registers are at multiples of 16 [82093AA 3.1]: elsewhere is none.
                if address.0.is_multiple_of(16) && !self.io_apics.iter().any(|known| known.address == address)
                {
                    let _ = self.io_apics.push(IoApicInfo { address, gsi_base });
                }
            }
            2 => {
                let (isa, gsi, flags) = (u8_at(entry, 3)?, u32_at(entry, 4)?, u16_at(entry, 8)?);
                let _ = self.overrides.push(SourceOverride { isa, gsi, flags });
            }
            _ => {}
        }
        Some(())
    }

    /// Keeps a processor that is enabled, once. Real tables name a processor in a Local APIC and in a Local x2APIC
    /// structure, and fill unused entries with the id of a broadcast: an INIT to either would hit processors that run.
    fn processor(&mut self, id: u32, every: u32, flags: u32, odd: &mut u32, too_many: &mut u32) {
        if flags & ENABLED == 0 {
            return;
        }
        if id == every || self.processors.contains(&id) {
            *odd += 1;
        } else if self.processors.push(id).is_err() {
            *too_many += 1;
        }
    }
}
