//! AMD's encoding: nested page tables [APM2 15.25], which are the processor's long-mode tables [APM2 5.3].

use crate::{Attributes, Format, MemoryType, NestedPages, PageSize, Permissions};
use base::HostPhysical;

bitflags::bitflags! {
    /// Fields of a long-mode page-table entry [APM2 5.4].
    struct NptEntry: u64 {
        const PRESENT = 1 << 0;
        const WRITABLE = 1 << 1;
        const USER = 1 << 2;
        const WRITE_THROUGH = 1 << 3;
        const CACHE_DISABLE = 1 << 4;
        const LARGE = 1 << 7;
        const NO_EXECUTE = 1 << 63;
        const _ = !0;
    }
}

/// Nested page tables. The hypervisor's `PAT` keeps its reset value, whose first four entries are WB, WT,
/// UC- and UC [APM2 7.8], and `EFER.NXE` is set when the guest runs.
#[derive(Clone, Copy, Debug)]
pub enum Npt {}

impl Format for Npt {
    const GUEST_MEMORY: Attributes = Attributes::MEMORY;

    /// A present page can be read, the reset value of the `PAT` has neither WC nor WP, and the guest's `PAT`
    /// cannot be overridden.
    fn supports(attributes: Attributes) -> bool {
        attributes.permissions.contains(Permissions::READ)
            && !attributes.ignore_guest_pat
            && matches!(
                attributes.memory_type,
                MemoryType::Uncacheable | MemoryType::WriteThrough | MemoryType::WriteBack
            )
    }

    fn page(host: HostPhysical, size: PageSize, attributes: Attributes) -> u64 {
        // Every nested access is treated as a user access [APM2 15.25.5].
        let mut flags = NptEntry::PRESENT | NptEntry::USER;
        flags.set(NptEntry::WRITABLE, attributes.permissions.contains(Permissions::WRITE));
        flags.set(NptEntry::NO_EXECUTE, !attributes.permissions.contains(Permissions::EXECUTE));
        flags.set(NptEntry::LARGE, size != PageSize::Size4KiB);
        flags |= match attributes.memory_type {
            MemoryType::WriteBack => NptEntry::empty(),
            MemoryType::WriteThrough => NptEntry::WRITE_THROUGH,
            // WC and WP are not supported; UC is the type that is always safe.
            MemoryType::Uncacheable | MemoryType::WriteCombining | MemoryType::WriteProtected => {
                NptEntry::CACHE_DISABLE | NptEntry::WRITE_THROUGH
            }
        };
        host.0 | flags.bits()
    }

    fn table(host: HostPhysical) -> u64 {
        host.0 | (NptEntry::PRESENT | NptEntry::WRITABLE | NptEntry::USER).bits()
    }

    fn is_present(entry: u64) -> bool {
        NptEntry::from_bits_retain(entry).contains(NptEntry::PRESENT)
    }

    fn attributes(entry: u64) -> Attributes {
        let flags = NptEntry::from_bits_retain(entry);
        let mut permissions = Permissions::READ;
        permissions.set(Permissions::WRITE, flags.contains(NptEntry::WRITABLE));
        permissions.set(Permissions::EXECUTE, !flags.contains(NptEntry::NO_EXECUTE));
        Attributes {
            permissions,
            memory_type: if flags.contains(NptEntry::CACHE_DISABLE) {
                MemoryType::Uncacheable
            } else if flags.contains(NptEntry::WRITE_THROUGH) {
                MemoryType::WriteThrough
            } else {
                MemoryType::WriteBack
            },
            ignore_guest_pat: false,
        }
    }
}

impl NestedPages<Npt> {
    /// The value for the `N_CR3` field of the VMCB [APM2 15.25.3].
    #[must_use]
    pub fn ncr3(&self) -> u64 {
        self.root().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_bits_of_the_manual() {
        let at = HostPhysical(0x1_2340_0000);
        assert_eq!(Npt::page(at, PageSize::Size4KiB, Attributes::MEMORY), 0x1_2340_0007);
        assert_eq!(Npt::page(at, PageSize::Size2MiB, Attributes::MEMORY), 0x1_2340_0087);
        assert_eq!(Npt::page(at, PageSize::Size4KiB, Attributes::DEVICE), 0x8000_0001_2340_001f);
        assert_eq!(Npt::table(at), 0x1_2340_0007);
    }

    #[test]
    fn types_missing_from_the_reset_pat_are_not_supported() {
        for memory_type in [MemoryType::WriteCombining, MemoryType::WriteProtected] {
            assert!(!Npt::supports(Attributes { memory_type, ..Attributes::MEMORY }));
        }
        assert!(!Npt::supports(Attributes { ignore_guest_pat: true, ..Attributes::MEMORY }));
    }
}
