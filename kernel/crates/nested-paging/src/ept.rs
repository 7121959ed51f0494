//! Intel's encoding: extended page tables [SDM3C 29.3.2].

use crate::{Attributes, Format, MemoryType, NestedPages, PageSize, Permissions};
use base::HostPhysical;

bitflags::bitflags! {
    /// Fields of an EPT entry [SDM3C 29.3.2, tables 29-1 to 29-7].
    struct EptEntry: u64 {
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
    const GUEST_MEMORY: Attributes = Attributes { ignore_guest_pat: true, ..Attributes::MEMORY };

    /// A page that cannot be read is an EPT misconfiguration if it can be written. The same holds if it can be
    /// executed, unless the processor supports execute-only translations [SDM3C 29.3.3.1]. Neither is used.
    fn supports(attributes: Attributes) -> bool {
        attributes.permissions.contains(Permissions::READ)
    }

    fn page(host: HostPhysical, size: PageSize, attributes: Attributes) -> u64 {
        let mut flags = permissions_to_flags(attributes.permissions);
        flags.set(EptEntry::IGNORE_PAT, attributes.ignore_guest_pat);
        flags.set(EptEntry::LARGE, size != PageSize::Size4KiB);
        host.0 | flags.bits() | (attributes.memory_type as u64) << MEMORY_TYPE_SHIFT
    }

    fn table(host: HostPhysical) -> u64 {
        host.0 | permissions_to_flags(Permissions::all()).bits()
    }

    /// An entry is present when any of bits 2 to 0 is set [SDM3C 29.3.2].
    fn is_present(entry: u64) -> bool {
        EptEntry::from_bits_retain(entry).intersects(EptEntry::READ | EptEntry::WRITE | EptEntry::EXECUTE)
    }

    fn attributes(entry: u64) -> Attributes {
        let flags = EptEntry::from_bits_retain(entry);
        let mut permissions = Permissions::empty();
        permissions.set(Permissions::READ, flags.contains(EptEntry::READ));
        permissions.set(Permissions::WRITE, flags.contains(EptEntry::WRITE));
        permissions.set(Permissions::EXECUTE, flags.contains(EptEntry::EXECUTE));
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
            ignore_guest_pat: flags.contains(EptEntry::IGNORE_PAT),
        }
    }
}

fn permissions_to_flags(permissions: Permissions) -> EptEntry {
    let mut flags = EptEntry::empty();
    flags.set(EptEntry::READ, permissions.contains(Permissions::READ));
    flags.set(EptEntry::WRITE, permissions.contains(Permissions::WRITE));
    flags.set(EptEntry::EXECUTE, permissions.contains(Permissions::EXECUTE));
    flags
}

impl NestedPages<Ept> {
    /// The extended-page-table pointer for the VMCS [SDM3C 25.6.11]: the tables are in write-back memory (6 in
    /// bits 2 to 0) and have four levels (3 in bits 5 to 3). `accessed_dirty` sets bit 6: the processor then
    /// maintains accessed and dirty flags. It must only be set if `IA32_VMX_EPT_VPID_CAP` bit 21 says that the
    /// processor can.
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
        assert_eq!(Ept::page(at, PageSize::Size4KiB, Ept::GUEST_MEMORY), 0x1_2340_0077);
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
