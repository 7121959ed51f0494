//! The part of ACPI that power-off needs: root pointer, FADT, and the `_S5_` object in the DSDT.

use crate::{mmio, ports};

/// Maximum number of entries of a root table that are examined.
const MAX_TABLES: u32 = 64;
/// Maximum number of bytes of a DSDT that are examined.
const MAX_DSDT: u32 = 1 << 20;
/// Timeout of the power-off, in reads of PM1a_CNT.
const POWER_OFF_TIMEOUT: u32 = 100_000;
/// PM1_CNT: sleep enable [ACPI 6.5 4.8.3.2.1].
const SLP_EN: u16 = 1 << 13;

/// Finds the root pointer: the given one, or else by its signature in the BIOS area [ACPI 6.5 5.2.5.1].
#[must_use]
pub fn root_pointer(given: u64) -> Option<u64> {
    if given != 0 {
        return Some(given);
    }
    (0xe_0000..0x10_0000).step_by(16).find(|&address| signature::<8>(address) == *b"RSD PTR ")
}

/// The port of PM1a_CNT, through which a guest powers the machine off.
#[must_use]
pub fn power_port(rsdp: Option<u64>) -> Option<u16> {
    // FADT: PM1a_CNT_BLK at 64 [ACPI 6.5 table 5.9].
    let port = mmio::read_dword(table(rsdp?, b"FACP")? + 64);
    u16::try_from(port).ok().filter(|&port| port != 0)
}

/// Enters S5. Returns only if that failed.
///
/// # Errors
/// The reason of the failure.
pub fn power_off(rsdp: Option<u64>) -> Result<(), &'static str> {
    let rsdp = rsdp.ok_or("no root pointer")?;
    let fadt = table(rsdp, b"FACP").ok_or("no FADT")?;
    let port = power_port(Some(rsdp)).ok_or("no PM1a control block")?;
    // FADT: DSDT at 40.
    let sleep_type = s5_sleep_type(mmio::read_dword(fadt + 40).into()).ok_or("no _S5_ object")?;
    ports::write_word(port, u16::from(sleep_type & 7) << 10 | SLP_EN);
    // An emulator may need some time to react.
    for _ in 0..POWER_OFF_TIMEOUT {
        let _ = ports::read_word(port);
    }
    Err("PM1a_CNT took SLP_EN without effect")
}

fn signature<const LENGTH: usize>(address: u64) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    mmio::read_bytes(address, &mut bytes);
    bytes
}

/// Finds a table in the XSDT, or in the RSDT if there is no XSDT.
fn table(rsdp: u64, name: &[u8; 4]) -> Option<u64> {
    let xsdt = if mmio::read_byte(rsdp + 15) >= 2 { mmio::read_qword(rsdp + 24) } else { 0 };
    let (root, width) = if xsdt != 0 { (xsdt, 8) } else { (mmio::read_dword(rsdp + 16).into(), 4) };
    let entries = mmio::read_dword(root + 4).saturating_sub(36) / width;
    (0..entries.min(MAX_TABLES))
        .map(|index| {
            let entry = root + 36 + u64::from(index * width);
            if width == 8 { mmio::read_qword(entry) } else { mmio::read_dword(entry).into() }
        })
        .find(|&address| signature::<4>(address) == *name)
}

/// Reads the first element of the package `_S5_`, which is encoded as name, PackageOp, length, count and values
/// [ACPI 6.5 20.2.5.4].
fn s5_sleep_type(dsdt: u64) -> Option<u8> {
    let length = mmio::read_dword(dsdt + 4).min(MAX_DSDT);
    let name = (36..length.saturating_sub(9)).find(|&at| signature::<4>(dsdt + u64::from(at)) == *b"_S5_")?;
    parse_s5(&signature::<9>(dsdt + u64::from(name) + 4))
}

fn parse_s5(bytes: &[u8; 9]) -> Option<u8> {
    const PACKAGE: u8 = 0x12;
    const BYTE_PREFIX: u8 = 0x0a;
    if bytes[0] != PACKAGE {
        return None;
    }
    // Bits 7:6 of the first length byte give the number of further length bytes; the number of elements follows.
    let element = 3 + usize::from(bytes[1] >> 6);
    match *bytes.get(element)? {
        BYTE_PREFIX => bytes.get(element + 1).copied(),
        small => Some(small),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sleep_type_is_read_from_both_encodings_of_a_number() {
        assert_eq!(parse_s5(&[0x12, 6, 4, 0x0a, 5, 0x0a, 5, 0, 0]), Some(5));
        assert_eq!(parse_s5(&[0x12, 6, 4, 0, 0, 0, 0, 0, 0]), Some(0));
        assert_eq!(parse_s5(&[0x12, 0x46, 0, 4, 0x0a, 7, 0, 0, 0]), Some(7));
        assert_eq!(parse_s5(&[0x10, 6, 4, 0x0a, 5, 0, 0, 0, 0]), None);
    }
}
