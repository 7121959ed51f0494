//! The width of one access to memory, an I/O port or a device register.

/// The width of one access.
///
/// ```
/// use base::Width;
///
/// assert_eq!(Width::from_bytes(2), Some(Width::Word));
/// assert_eq!(Width::Word.bytes(), 2);
/// assert_eq!(Width::Word.mask(), 0xffff);
/// assert_eq!(Width::from_bytes(3), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// 8 bits.
    Byte,
    /// 16 bits.
    Word,
    /// 32 bits.
    Dword,
    /// 64 bits.
    Qword,
}

impl Width {
    /// The width in bytes.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Word => 2,
            Self::Dword => 4,
            Self::Qword => 8,
        }
    }

    /// The low bits of a 64-bit value that an access of this width transfers.
    #[must_use]
    pub fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }

    /// The width of an access of `bytes` bytes, or `None` when there is no such access.
    #[must_use]
    pub fn from_bytes(bytes: usize) -> Option<Self> {
        match bytes {
            1 => Some(Self::Byte),
            2 => Some(Self::Word),
            4 => Some(Self::Dword),
            8 => Some(Self::Qword),
            _ => None,
        }
    }
}
