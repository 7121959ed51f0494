//! The static tables: headers, FADT, MADT, MCFG, FACS and the pointers between them [ACPI 6.5 5.2].

use crate::{layout, power, rtc};
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
    bytes.extend_from_slice(&((HEADER + body.len()) as u32).to_le_bytes());
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

/// The byte that makes the sum of all bytes zero, when its own place holds zero.
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
    let mut bytes = vec![0; 64];
    bytes[0..4].copy_from_slice(b"FACS");
    bytes[4..8].copy_from_slice(&64u32.to_le_bytes());
    bytes[32] = 2;
    bytes
}

/// MADT: local APICs, the I/O APIC, and what ISA interrupts differ from the identity [ACPI 6.5 5.2.12].
pub(super) fn madt(vcpus: u8) -> Vec<u8> {
    const PCAT_COMPAT: u32 = 1;
    const ENABLED: u32 = 1;
    let mut body = Vec::new();
    body.extend_from_slice(&(layout::LOCAL_APIC as u32).to_le_bytes());
    body.extend_from_slice(&PCAT_COMPAT.to_le_bytes());
    for cpu in 0..vcpus {
        body.extend_from_slice(&[0, 8, cpu, cpu]);
        body.extend_from_slice(&ENABLED.to_le_bytes());
    }
    body.extend_from_slice(&[1, 12, IO_APIC_ID, 0]);
    body.extend_from_slice(&(layout::IO_APIC as u32).to_le_bytes());
    body.extend_from_slice(&0u32.to_le_bytes());
    // The PIT's interrupt comes in at input 2, as on every PC with an I/O APIC.
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
    /// FADT feature flags [ACPI 6.5 table 5.10].
    #[derive(Clone, Copy)]
    struct Feature: u32 {
        const WBINVD = 1 << 0;
        const PROC_C1 = 1 << 2;
        const SLP_BUTTON = 1 << 5;
        const FIX_RTC = 1 << 6;
        const TMR_VAL_EXT = 1 << 8;
        const RESET_REG_SUP = 1 << 10;
    }

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
    const PM1_EVENT_BYTES: u8 = 4;
    const PM1_CONTROL_BYTES: u8 = 2;
    const PM_TIMER_BYTES: u8 = 4;
    let port = |register: u8| layout::PM_BASE + u16::from(register);
    let (event, control, timer) = (port(power::PM1_STATUS), port(power::PM1_CONTROL), port(power::PM_TIMER));
    // SLP_BUTTON says that the sleep button is not fixed hardware, FIX_RTC that waking by the clock is not
    // reported in fixed registers. The power button is fixed hardware: PWR_BUTTON stays clear.
    let features = Feature::WBINVD
        | Feature::PROC_C1
        | Feature::SLP_BUTTON
        | Feature::FIX_RTC
        | Feature::TMR_VAL_EXT
        | Feature::RESET_REG_SUP;
    let boot = BootArchitecture::LEGACY_DEVICES | BootArchitecture::VGA_NOT_PRESENT;

    // Offsets are those of the table in the specification, header included.
    let mut fadt = vec![0; 276];
    let mut put = |offset: usize, bytes: &[u8]| fadt[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(36, &facs.to_le_bytes());
    put(40, &dsdt.to_le_bytes());
    put(46, &u16::from(layout::SCI_GSI).to_le_bytes());
    put(56, &u32::from(event).to_le_bytes());
    put(64, &u32::from(control).to_le_bytes());
    put(76, &u32::from(timer).to_le_bytes());
    put(88, &[PM1_EVENT_BYTES, PM1_CONTROL_BYTES]);
    put(91, &[PM_TIMER_BYTES]);
    // P_LVL2_LAT and P_LVL3_LAT beyond 100 and 1000 us: there are no such states.
    put(96, &101u16.to_le_bytes());
    put(98, &1001u16.to_le_bytes());
    put(108, &[rtc::CENTURY]);
    put(109, &boot.bits().to_le_bytes());
    put(112, &features.bits().to_le_bytes());
    put(116, &io_register(power::RESET_PORT, 8));
    put(128, &[power::RESET_VALUE]);
    put(131, &[5]);
    put(140, &u64::from(dsdt).to_le_bytes());
    put(148, &io_register(event, 8 * PM1_EVENT_BYTES));
    put(172, &io_register(control, 8 * PM1_CONTROL_BYTES));
    put(208, &io_register(timer, 8 * PM_TIMER_BYTES));
    table(b"FACP", 6, &fadt[HEADER..])
}

/// A generic address structure for a register in I/O space [ACPI 6.5 5.2.3.2].
fn io_register(port: u16, bits: u8) -> [u8; 12] {
    const SYSTEM_IO: u8 = 1;
    // Access size: 1 is byte, 2 word, 3 dword; blocks of two registers are accessed as words.
    let access = match bits {
        8 => 1,
        16 => 2,
        _ if port == layout::PM_BASE + u16::from(power::PM1_STATUS) => 2,
        _ => 3,
    };
    let mut bytes = [0; 12];
    bytes[0..4].copy_from_slice(&[SYSTEM_IO, bits, 0, access]);
    bytes[4..6].copy_from_slice(&port.to_le_bytes());
    bytes
}
