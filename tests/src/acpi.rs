//! ACPI tables made for a test, in place of those that QEMU makes.
//!
//! Firmware takes its tables from QEMU in three files, and places them by the commands in the third
//! [QEMU docs/specs/fw_cfg.rst]. With `acpi=off` QEMU offers none, and files of a test take their place.

use crate::Outcome;
use crate::failure::ErrorContext;
use std::fs;
use std::path::Path;

/// Bytes of a table's header, and where its checksum is in it.
const HEADER: usize = 36;
const CHECKSUM: usize = 9;
/// Offset of the 64-bit address of the DSDT in FADT.
const X_DSDT: usize = 140;
/// Names of the files in the folder of a run and in the firmware configuration device.
const FILES: [(&str, &str); 3] =
    [("rsdp.bin", RSDP), ("tables.bin", TABLES), ("table-loader.bin", "etc/table-loader")];
const RSDP: &str = "etc/acpi/rsdp";
const TABLES: &str = "etc/acpi/tables";

/// The tables of a machine, in the order of XSDT.
#[derive(Clone, Debug, Default)]
pub struct FirmwareTables {
    tables: Vec<Vec<u8>>,
    nowhere: Vec<u64>,
}

/// A table with its header and a right checksum.
#[must_use]
pub fn table(signature: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut table =
        [&signature[..], &length.to_le_bytes(), &[6, 0], b"WEIR  TESTING \x01\0\0\0WEIR\x01\0\0\0"].concat();
    table.extend(body);
    table[CHECKSUM] = table.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    table
}

/// An FADT with these bytes at these offsets.
#[must_use]
pub fn fadt(fields: &[(usize, &[u8])]) -> Vec<u8> {
    let mut body = vec![0; 276 - HEADER];
    for (offset, bytes) in fields {
        body[offset - HEADER..offset - HEADER + bytes.len()].copy_from_slice(bytes);
    }
    table(b"FACP", &body)
}

/// A MADT with these entries.
#[must_use]
pub fn madt(entries: &[Vec<u8>]) -> Vec<u8> {
    table(b"APIC", &[&0xfee0_0000u32.to_le_bytes()[..], &1u32.to_le_bytes(), &entries.concat()].concat())
}

/// A Local APIC structure.
#[must_use]
pub fn local_apic(id: u8, flags: u32) -> Vec<u8> {
    [&[0, 8, id, id][..], &flags.to_le_bytes()].concat()
}

/// A Local x2APIC structure.
#[must_use]
pub fn local_x2apic(id: u32, flags: u32) -> Vec<u8> {
    [&[9, 16, 0, 0][..], &id.to_le_bytes(), &flags.to_le_bytes(), &id.to_le_bytes()].concat()
}

/// The IO-APIC of QEMU's machines.
#[must_use]
pub fn io_apic() -> Vec<u8> {
    [&[1, 12, 0, 0][..], &0xfec0_0000u32.to_le_bytes(), &0u32.to_le_bytes()].concat()
}

/// A generic address structure.
#[must_use]
pub fn register(space: u8, bits: u8, address: u64) -> Vec<u8> {
    [&[space, bits, 0, 0][..], &address.to_le_bytes()].concat()
}

/// The name `_S5_` with the sleep type 0, as QEMU's chipsets have it.
pub const SOFT_OFF: &[u8] = b"\x08_S5_\x12\x06\x04\0\0\0\0";

impl FirmwareTables {
    /// These tables; each FADT with a right checksum gets the address of the first DSDT.
    #[must_use]
    pub fn new(tables: Vec<Vec<u8>>) -> Self {
        Self { tables, nowhere: Vec::new() }
    }

    /// Adds an entry of XSDT that leads to this address.
    #[must_use]
    pub fn with_entry(mut self, address: u64) -> Self {
        self.nowhere.push(address);
        self
    }

    /// Writes the files to a folder and returns QEMU's arguments for them.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, folder: &Path) -> Outcome<Vec<String>> {
        let mut blob: Vec<u8> = Vec::new();
        let mut places = Vec::new();
        for table in &self.tables {
            places.push(blob.len());
            blob.extend(table);
        }
        let mut loader = vec![allocate(RSDP, 16, 2), allocate(TABLES, 64, 1)];
        let dsdt = self.tables.iter().position(|table| table.starts_with(b"DSDT")).map(|index| places[index]);
        let mut entries: Vec<u64> = Vec::new();
        let xsdt = blob.len();
        for (table, place) in self.tables.iter().zip(&places).filter(|(table, _)| !table.starts_with(b"DSDT"))
        {
            let is_fadt = table.starts_with(b"FACP")
                && table.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0;
            if let (true, Some(dsdt)) = (is_fadt, dsdt) {
                blob[place + X_DSDT..place + X_DSDT + 8].copy_from_slice(&(dsdt as u64).to_le_bytes());
                loader.push(pointer(TABLES, place + X_DSDT));
                loader.push(checksum(TABLES, place + CHECKSUM, *place, table.len()));
            }
            loader.push(pointer(TABLES, xsdt + HEADER + 8 * entries.len()));
            entries.push(*place as u64);
        }
        entries.extend(&self.nowhere);
        let list: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        // Without tables, the list is one that nobody knows.
        let list = table(if self.tables.is_empty() { b"NONE" } else { b"XSDT" }, &list);
        loader.push(checksum(TABLES, xsdt + CHECKSUM, xsdt, list.len()));
        blob.extend(list);
        let mut rsdp = [&b"RSD PTR "[..], &[0], b"WEIR  ", &[2], &[0; 4], &36u32.to_le_bytes()].concat();
        rsdp.extend((xsdt as u64).to_le_bytes());
        rsdp.extend([0; 4]);
        loader.push(pointer(RSDP, 24));
        loader.push(checksum(RSDP, 8, 0, 20));
        loader.push(checksum(RSDP, 32, 0, 36));
        let contents = [rsdp, blob, loader.concat()];
        let mut arguments = Vec::new();
        for ((file, name), bytes) in FILES.into_iter().zip(contents) {
            let path = folder.join(file);
            fs::write(&path, bytes).context(path.display().to_string())?;
            let path = path.display().to_string().replace(',', ",,");
            arguments.extend(["-fw_cfg".into(), format!("name={name},file={path}")]);
        }
        Ok(arguments)
    }
}

/// A command of the loader: 128 bytes.
fn command(number: u32, operands: &[&[u8]]) -> Vec<u8> {
    let mut command = [&number.to_le_bytes()[..], &operands.concat()].concat();
    command.resize(128, 0);
    command
}

fn file(name: &str) -> Vec<u8> {
    let mut name = name.as_bytes().to_vec();
    name.resize(56, 0);
    name
}

fn number(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes()
}

fn allocate(name: &str, alignment: usize, zone: u8) -> Vec<u8> {
    command(1, &[&file(name), &number(alignment), &[zone]])
}

/// Adds the address of the tables to the 64 bits at `offset`.
fn pointer(name: &str, offset: usize) -> Vec<u8> {
    command(2, &[&file(name), &file(TABLES), &number(offset), &[8]])
}

fn checksum(name: &str, offset: usize, start: usize, length: usize) -> Vec<u8> {
    command(3, &[&file(name), &number(offset), &number(start), &number(length)])
}
