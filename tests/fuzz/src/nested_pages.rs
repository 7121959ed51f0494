//! The nested page tables: arbitrary calls, against the rule that an address translates to what was mapped.

use crate::Input;
use base::{GuestPhysical, HostPhysical};
use nested_paging::{Attributes, Ept, Format, NestedPages, Npt, PageSize, Permissions, TableMemory};

const FIRST_TABLE: u64 = 0x10_0000;
const TABLES: usize = 24;
const SIZES: [PageSize; 3] = [PageSize::Size4KiB, PageSize::Size2MiB, PageSize::Size1GiB];

#[derive(Default)]
struct TablePool(Vec<[u64; 512]>);

impl TablePool {
    fn at(table: HostPhysical) -> usize {
        ((table.0 - FIRST_TABLE) / 4096) as usize
    }
}

impl TableMemory for TablePool {
    fn allocate(&mut self) -> Option<HostPhysical> {
        let at = FIRST_TABLE + 4096 * self.0.len() as u64;
        (self.0.len() < TABLES).then(|| {
            self.0.push([0; 512]);
            HostPhysical(at)
        })
    }

    fn read(&self, table: HostPhysical, index: usize) -> u64 {
        self.0[Self::at(table)][index]
    }

    fn write(&mut self, table: HostPhysical, index: usize, entry: u64) {
        self.0[Self::at(table)][index] = entry;
    }
}

/// The first byte chooses the format; then calls.
///
/// # Panics
/// When a call that succeeded has no effect at both ends of its range, or one that failed has one.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    if input.u8() & 1 == 0 { drive::<Ept>(&mut input) } else { drive::<Npt>(&mut input) }
}

fn drive<F: Format>(input: &mut Input) {
    let mut memory = TablePool::default();
    let mut pages = NestedPages::<F>::new(&mut memory, 40).expect("there is memory for one table");
    // Running out of tables in a large range takes long: a few calls reach every state.
    for _ in 0..12 {
        if input.is_empty() {
            break;
        }
        let action = input.u8();
        let (guest, host, bytes) = (address(input), address(input), address(input));
        let last = guest.wrapping_add(bytes).wrapping_sub(1);
        let permissions = Permissions::from_bits_truncate(action >> 4) | Permissions::READ;
        let attributes = Attributes { permissions, ..Attributes::MEMORY };
        let seen = |pages: &NestedPages<F>, memory: &TablePool, at| {
            pages.translate(memory, GuestPhysical(at)).map(|page| (page.host, page.attributes))
        };
        let before = [guest, last].map(|at| seen(&pages, &memory, at));
        let start = GuestPhysical(guest);
        let (succeeded, expected) = match action & 3 {
            0 | 1 => {
                let largest = SIZES[usize::from(action >> 2 & 3) % 3];
                let result = pages.map(&mut memory, start, HostPhysical(host), bytes, attributes, largest);
                let target = |offset| Some((HostPhysical(host.wrapping_add(offset)), attributes));
                (result.is_ok(), [target(0), target(bytes.wrapping_sub(1))])
            }
            2 => (pages.unmap(&mut memory, start, bytes).is_ok(), [None, None]),
            _ => {
                let result = pages.protect(&mut memory, start, bytes, attributes);
                (result.is_ok(), before.map(|page| page.map(|(host, _)| (host, attributes))))
            }
        };
        let after = [guest, last].map(|at| seen(&pages, &memory, at));
        assert_eq!(after, if succeeded { expected } else { before });
    }
}

/// A number that is often page-aligned and small.
fn address(input: &mut Input) -> u64 {
    match input.u8() {
        shape @ 0..0x40 => u64::from(shape & 7) << 30,
        shape @ 0x40..0xc0 => u64::from(shape & 1) << 30 | u64::from(input.u16() & 0xfff) << 12,
        0xc0..0xf0 => u64::from(input.u8()) << 21,
        _ => input.u64(),
    }
}
