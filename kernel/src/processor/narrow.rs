//! A conversion to a narrower integer that drops nothing; those that drop bits on purpose are in [`base::bits`].

/// A 64-bit length or offset as `usize`.
#[expect(clippy::cast_possible_truncation, reason = "`usize` has 64 bits on the only target")]
pub const fn to_usize(value: u64) -> usize {
    value as usize
}
