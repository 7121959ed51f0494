//! Finding the tables: from the RSDP through XSDT or RSDT to each header [ACPI 6.5 5.2.5 to 5.2.8].
//!
//! Nothing that the firmware wrote is believed: an address must be in memory that can be read, a length must hold at
//! least a header, and of two tables with one signature the first whose checksum is right counts. A table whose
//! checksum is wrong and that has no double is used all the same, since its fields are checked one by one, and boards
//! with such tables exist.

use crate::bytes::{array_at, sums_to_zero, u8_at, u32_at, u64_at};
use base::HostPhysical;
use core::fmt;

/// Memory that holds the firmware's tables.
pub trait FirmwareMemory<'a> {
    /// `length` bytes at `at`; `None` unless all of them can be read.
    fn bytes(&self, at: HostPhysical, length: usize) -> Option<&'a [u8]>;
}

/// Bytes of a table's header.
pub(crate) const HEADER: usize = 36;
/// Bytes of an RSDP of revision 0, and of later ones.
const RSDP_1: usize = 20;
const RSDP_2: usize = 36;
/// No table of a real machine comes near this length.
const MAX_TABLE: usize = 4 << 20;
/// Most tables that are looked at: a large server has some 50, and an entry of the list for each or a few more.
pub(crate) const MAX_TABLES: usize = 64;
const MAX_ENTRIES: usize = 256;
/// Most bytes of all of them: a large server has 2 MiB. Their checksums and their AML are read to the end.
const MAX_BYTES: usize = 16 << 20;

/// A table's name: four characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 4]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// What was wrong with the tables, and what was made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableFault {
    /// An entry of XSDT or RSDT does not lead to a table.
    #[error("the firmware's list of tables points to {0}, where no table is: skipped")]
    Nowhere(HostPhysical),
    /// A table's bytes do not sum up to zero.
    #[error("the firmware's table {0} has a wrong checksum: used all the same")]
    Checksum(Signature),
    /// Two tables with one name, of which only one can be.
    #[error("the firmware has several tables {0}: the first intact one is used")]
    Double(Signature),
    /// More tables, or longer ones, than any machine has.
    #[error("the firmware has more than 64 tables, or 16 MiB of them: the rest is left out")]
    TooMany,
    /// XSDT is damaged.
    #[error("the firmware's XSDT is damaged: RSDT is used")]
    NoXsdt,
    /// A table that Weir needs does not exist.
    #[error("the firmware has no table {0}")]
    Missing(Signature),
    /// More processors than the list holds.
    #[error("the firmware lists more processors than Weir has room for: {0} of them stay off")]
    TooManyProcessors(u32),
    /// An entry of MADT with an id that means all processors, or one that is listed already.
    #[error("the firmware's MADT has {0} processor entries with an invalid or a repeated id: skipped")]
    OddProcessors(u32),
    /// A PCI segment that ports 0xcf8 and 0xcfc do not reach.
    #[error("PCI segment {0} cannot be reached: its devices are not used")]
    OtherSegment(u16),
    /// A list of entries ends in the middle of one.
    #[error("the firmware's table {0} ends within an entry: the rest is left out")]
    Truncated(Signature),
}

/// What was found wrong, in order; when it is full, the rest is not kept.
pub type TableFaults = heapless::Vec<TableFault, 24>;

/// Why there are no tables at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The loader found no RSDP.
    #[error("the firmware has no ACPI tables")]
    NoRsdp,
    /// The RSDP is not one.
    #[error("the firmware's ACPI tables are damaged: no RSDP at {0}")]
    DamagedRsdp(HostPhysical),
    /// Neither XSDT nor RSDT can be read.
    #[error("the firmware's ACPI tables are damaged: neither XSDT nor RSDT can be read")]
    NoList,
}

/// The tables of a machine.
#[derive(Clone, Debug, Default)]
pub struct Tables<'a> {
    tables: heapless::Vec<&'a [u8], MAX_TABLES>,
}

impl<'a> Tables<'a> {
    /// Finds the tables by the RSDP.
    ///
    /// # Errors
    /// [`RootError`]; single tables that are damaged are noted in `faults`.
    pub fn find(
        memory: &impl FirmwareMemory<'a>,
        rsdp: Option<HostPhysical>,
        faults: &mut TableFaults,
    ) -> Result<Self, RootError> {
        let at = rsdp.ok_or(RootError::NoRsdp)?;
        let first = memory.bytes(at, RSDP_1).filter(|bytes| bytes.starts_with(b"RSD PTR "));
        let first = first.filter(|bytes| sums_to_zero(bytes)).ok_or(RootError::DamagedRsdp(at))?;
        let extended =
            memory.bytes(at, RSDP_2).filter(|_| u8_at(first, 15).is_some_and(|version| version >= 2));
        let xsdt = extended.and_then(|bytes| u64_at(bytes, 24)).filter(|at| *at != 0);
        let mut tables = Self::default();
        if let Some(xsdt) = xsdt {
            match table(memory, HostPhysical(xsdt)).filter(|list| list.starts_with(b"XSDT")) {
                Some(list) => {
                    let entries = list[HEADER..].chunks_exact(8).filter_map(|entry| u64_at(entry, 0));
                    tables.collect(memory, entries, faults);
                    return Ok(tables);
                }
                None => note(faults, TableFault::NoXsdt),
            }
        }
        let rsdt = u32_at(first, 16).map(u64::from).and_then(|at| table(memory, HostPhysical(at)));
        let list = rsdt.filter(|list| list.starts_with(b"RSDT")).ok_or(RootError::NoList)?;
        let entries = list[HEADER..].chunks_exact(4).filter_map(|entry| u32_at(entry, 0)).map(u64::from);
        tables.collect(memory, entries, faults);
        Ok(tables)
    }

    fn collect(
        &mut self,
        memory: &impl FirmwareMemory<'a>,
        entries: impl Iterator<Item = u64>,
        faults: &mut TableFaults,
    ) {
        let mut room = MAX_BYTES;
        for (index, at) in entries.map(HostPhysical).enumerate() {
            if index == MAX_ENTRIES {
                note(faults, TableFault::TooMany);
                return;
            }
            match table(memory, at) {
                Some(table) if table.len() > room || self.tables.push(table).is_err() => {
                    note(faults, TableFault::TooMany);
                    return;
                }
                Some(table) => room -= table.len(),
                // Firmware leaves entries of tables that it does not offer empty.
                None if at.0 == 0 => {}
                None => note(faults, TableFault::Nowhere(at)),
            }
        }
    }

    /// The table with this name: of several, the first with a right checksum, else the first.
    pub fn get(&self, name: &[u8; 4], faults: &mut TableFaults) -> Option<&'a [u8]> {
        let mut found = self.all(name);
        let first = found.next()?;
        if found.next().is_some() {
            note(faults, TableFault::Double(Signature(*name)));
        }
        let intact = self.all(name).find(|table| sums_to_zero(table));
        if intact.is_none() {
            note(faults, TableFault::Checksum(Signature(*name)));
        }
        Some(intact.unwrap_or(first))
    }

    /// All tables with this name.
    pub fn all(&self, name: &[u8; 4]) -> impl Iterator<Item = &'a [u8]> {
        self.tables.iter().copied().filter(move |table| table.starts_with(name))
    }
}

/// A table with its header and of the length in it; `None` when that is not possible.
pub(crate) fn table<'a>(memory: &impl FirmwareMemory<'a>, at: HostPhysical) -> Option<&'a [u8]> {
    let header = memory.bytes(at, HEADER).filter(|_| at.0 != 0)?;
    let length = usize::try_from(u32::from_le_bytes(array_at(header, 4)?)).ok()?;
    // First: whether 4 GiB can be read takes a walk for each of their pages.
    (HEADER..=MAX_TABLE).contains(&length).then(|| memory.bytes(at, length))?
}

/// The entries of a table that each begin with a type and their length, as in MADT. Ends at an entry that is shorter
/// than these two bytes, or longer than the table.
pub(crate) fn entries(list: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), ()>> {
    let mut rest = list;
    core::iter::from_fn(move || {
        let (&kind, &length) = (rest.first()?, rest.get(1).unwrap_or(&0));
        let length = usize::from(length);
        if length < 2 || length > rest.len() {
            rest = &[];
            return Some(Err(()));
        }
        let (entry, others) = rest.split_at(length);
        rest = others;
        Some(Ok((kind, entry)))
    })
}

/// Keeps a fault if there is room, once.
pub(crate) fn note(faults: &mut TableFaults, fault: TableFault) {
    if !faults.contains(&fault) {
        // What does not fit is lost; the first ones tell enough.
        let _ = faults.push(fault);
    }
}
