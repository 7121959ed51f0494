//! Linear to guest-physical addresses, by the guest's own page tables [SDM3A 5].

use crate::virt::Paging;
use base::{GuestMemory, GuestPhysical};

const CR0_PG: u64 = 1 << 31;
const CR4_PSE: u64 = 1 << 4;
const CR4_PAE: u64 = 1 << 5;
const CR4_LA57: u64 = 1 << 12;
const EFER_LMA: u64 = 1 << 10;
const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Where `linear` lies in guest-physical memory; `None` when it is not mapped or the tables are not in
/// memory. Permissions are not checked: the processor has just used the address itself.
pub fn translate(memory: &impl GuestMemory, paging: &Paging, linear: u64) -> Option<GuestPhysical> {
    if paging.cr0 & CR0_PG == 0 {
        return Some(GuestPhysical(linear & 0xffff_ffff));
    }
    if paging.efer & EFER_LMA != 0 {
        let levels = if paging.cr4 & CR4_LA57 != 0 { 5 } else { 4 };
        return walk(memory, paging.cr3 & ADDRESS, levels, linear);
    }
    let linear = linear & 0xffff_ffff;
    if paging.cr4 & CR4_PAE != 0 {
        // Four page-directory pointers in 32 bytes, no bits but present and address [SDM3A 5.4.1].
        let pointer = read(memory, (paging.cr3 & 0xffff_ffe0) + (linear >> 30) * 8)?;
        return (pointer & PRESENT != 0).then(|| walk(memory, pointer & ADDRESS, 2, linear))?;
    }
    walk_32(memory, paging, linear)
}

/// Tables of 512 entries of 64 bits.
fn walk(memory: &impl GuestMemory, root: u64, levels: u32, linear: u64) -> Option<GuestPhysical> {
    let mut table = root;
    for level in (1..=levels).rev() {
        let shift = 12 + 9 * (level - 1);
        let entry = read(memory, table + (linear >> shift & 0x1ff) * 8)?;
        if entry & PRESENT == 0 {
            return None;
        }
        let page = 1u64 << shift;
        if level == 1 || level <= 3 && entry & LARGE != 0 {
            return Some(GuestPhysical(entry & ADDRESS & !(page - 1) | linear & (page - 1)));
        }
        table = entry & ADDRESS;
    }
    None
}

/// Tables of 1024 entries of 32 bits [SDM3A 5.3].
fn walk_32(memory: &impl GuestMemory, paging: &Paging, linear: u64) -> Option<GuestPhysical> {
    let read = |at: u64| {
        let mut bytes = [0; 4];
        memory.read(GuestPhysical(at), &mut bytes).ok()?;
        Some(u64::from(u32::from_le_bytes(bytes))).filter(|entry| entry & PRESENT != 0)
    };
    let directory = read((paging.cr3 & 0xffff_f000) + (linear >> 22) * 4)?;
    if directory & LARGE != 0 && paging.cr4 & CR4_PSE != 0 {
        // Bits 20:13 are bits 39:32 of the address [SDM3A table 5-4].
        return Some(GuestPhysical(directory & 0xffc0_0000 | (directory >> 13 & 0xff) << 32 | linear & 0x3f_ffff));
    }
    let page = read((directory & 0xffff_f000) + (linear >> 12 & 0x3ff) * 4)?;
    Some(GuestPhysical(page & 0xffff_f000 | linear & 0xfff))
}

fn read(memory: &impl GuestMemory, at: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory.read(GuestPhysical(at), &mut bytes).ok()?;
    Some(u64::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::FakeMemory;

    const LONG: Paging = Paging {
        cr0: CR0_PG | 1,
        cr3: 0x1000,
        cr4: CR4_PAE,
        efer: EFER_LMA,
        code_64: true,
        code_32: false,
    };

    fn memory(entries: &[(u64, u64)]) -> FakeMemory {
        let memory = FakeMemory::new(0x10000);
        for (at, entry) in entries {
            memory.write(GuestPhysical(*at), &entry.to_le_bytes()).unwrap();
        }
        memory
    }

    #[test]
    fn four_levels_lead_to_a_4_kib_page() {
        let memory = memory(&[(0x1000, 0x2003), (0x2000, 0x3003), (0x3000, 0x4003), (0x4008, 0x7003)]);
        assert_eq!(translate(&memory, &LONG, 0x1234), Some(GuestPhysical(0x7234)));
        assert_eq!(translate(&memory, &LONG, 0x2234), None);
    }

    #[test]
    fn large_pages_end_the_walk() {
        let memory = memory(&[(0x1000, 0x2003), (0x2000, 0x3003), (0x2008, 0x4000_0083), (0x3000, 0x0060_0083)]);
        assert_eq!(translate(&memory, &LONG, 0x12_3456), Some(GuestPhysical(0x72_3456)));
        assert_eq!(translate(&memory, &LONG, 0x4765_4321), Some(GuestPhysical(0x4765_4321)));
    }

    #[test]
    fn tables_outside_memory_map_nothing() {
        let memory = memory(&[(0x1000, 0x00ff_ffff_f003)]);
        assert_eq!(translate(&memory, &LONG, 0x1234), None);
    }

    #[test]
    fn protected_mode_with_and_without_pae() {
        let pae = Paging { efer: 0, code_64: false, code_32: true, ..LONG };
        let memory = memory(&[(0x1000, 0x2001), (0x2000, 0x0020_0083), (0x5000, 0x6003), (0x6004, 0x8003)]);
        assert_eq!(translate(&memory, &pae, 0x1_0000), Some(GuestPhysical(0x21_0000)));
        let legacy = Paging { cr3: 0x5000, cr4: 0, ..pae };
        assert_eq!(translate(&memory, &legacy, 0x1abc), Some(GuestPhysical(0x8abc)));
        assert_eq!(translate(&memory, &Paging { cr0: 1, ..legacy }, 0x1abc), Some(GuestPhysical(0x1abc)));
    }
}
