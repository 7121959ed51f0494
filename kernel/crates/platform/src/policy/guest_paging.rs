//! Translates linear to guest-physical addresses, by the guest's own page tables [SDM3A 5].

use super::control_registers::{Cr0Flags, Cr4Flags, EferFlags, Paging};
use base::{GuestMemory, GuestPhysical};

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// What an access does, for the checks of paging [SDM3A 5.6].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageWalkAccess {
    /// It writes.
    pub write: bool,
    /// It is made with user privilege.
    pub user: bool,
}

impl PageWalkAccess {
    /// An access that the processor has already made and allowed: nothing is left to check.
    pub const ALLOWED: Self = Self { write: false, user: false };

    /// The error code of a fault because a page is not mapped.
    #[must_use]
    pub fn fault(self) -> u32 {
        let write = if self.write { FAULT_WRITE } else { 0 };
        write | if self.user { FAULT_USER } else { 0 }
    }
}

/// The guest's own tables do not allow an access: #PF with this error code [SDM3A 5.7].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageFault(pub u32);

const FAULT_PRESENT: u32 = 1 << 0;
const FAULT_WRITE: u32 = 1 << 1;
const FAULT_USER: u32 = 1 << 2;

/// Translates `linear` to a guest-physical address.
///
/// # Errors
/// [`PageFault`] when it is not mapped, or not for this kind of access. Protection keys and SMAP are not
/// checked: they guard the guest against itself, and only in instructions with two memory operands of which
/// one is a device.
pub fn translate(
    memory: &impl GuestMemory,
    paging: &Paging,
    linear: u64,
    kind: PageWalkAccess,
) -> Result<GuestPhysical, PageFault> {
    let fault = kind.fault();
    let (at, rights) = find(memory, paging, linear).ok_or(PageFault(fault))?;
    let denied = kind.user && rights & USER == 0
        || kind.write
            && rights & WRITABLE == 0
            && (kind.user || paging.cr0.contains(Cr0Flags::WRITE_PROTECT));
    if denied { Err(PageFault(fault | FAULT_PRESENT)) } else { Ok(at) }
}

/// The address, and the rights that all levels together grant.
fn find(memory: &impl GuestMemory, paging: &Paging, linear: u64) -> Option<(GuestPhysical, u64)> {
    if !paging.cr0.contains(Cr0Flags::PAGING) {
        return Some((GuestPhysical(linear & 0xffff_ffff), USER | WRITABLE));
    }
    if paging.efer.contains(EferFlags::LONG_MODE_ACTIVE) {
        let levels = if paging.cr4.contains(Cr4Flags::L5_PAGING) { 5 } else { 4 };
        return walk(memory, paging.cr3 & ADDRESS, levels, linear);
    }
    let linear = linear & 0xffff_ffff;
    if paging.cr4.contains(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION) {
        // Four page-directory pointers in 32 bytes, no bits but present and address [SDM3A 5.4.1].
        let pointer = read(memory, (paging.cr3 & 0xffff_ffe0) + (linear >> 30) * 8)?;
        return walk(memory, pointer & ADDRESS, 2, linear);
    }
    walk_32(memory, paging, linear)
}

/// Tables of 512 entries of 64 bits.
fn walk(memory: &impl GuestMemory, root: u64, levels: u32, linear: u64) -> Option<(GuestPhysical, u64)> {
    let (mut table, mut rights) = (root, USER | WRITABLE);
    for level in (1..=levels).rev() {
        let shift = 12 + 9 * (level - 1);
        let entry = read(memory, table + (linear >> shift & 0x1ff) * 8)?;
        rights &= entry;
        let page = 1u64 << shift;
        if level == 1 || level <= 3 && entry & LARGE != 0 {
            return Some((GuestPhysical(entry & ADDRESS & !(page - 1) | linear & (page - 1)), rights));
        }
        table = entry & ADDRESS;
    }
    None
}

/// Tables of 1024 entries of 32 bits [SDM3A 5.3].
fn walk_32(memory: &impl GuestMemory, paging: &Paging, linear: u64) -> Option<(GuestPhysical, u64)> {
    let read = |at: u64| {
        let mut bytes = [0; 4];
        memory.read(GuestPhysical(at), &mut bytes).ok()?;
        Some(u64::from(u32::from_le_bytes(bytes))).filter(|entry| entry & PRESENT != 0)
    };
    let directory = read((paging.cr3 & 0xffff_f000) + (linear >> 22) * 4)?;
    if directory & LARGE != 0 && paging.cr4.contains(Cr4Flags::PAGE_SIZE_EXTENSION) {
        // Bits 20:13 are bits 39:32 of the address [SDM3A table 5-4].
        let base = directory & 0xffc0_0000 | (directory >> 13 & 0xff) << 32;
        return Some((GuestPhysical(base | linear & 0x3f_ffff), directory));
    }
    let page = read((directory & 0xffff_f000) + (linear >> 12 & 0x3ff) * 4)?;
    Some((GuestPhysical(page & 0xffff_f000 | linear & 0xfff), directory & page))
}

/// A table entry that is present.
fn read(memory: &impl GuestMemory, at: u64) -> Option<u64> {
    memory.read_qword(GuestPhysical(at)).ok().filter(|entry| entry & PRESENT != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::FakeMemory;

    fn look(memory: &FakeMemory, paging: &Paging, linear: u64) -> Option<GuestPhysical> {
        translate(memory, paging, linear, PageWalkAccess::ALLOWED).ok()
    }

    const LONG: Paging = Paging {
        cr0: Cr0Flags::PROTECTED_MODE_ENABLE.union(Cr0Flags::PAGING),
        cr3: 0x1000,
        cr4: Cr4Flags::PHYSICAL_ADDRESS_EXTENSION,
        efer: EferFlags::LONG_MODE_ACTIVE,
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
        assert_eq!(look(&memory, &LONG, 0x1234), Some(GuestPhysical(0x7234)));
        assert_eq!(look(&memory, &LONG, 0x2234), None);
    }

    #[test]
    fn large_pages_end_the_walk() {
        let memory =
            memory(&[(0x1000, 0x2003), (0x2000, 0x3003), (0x2008, 0x4000_0083), (0x3000, 0x0060_0083)]);
        assert_eq!(look(&memory, &LONG, 0x12_3456), Some(GuestPhysical(0x72_3456)));
        assert_eq!(look(&memory, &LONG, 0x4765_4321), Some(GuestPhysical(0x4765_4321)));
    }

    #[test]
    fn tables_outside_memory_map_nothing() {
        let memory = memory(&[(0x1000, 0x00ff_ffff_f003)]);
        assert_eq!(look(&memory, &LONG, 0x1234), None);
    }

    #[test]
    fn protected_mode_with_and_without_pae() {
        let pae = Paging { efer: EferFlags::empty(), ..LONG };
        let memory = memory(&[(0x1000, 0x2001), (0x2000, 0x0020_0083), (0x5000, 0x6003), (0x6004, 0x8003)]);
        assert_eq!(look(&memory, &pae, 0x1_0000), Some(GuestPhysical(0x21_0000)));
        let legacy = Paging { cr3: 0x5000, cr4: Cr4Flags::empty(), ..pae };
        assert_eq!(look(&memory, &legacy, 0x1abc), Some(GuestPhysical(0x8abc)));
        let unpaged = Paging { cr0: Cr0Flags::PROTECTED_MODE_ENABLE, ..legacy };
        assert_eq!(look(&memory, &unpaged, 0x1abc), Some(GuestPhysical(0x1abc)));
    }

    #[test]
    fn every_level_must_grant_what_an_access_needs() {
        // User may, but not write: the last level says so.
        let memory = memory(&[
            (0x1000, 0x2007),
            (0x2000, 0x3007),
            (0x3000, 0x4007),
            (0x4008, 0x7005),
            (0x4010, 0x8003),
        ]);
        let check = |linear, write, user| translate(&memory, &LONG, linear, PageWalkAccess { write, user });
        assert_eq!(check(0x1000, false, true), Ok(GuestPhysical(0x7000)));
        assert_eq!(check(0x1000, true, true), Err(PageFault(7)));
        assert_eq!(check(0x1000, true, false), Ok(GuestPhysical(0x7000)));
        assert_eq!(check(0x2000, false, true), Err(PageFault(5)));
        assert_eq!(check(0x3000, true, false), Err(PageFault(2)));
        let protected = Paging { cr0: LONG.cr0 | Cr0Flags::WRITE_PROTECT, ..LONG };
        assert_eq!(
            translate(&memory, &protected, 0x1000, PageWalkAccess { write: true, user: false }),
            Err(PageFault(3))
        );
    }
}
