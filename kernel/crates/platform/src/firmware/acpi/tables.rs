//! The static tables: headers, FADT, MADT, MCFG, FACS and the pointers between them [ACPI 6.5 5.2].

use crate::{layout, power, rtc};
use acpi_tables::Aml;
use acpi_tables::facs::FACS;
use acpi_tables::fadt::{FADTBuilder, Flags};
use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::madt::{EnabledStatus, IoApic, ProcessorLocalApic};
use alloc::vec;
use alloc::vec::Vec;

/// Ports of the ACPI register block, from [`layout::PM_BASE`] on.
pub(super) const PM_BLOCK_BYTES: u8 = 16;

const OEM_ID: &[u8; 6] = b"WEIR  ";
const OEM_TABLE_ID: &[u8; 8] = b"WEIRPC  ";
const CREATOR_ID: &[u8; 4] = b"WEIR";
const HEADER: usize = 36;

/// A table with its header [ACPI 6.5 5.2.6] around `body`, checksum included.
pub(super) fn table(signature: &[u8; 4], revision: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend_from_slice(signature);
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&[revision, 0]);
    bytes.extend_from_slice(OEM_ID);
    bytes.extend_from_slice(OEM_TABLE_ID);
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(CREATOR_ID);
    bytes.extend_from_slice(&1u32.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes[9] = checksum(&bytes);
    bytes
}

/// The byte that makes the sum of all bytes zero, given zero in its own place.
pub(super) fn checksum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

/// RSDP of revision 2, with both checksums [ACPI 6.5 5.2.5.3].
pub(super) fn rsdp(rsdt: u32, xsdt: u64) -> Vec<u8> {
    let mut bytes = vec![0; 36];
    bytes[0..8].copy_from_slice(b"RSD PTR ");
    bytes[9..15].copy_from_slice(OEM_ID);
    bytes[15] = 2;
    bytes[16..20].copy_from_slice(&rsdt.to_le_bytes());
    bytes[20..24].copy_from_slice(&36u32.to_le_bytes());
    bytes[24..32].copy_from_slice(&xsdt.to_le_bytes());
    bytes[8] = checksum(&bytes[..20]);
    bytes[32] = checksum(&bytes);
    bytes
}

/// FACS, version 2: the place of the global lock and the wake vectors; no checksum [ACPI 6.5 5.2.10].
pub(super) fn facs() -> Vec<u8> {
    let mut facs = FACS::new();
    facs.version = 2;
    bytes_of(&facs)
}

fn bytes_of(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

/// MADT: local APICs, the I/O APIC, and the ISA interrupts that are not identity-mapped [ACPI 6.5 5.2.12].
pub(super) fn madt(vcpus: u8) -> Vec<u8> {
    const PCAT_COMPAT: u32 = 1;
    const LOCAL_APIC: u32 = layout::below_4_gib(layout::LOCAL_APIC);
    const IO_APIC: u32 = layout::below_4_gib(layout::IO_APIC);
    let mut body = Vec::new();
    body.extend_from_slice(&LOCAL_APIC.to_le_bytes());
    body.extend_from_slice(&PCAT_COMPAT.to_le_bytes());
    for cpu in 0..vcpus {
        ProcessorLocalApic::new(cpu, cpu, EnabledStatus::Enabled).to_aml_bytes(&mut body);
    }
    IoApic::new(IO_APIC_ID, IO_APIC, 0).to_aml_bytes(&mut body);
    // The PIT's interrupt arrives at input 2, as on every PC with an I/O APIC.
    body.extend_from_slice(&source_override(0, 2, CONFORMS));
    body.extend_from_slice(&source_override(layout::SCI_GSI, layout::SCI_GSI, LEVEL_ACTIVE_HIGH));
    // LINT1 of every local APIC is NMI [ACPI 6.5 5.2.12.7].
    body.extend_from_slice(&[4, 6, 0xff, 0, 0, 1]);
    table(b"APIC", 4, &body)
}

const IO_APIC_ID: u8 = 0;
/// Flags of polarity and trigger mode [ACPI 6.5 table 5.26].
const CONFORMS: u16 = 0;
const LEVEL_ACTIVE_HIGH: u16 = 0b11_01;

fn source_override(irq: u8, gsi: u8, flags: u16) -> [u8; 10] {
    let [low, high] = flags.to_le_bytes();
    [2, 10, 0, irq, gsi, 0, 0, 0, low, high]
}

/// MCFG: memory-mapped configuration space of bus 0 of segment 0 [PCI Firmware 3.3 4.1.2].
pub(super) fn mcfg() -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend_from_slice(&layout::ECAM.start.to_le_bytes());
    body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0]);
    table(b"MCFG", 1, &body)
}

bitflags::bitflags! {
    /// IA-PC boot architecture flags [ACPI 6.5 table 5.11]. Bit 1, 8042, and bit 5, CMOS RTC not present,
    /// stay clear: there is no keyboard controller, and there is a clock.
    #[derive(Clone, Copy)]
    struct BootArchitecture: u16 {
        const LEGACY_DEVICES = 1 << 0;
        const VGA_NOT_PRESENT = 1 << 2;
    }
}

/// FADT of revision 6.5 [ACPI 6.5 5.2.9].
pub(super) fn fadt(facs: u32, dsdt: u32) -> Vec<u8> {
    use AccessSize::{ByteAccess, DwordAccess, WordAccess};
    const PM1_EVENT_BYTES: u8 = 4;
    const PM1_CONTROL_BYTES: u8 = 2;
    const PM_TIMER_BYTES: u8 = 4;
    let port = |register: u8| layout::PM_BASE + u16::from(register);
    let (event, control, timer) = (port(power::PM1_STATUS), port(power::PM1_CONTROL), port(power::PM_TIMER));
    let io =
        |port: u16, bytes: u8, access| GAS::new(AddressSpace::SystemIo, 8 * bytes, 0, access, port.into());
    let mut fadt = FADTBuilder::new(*OEM_ID, *OEM_TABLE_ID, 1)
        .flag(Flags::Wbinvd)
        .flag(Flags::ProcC1)
        // The sleep button is not fixed hardware. The power button is: PWR_BUTTON stays clear.
        .flag(Flags::SlpButton)
        // FIX_RTC stays clear: the clock's alarm is reported in the fixed registers.
        .flag(Flags::TmrValExt)
        .flag(Flags::ResetRegSup);
    (fadt.creator_id, fadt.creator_revision) = (*CREATOR_ID, 1u32.to_le_bytes());
    (fadt.firmware_ctrl, fadt.dsdt, fadt.x_dsdt) = (facs.into(), dsdt.into(), u64::from(dsdt).into());
    fadt.sci_int = u16::from(layout::SCI_GSI).into();
    fadt.pm1a_evt_blk = u32::from(event).into();
    fadt.pm1a_cnt_blk = u32::from(control).into();
    fadt.pm_tmr_blk = u32::from(timer).into();
    fadt.pm1_evt_len = PM1_EVENT_BYTES;
    fadt.pm1_cnt_len = PM1_CONTROL_BYTES;
    fadt.pm_tmr_len = PM_TIMER_BYTES;
    // Beyond 100 and 1000 us: there are no such states.
    (fadt.p_lvl2_lat, fadt.p_lvl3_lat) = (101.into(), 1001.into());
    fadt.century = rtc::CENTURY;
    let boot = BootArchitecture::LEGACY_DEVICES | BootArchitecture::VGA_NOT_PRESENT;
    fadt.iapc_boot_arch = boot.bits().into();
    (fadt.reset_reg, fadt.reset_value) = (io(power::RESET_PORT, 1, ByteAccess), power::RESET_VALUE);
    // A block of two registers is accessed as words.
    fadt.x_pm1a_evt_blk = io(event, PM1_EVENT_BYTES, WordAccess);
    fadt.x_pm1a_cnt_blk = io(control, PM1_CONTROL_BYTES, WordAccess);
    fadt.x_pm_tmr_blk = io(timer, PM_TIMER_BYTES, DwordAccess);
    bytes_of(&fadt.finalize())
}
