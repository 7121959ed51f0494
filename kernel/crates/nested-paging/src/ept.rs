//! Intel's encoding: extended page tables [SDM3C 29.3.2].

use crate::{Attributes, Format, MemoryType, NestedPages, PageSize, Permissions};
use base::HostPhysical;

bitflags::bitflags! {
    /// Fields of an EPT entry [SDM3C 29.3.2, tables 29-1 to 29-7].
    struct Entry: u64 {
        const READ = 1 << 0;
        const WRITE = 1 << 1;
        const EXECUTE = 1 << 2;
        const IGNORE_PAT = 1 << 6;
        const LARGE = 1 << 7;
        const _ = !0;
    }
}

/// The memory type of a page is in bits 5 to 3.
const MEMORY_TYPE_SHIFT: u32 = 3;

/// Extended page tables.
#[derive(Clone, Copy, Debug)]
pub enum Ept {}

impl Format for Ept {
    /// A page that cannot be read is an EPT misconfiguration when it can be written, and when it can be
    /// executed unless the processor has execute-only translations [SDM3C 29.3.3.1]: none is made.
    fn supports(attributes: Attributes) -> bool {
        attributes.permissions.contains(Permissions::READ)
    }

    fn page(host: HostPhysical, size: PageSize, attributes: Attributes) -> u64 {
        let mut flags = permissions_to_flags(attributes.permissions);
        flags.set(Entry::IGNORE_PAT, attributes.ignore_guest_pat);
        flags.set(Entry::LARGE, size != PageSize::Size4KiB);
        host.0 | flags.bits() | (attributes.memory_type as u64) << MEMORY_TYPE_SHIFT
    }

    fn table(host: HostPhysical) -> u64 {
        host.0 | permissions_to_flags(Permissions::all()).bits()
    }

    /// An entry is present when any of bits 2 to 0 is set [SDM3C 29.3.2].
    fn is_present(entry: u64) -> bool {
        Entry::from_bits_retain(entry).intersects(Entry::READ | Entry::WRITE | Entry::EXECUTE)
    }

    fn attributes(entry: u64) -> Attributes {
        let flags = Entry::from_bits_retain(entry);
        let mut permissions = Permissions::empty();
        permissions.set(Permissions::READ, flags.contains(Entry::READ));
        permissions.set(Permissions::WRITE, flags.contains(Entry::WRITE));
        permissions.set(Permissions::EXECUTE, flags.contains(Entry::EXECUTE));
        Attributes {
            permissions,
            memory_type: match entry >> MEMORY_TYPE_SHIFT & 7 {
                1 => MemoryType::WriteCombining,
                4 => MemoryType::WriteThrough,
                5 => MemoryType::WriteProtected,
                6 => MemoryType::WriteBack,
                // 2, 3 and 7 are reserved and never written.
                _ => MemoryType::Uncacheable,
            },
            ignore_guest_pat: flags.contains(Entry::IGNORE_PAT),
        }
    }
}

fn permissions_to_flags(permissions: Permissions) -> Entry {
    let mut flags = Entry::empty();
    flags.set(Entry::READ, permissions.contains(Permissions::READ));
    flags.set(Entry::WRITE, permissions.contains(Permissions::WRITE));
    flags.set(Entry::EXECUTE, permissions.contains(Permissions::EXECUTE));
    flags
}

impl NestedPages<Ept> {
    /// The extended-page-table pointer for the VMCS [SDM3C 25.6.11]: tables are read through write-back
    /// memory (6) and walked in four levels (3 in bits 5 to 3). `accessed_dirty` sets bit 6: the processor
    /// then keeps accessed and dirty flags, when it can (`IA32_VMX_EPT_VPID_CAP` bit 21).
    #[must_use]
    pub fn eptp(&self, accessed_dirty: bool) -> u64 {
        self.root().0 | u64::from(accessed_dirty) << 6 | 3 << 3 | MemoryType::WriteBack as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_bits_of_the_manual() {
        let at = HostPhysical(0x1_2340_0000);
        assert_eq!(Ept::page(at, PageSize::Size4KiB, Attributes::MEMORY), 0x1_2340_0037);
        assert_eq!(Ept::page(at, PageSize::Size2MiB, Attributes::MEMORY), 0x1_2340_00b7);
        assert_eq!(Ept::page(at, PageSize::Size4KiB, Attributes::DEVICE), 0x1_2340_0003);
        let forced = Attributes { ignore_guest_pat: true, ..Attributes::DEVICE };
        assert_eq!(Ept::page(at, PageSize::Size4KiB, forced), 0x1_2340_0043);
        // Bits 7 to 3 of a reference to a table are reserved.
        assert_eq!(Ept::table(at), 0x1_2340_0007);
    }

    #[test]
    fn pages_without_read_are_not_supported() {
        for permissions in [Permissions::WRITE, Permissions::EXECUTE, Permissions::empty()] {
            assert!(!Ept::supports(Attributes { permissions, ..Attributes::MEMORY }));
        }
    }
}
