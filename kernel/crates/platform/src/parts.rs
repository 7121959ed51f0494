//! Parts of register values. A cast would not say whether the loss of the upper bits is intended.

/// Bits 7:0.
pub(crate) const fn low_byte(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

/// Bits 15:0.
pub(crate) const fn low_word(value: u32) -> u16 {
    let [low, high, ..] = value.to_le_bytes();
    u16::from_le_bytes([low, high])
}

/// Bits 31:0.
pub(crate) const fn low_dword(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Bits 63:32.
pub(crate) const fn high_dword(value: u64) -> u32 {
    low_dword(value >> 32)
}
