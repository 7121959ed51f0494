//! Page sizes.

/// The size of the page that a leaf entry maps. Ordered by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 4 KiB, in a level-1 table.
    Size4KiB,
    /// 2 MiB, in a level-2 table.
    Size2MiB,
    /// 1 GiB, in a level-3 table. An optional feature of the processor: EPT bit 17 of
    /// `IA32_VMX_EPT_VPID_CAP` [SDM3D A.10], NPT CPUID Fn8000_0001 EDX bit 26.
    Size1GiB,
}

impl PageSize {
    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        bytes_at(self.level())
    }

    /// The level, 1 to 3, of the tables whose entries map pages of this size.
    pub(crate) const fn level(self) -> u32 {
        match self {
            Self::Size4KiB => 1,
            Self::Size2MiB => 2,
            Self::Size1GiB => 3,
        }
    }

    /// The size of the page that an entry of a level-`level` table can map, or `None` at level 4.
    pub(crate) const fn at_level(level: u32) -> Option<Self> {
        match level {
            1 => Some(Self::Size4KiB),
            2 => Some(Self::Size2MiB),
            3 => Some(Self::Size1GiB),
            _ => None,
        }
    }
}

/// Number of bytes of the guest-physical address space that one entry of a level-`level` table covers.
pub(crate) const fn bytes_at(level: u32) -> u64 {
    1 << (12 + 9 * (level - 1))
}
