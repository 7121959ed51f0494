//! Narrowing conversions, each with what happens to a value that does not fit.

/// The low 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "the truncation is the purpose")]
pub(crate) const fn low_u16(value: usize) -> u16 {
    value as u16
}

/// The low 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the truncation is the purpose")]
pub(crate) const fn low_u32(value: usize) -> u32 {
    value as u32
}

/// The value, or the largest `u32`: for lengths in messages.
pub(crate) fn saturating_u32(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
