//! The encoding of table entries.

use crate::{Attributes, PageSize};
use base::HostPhysical;

/// The bits of an entry that may hold an address, in both formats: 51 to 12. Bits above the processor's address
/// width are reserved; [`crate::NestedPages`] never sets them.
pub(crate) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// An encoding of table entries. In every encoding, zero is an entry that maps nothing.
pub trait Format {
    /// A guest's memory: [`Attributes::MEMORY`], and write-back whatever the guest's own tables say, where the format can
    /// express that. A guest that makes its memory uncacheable takes the bus from all others with each locked access
    /// [SDM3A 9.1.2], and the hypervisor reads that memory through a write-back mapping of its own.
    const GUEST_MEMORY: Attributes;

    /// True when a page can be mapped with `attributes`.
    fn supports(attributes: Attributes) -> bool;

    /// An entry that maps a page of `size` at `host`. The caller ensures that `host` is aligned to `size` and that
    /// `attributes` are supported.
    fn page(host: HostPhysical, size: PageSize, attributes: Attributes) -> u64;

    /// An entry that refers to the next-level table at `host` and restricts no permission.
    fn table(host: HostPhysical) -> u64;

    /// True when `entry` maps a page or refers to a table.
    fn is_present(entry: u64) -> bool;

    /// The attributes in an `entry` that maps a page.
    fn attributes(entry: u64) -> Attributes;

    /// True when `entry` maps a page. It is present and belongs to a table whose entries can map pages of `size`.
    fn is_page(entry: u64, size: PageSize) -> bool {
        // Bit 7 distinguishes a large page from a table in both formats [SDM3C 29.3.2] [APM2 5.3]; the last
        // level has only pages.
        size == PageSize::Size4KiB || entry & (1 << 7) != 0
    }

    /// The address in a present `entry`.
    fn address(entry: u64) -> HostPhysical {
        HostPhysical(entry & ADDRESS)
    }
}
