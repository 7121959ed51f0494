//! What the firmware's ACPI tables say about this machine.

use crate::memory::physical;
use crate::processor::narrow::to_usize;
use acpi::address::{AddressSpace, GenericAddress};
use acpi::fadt::Fadt;
use acpi::madt::{Madt, MadtEntry};
use acpi::{AcpiHandler, AcpiTables, PhysicalMapping};
use base::HostPhysical;
use core::ptr::NonNull;

/// Maps tables by arithmetic: everything is in the direct map already.
#[derive(Clone)]
struct DirectMap;

impl AcpiHandler for DirectMap {
    unsafe fn map_physical_region<T>(&self, at: usize, bytes: usize) -> PhysicalMapping<Self, T> {
        let pointer = physical::pointer(HostPhysical(at as u64)).cast();
        // SAFETY: the direct map covers the firmware's tables and never goes away.
        unsafe { PhysicalMapping::new(at, NonNull::new_unchecked(pointer), bytes, bytes, Self) }
    }

    fn unmap_physical_region<T>(_: &PhysicalMapping<Self, T>) {}
}

/// How the wiring of an ISA interrupt differs from the default: identity, edge, active high.
#[derive(Clone, Copy, Debug)]
pub struct SourceOverride {
    /// ISA interrupt.
    pub isa: u8,
    /// Global system interrupt that it is wired to.
    pub gsi: u32,
    /// MPS INTI flags [ACPI 6.5 5.2.12.5]: polarity in bits 1:0, trigger mode in bits 3:2.
    pub flags: u16,
}

/// An IO-APIC.
#[derive(Clone, Copy, Debug)]
pub struct IoApicInfo {
    /// Address of its registers.
    pub address: HostPhysical,
    /// Global system interrupt of its first input.
    pub gsi_base: u32,
}

/// The part of the tables that Weir uses.
#[derive(Debug, Default)]
pub struct MachineInfo {
    /// Local APIC ids of the enabled processors.
    pub processors: heapless::Vec<u32, 256>,
    /// IO-APICs.
    pub io_apics: heapless::Vec<IoApicInfo, 8>,
    /// ISA interrupts that are not wired by default.
    pub overrides: heapless::Vec<SourceOverride, 16>,
    /// I/O port of the PM timer.
    pub pm_timer: Option<u16>,
    /// I/O port of PM1a control, with the sleep type of power-off.
    pub power_off: Option<(u16, u16)>,
    /// I/O port and value that reset the machine.
    pub reset: Option<(u16, u8)>,
    /// Address of memory-mapped PCI Express configuration space, if there is one.
    pub ecam: Option<HostPhysical>,
}

/// Why the tables cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// The loader found no tables.
    #[error("the firmware has no ACPI tables: Weir needs MADT and FADT")]
    NoTables,
    /// The tables do not parse.
    #[error("the firmware's ACPI tables are damaged: {0:?}")]
    Damaged(acpi::AcpiError),
}

/// Reads the tables.
///
/// # Errors
/// When there are none, or their root is damaged. A missing MADT or FADT leaves its fields empty.
pub fn discover(rsdp: Option<u64>) -> Result<MachineInfo, MachineError> {
    let rsdp = rsdp.ok_or(MachineError::NoTables)?;
    // SAFETY: the loader found the RSDP, and the direct map covers all of physical memory.
    let tables =
        unsafe { AcpiTables::from_rsdp(DirectMap, to_usize(rsdp)) }.map_err(MachineError::Damaged)?;
    let mut machine = MachineInfo::default();
    if let Ok(madt) = tables.find_table::<Madt>() {
        for entry in madt.get().entries() {
            note_madt_entry(&mut machine, &entry);
        }
    }
    if let Ok(fadt) = tables.find_table::<Fadt>() {
        machine.pm_timer = fadt.pm_timer_block().ok().flatten().and_then(|block| io_port(&block));
        machine.power_off = fadt.pm1a_control_block().ok().and_then(|block| {
            let dsdt = tables.dsdt().ok()?;
            Some((io_port(&block)?, sleep_type_s5(aml(dsdt.address, dsdt.length))?))
        });
        let flags = fadt.flags;
        if flags.supports_system_reset_via_fadt()
            && let Ok(register) = fadt.reset_register()
        {
            machine.reset = io_port(&register).map(|port| (port, fadt.reset_value));
        }
    }
    if let Ok(mcfg) = tables.find_table::<acpi::mcfg::Mcfg>() {
        machine.ecam = mcfg.entries().first().map(|entry| HostPhysical(entry.base_address));
    }
    Ok(machine)
}

/// The I/O port of a register; `None` if it is elsewhere, where Weir does not use it.
fn io_port(register: &GenericAddress) -> Option<u16> {
    let is_port = register.address_space == AddressSpace::SystemIo;
    u16::try_from(register.address).ok().filter(|_| is_port)
}

// Failed pushes: processors, IO-APICs or overrides for which there is no room are left out, and Weir runs without
// them.
fn note_madt_entry(machine: &mut MachineInfo, entry: &MadtEntry) {
    match entry {
        MadtEntry::LocalApic(entry) if entry.flags & 1 != 0 => {
            let _ = machine.processors.push(entry.apic_id.into());
        }
        MadtEntry::LocalX2Apic(entry) if entry.flags & 1 != 0 => {
            let _ = machine.processors.push(entry.x2apic_id);
        }
        MadtEntry::IoApic(entry) => {
            let _ = machine.io_apics.push(IoApicInfo {
                address: HostPhysical(entry.io_apic_address.into()),
                gsi_base: entry.global_system_interrupt_base,
            });
        }
        MadtEntry::InterruptSourceOverride(entry) => {
            let _ = machine.overrides.push(SourceOverride {
                isa: entry.irq,
                gsi: entry.global_system_interrupt,
                flags: entry.flags,
            });
        }
        _ => {}
    }
}

fn aml(at: usize, bytes: u32) -> &'static [u8] {
    // SAFETY: the direct map covers the firmware's tables, which are never written.
    unsafe { core::slice::from_raw_parts(physical::pointer(HostPhysical(at as u64)), bytes as usize) }
}

/// Finds the sleep type of S5 in AML: the first element of the package named `_S5_` [ACPI 6.5 7.4.2.6].
/// A search, because an interpreter would be too much for this one constant; the same bytes inside a string would
/// mislead it.
fn sleep_type_s5(aml: &[u8]) -> Option<u16> {
    const NAME: &[u8] = b"_S5_";
    const PACKAGE: u8 = 0x12;
    const BYTE: u8 = 0x0a;
    let at = aml.windows(NAME.len()).position(|window| window == NAME)? + NAME.len();
    let rest = aml.get(at..)?;
    let (&PACKAGE, rest) = rest.split_first()? else { return None };
    // Package length: the top two bits of the first byte say how many bytes follow [ACPI 6.5 20.2.4]. After it
    // comes the number of elements.
    let first = rest.get(usize::from(rest.first()? >> 6) + 2..)?;
    match *first.first()? {
        BYTE => first.get(1).map(|&value| value.into()),
        value @ (0 | 1) => Some(value.into()), // ZeroOp, OneOp
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_type_is_found_in_each_encoding() {
        let bytes = [&b"\x08_S5_"[..], &[0x12, 0x06, 0x04, 0x0a, 0x05, 0, 0, 0]].concat();
        assert_eq!(sleep_type_s5(&bytes), Some(5));
        let zero = [&b"\x08_S5_"[..], &[0x12, 0x06, 0x04, 0, 0, 0, 0]].concat();
        assert_eq!(sleep_type_s5(&zero), Some(0));
        let long = [&b"\x08_S5_"[..], &[0x12, 0x47, 0x00, 0x04, 0x0a, 0x07]].concat();
        assert_eq!(sleep_type_s5(&long), Some(7));
    }

    #[test]
    fn truncated_aml_has_no_sleep_type() {
        assert_eq!(sleep_type_s5(b""), None);
        assert_eq!(sleep_type_s5(b"_S5_"), None);
        assert_eq!(sleep_type_s5(b"_S5_\x12\xff"), None);
    }
}
