//! Table memory that records every write, so that tests can replay them.

use base::HostPhysical;
use nested_paging::TableMemory;
use std::collections::BTreeMap;

/// Address of the first table.
pub const FIRST_TABLE: u64 = 0x10_0000;

/// Tables by address, and every write since the log was last cleared.
#[derive(Clone, Default)]
pub struct FakeMemory {
    pub tables: BTreeMap<u64, Vec<u64>>,
    pub log: Vec<(HostPhysical, usize, u64)>,
    pub limit: usize,
}

impl FakeMemory {
    /// Memory for at most `limit` tables.
    pub fn with_limit(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }
}

impl TableMemory for FakeMemory {
    fn allocate(&mut self) -> Option<HostPhysical> {
        if self.tables.len() == self.limit {
            return None;
        }
        let at = FIRST_TABLE + 4096 * self.tables.len() as u64;
        self.tables.insert(at, vec![0; 512]);
        Some(HostPhysical(at))
    }

    fn read(&self, table: HostPhysical, index: usize) -> u64 {
        self.tables[&table.0][index]
    }

    fn write(&mut self, table: HostPhysical, index: usize, entry: u64) {
        self.tables.get_mut(&table.0).expect("a table that was allocated")[index] = entry;
        self.log.push((table, index, entry));
    }
}
