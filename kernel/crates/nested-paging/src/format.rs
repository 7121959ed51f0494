//! How an entry is written.

use crate::{Attributes, PageSize};
use base::HostPhysical;

/// The bits of an entry that may hold an address, in both formats: 51 to 12. What lies above the
/// processor's address width is reserved; [`crate::NestedPages`] never asks for it.
pub(crate) const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// The encoding of table entries. Zero is an entry that maps nothing in every format.
pub trait Format {
    /// True when a page can be mapped with `attributes`.
    fn supports(attributes: Attributes) -> bool;

    /// An entry that maps a page of `size` at `host`, which is aligned to `size`; `attributes` are
    /// supported.
    fn page(host: HostPhysical, size: PageSize, attributes: Attributes) -> u64;

    /// An entry that refers to the table of the next level at `host`, and leaves every permission to it.
    fn table(host: HostPhysical) -> u64;

    /// True when `entry` maps a page or refers to a table.
    fn is_present(entry: u64) -> bool;

    /// The attributes of a page `entry`.
    fn attributes(entry: u64) -> Attributes;

    /// True when a present `entry` of a table whose entries can map pages of `size` does map one.
    fn is_page(entry: u64, size: PageSize) -> bool {
        // Bit 7 tells a large page from a table, in both formats [SDM3C 29.3.2] [APM2 5.3]; in the last
        // level there are only pages.
        size == PageSize::Size4KiB || entry & (1 << 7) != 0
    }

    /// The address in a present `entry`.
    fn address(entry: u64) -> HostPhysical {
        HostPhysical(entry & ADDRESS)
    }
}
