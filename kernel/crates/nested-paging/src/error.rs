//! Why a table could not be built or changed.

use crate::{Attributes, Mapping};
use base::{GuestPhysical, HostPhysical};

/// Why a table could not be built or changed. After an error every translation is as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PagingError {
    /// No memory for tables is left.
    #[error("no memory is left for nested page tables")]
    OutOfTables,
    /// A table allocated from the table memory is not page-aligned or lies beyond the address width.
    #[error("a nested page table cannot lie at {0}")]
    BadTable(HostPhysical),
    /// The processor's physical address width is outside 32 to 52 bits.
    #[error("a physical address width of {0} bits is not between 32 and 52")]
    BadAddressWidth(u32),
    /// An address or the length is not a multiple of 4 KiB, or the length is zero.
    #[error("{bytes:#x} bytes at guest address {guest} are not whole 4 KiB pages")]
    Unaligned {
        /// Where the range begins in the guest.
        guest: GuestPhysical,
        /// Its length.
        bytes: u64,
    },
    /// The host address is not a multiple of 4 KiB.
    #[error("host address {0} is not a multiple of 4 KiB")]
    UnalignedHost(HostPhysical),
    /// The range exceeds the 48-bit guest-physical address space that four levels translate.
    #[error("{bytes:#x} bytes at guest address {guest} exceed the 48-bit guest-physical address space")]
    BeyondGuest {
        /// Where the range begins in the guest.
        guest: GuestPhysical,
        /// Its length.
        bytes: u64,
    },
    /// The range exceeds the physical address space of this processor.
    #[error("{bytes:#x} bytes at host address {host} exceed the physical address space")]
    BeyondHost {
        /// Where the range begins in the host.
        host: HostPhysical,
        /// Its length.
        bytes: u64,
    },
    /// The format has no encoding for these attributes.
    #[error("this processor's nested page tables cannot express {0:?}")]
    Unsupported(Attributes),
    /// Part of the range is already mapped.
    #[error("guest address {at} is already mapped to {} as {:?}", .existing.host, .existing.attributes)]
    Overlap {
        /// The first address of the range that is mapped.
        at: GuestPhysical,
        /// What it is mapped to.
        existing: Mapping,
    },
    /// Part of the range is not mapped.
    #[error("guest address {0} is not mapped")]
    NotMapped(GuestPhysical),
}
