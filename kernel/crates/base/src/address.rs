//! Addresses of the two physical address spaces. They are distinct types: mixing them up does not compile.

use core::fmt;

macro_rules! address {
    ($(#[$doc:meta])* $name:ident, $short:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The address `bytes` higher, or `None` beyond the end of the 64-bit address space.
            #[must_use]
            pub fn checked_add(self, bytes: u64) -> Option<Self> {
                self.0.checked_add(bytes).map(Self)
            }

            /// True when the address is a multiple of `alignment`, a power of two.
            #[must_use]
            pub fn is_aligned(self, alignment: u64) -> bool {
                self.0 & (alignment - 1) == 0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($short, ":{:#x}"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#x}", self.0)
            }
        }
    };
}

address!(
    /// A guest-physical address: what the guest's processor and its emulated devices use to reach memory.
    ///
    /// ```
    /// use base::GuestPhysical;
    ///
    /// let ring = GuestPhysical(0x1000);
    /// assert!(ring.is_aligned(16));
    /// assert_eq!(ring.checked_add(32), Some(GuestPhysical(0x1020)));
    /// assert_eq!(ring.checked_add(u64::MAX), None);
    /// assert_eq!(format!("{ring:?}"), "gpa:0x1000");
    /// ```
    ///
    /// It cannot be passed where a [`HostPhysical`] address is expected:
    ///
    /// ```compile_fail,E0308
    /// use base::{GuestPhysical, HostPhysical};
    ///
    /// let dma: HostPhysical = GuestPhysical(0x1000);
    /// ```
    GuestPhysical, "gpa");
address!(
    /// A host-physical address: an address of the machine's own memory, as given to its devices for DMA.
    ///
    /// ```
    /// use base::HostPhysical;
    ///
    /// let page = HostPhysical(0x20_0000);
    /// assert!(page.is_aligned(4096));
    /// assert_eq!(page.to_string(), "0x200000");
    /// ```
    HostPhysical, "hpa");
