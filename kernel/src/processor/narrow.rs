//! Conversions to narrower integers that drop bits on purpose, or none.

/// A 64-bit length or offset as `usize`.
#[expect(clippy::cast_possible_truncation, reason = "`usize` has 64 bits on the only target")]
pub const fn to_usize(value: u64) -> usize {
    value as usize
}

/// The low 32 bits, such as EAX of RAX.
#[expect(clippy::cast_possible_truncation, reason = "only the low bits are asked for")]
pub const fn low_u32(value: u64) -> u32 {
    value as u32
}

/// The low 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "only the low bits are asked for")]
pub const fn low_u16(value: u64) -> u16 {
    value as u16
}

/// The low 8 bits.
#[expect(clippy::cast_possible_truncation, reason = "only the low bits are asked for")]
pub const fn low_u8(value: u64) -> u8 {
    value as u8
}
