//! Shifts and rotations [SDM2B SAL, RCL; SDM2B SHLD, SHRD].
//!
//! Flags that the manual leaves undefined keep what the formula for the defined cases gives.

use crate::alu::{CF, OF, PF, SF, ZF};
use base::Width;

/// Instructions that shift one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Left,
    Right,
    RightSigned,
    RotateLeft,
    RotateRight,
    /// Through the carry flag.
    RotateCarryLeft,
    /// Through the carry flag.
    RotateCarryRight,
}

/// Instructions that shift bits of a second operand in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DoubleShift {
    Left,
    Right,
}

impl Shift {
    /// Returns `value` shifted by `count`, of which the processor uses 5 bits, or 6 for 64-bit operands.
    pub fn apply(self, width: Width, value: u64, count: u64, flags: &mut u64) -> u64 {
        let count = masked(width, count);
        if count == 0 {
            return value;
        }
        let bits = bits(width);
        let carry = u128::from(*flags & CF);
        let wide = u128::from(value);
        let top = |value: u64| value >> (bits - 1) & 1;
        let (result, carried, overflow) = match self {
            Self::Left => {
                let shifted = wide << count;
                let (result, carried) = (low(width, shifted), low(Width::Byte, shifted >> bits) & 1);
                (result, carried, top(result) ^ carried)
            }
            Self::Right => (low(width, wide >> count), low(Width::Byte, wide >> (count - 1)) & 1, top(value)),
            Self::RightSigned => {
                let signed = (wide << (128 - bits)).cast_signed() >> (128 - bits);
                let shifted = |by: u32| (signed >> by).cast_unsigned();
                (low(width, shifted(count)), low(Width::Byte, shifted(count - 1)) & 1, 0)
            }
            Self::RotateLeft => {
                let by = count % bits;
                let result = low(width, wide << by | wide >> (bits - by));
                (result, result & 1, top(result) ^ result & 1)
            }
            Self::RotateRight => {
                let by = count % bits;
                let result = low(width, wide >> by | wide << (bits - by));
                (result, top(result), top(result) ^ result >> (bits - 2) & 1)
            }
            Self::RotateCarryLeft | Self::RotateCarryRight => {
                // The carry flag is one more bit, above the operand.
                let around = wide | carry << bits;
                let all = (1u128 << (bits + 1)) - 1;
                let right = count % (bits + 1);
                let by = if self == Self::RotateCarryLeft { right } else { (bits + 1 - right) % (bits + 1) };
                let rotated = (around << by | around >> (bits + 1 - by)) & all;
                let (result, carried) = (low(width, rotated), low(Width::Byte, rotated >> bits) & 1);
                let overflow = match self {
                    Self::RotateCarryLeft => top(result) ^ carried,
                    _ => top(result) ^ result >> (bits - 2) & 1,
                };
                (result, carried, overflow)
            }
        };
        let shifts = matches!(self, Self::Left | Self::Right | Self::RightSigned);
        if shifts {
            set_result(width, result, flags);
        }
        *flags = *flags & !(CF | OF) | carried | if overflow != 0 { OF } else { 0 };
        result
    }
}

impl DoubleShift {
    /// Returns `value` shifted by `count`, with bits of `fill` shifted in.
    pub fn apply(self, width: Width, value: u64, fill: u64, count: u64, flags: &mut u64) -> u64 {
        let count = masked(width, count);
        if count == 0 {
            return value;
        }
        let bits = bits(width);
        // Of 16-bit operands, more than 16 places leave an undefined result.
        let count = if count > bits { count % bits } else { count };
        let top = |value: u64| value >> (bits - 1) & 1;
        let (value, fill) = (u128::from(value), u128::from(fill));
        let (result, carried) = match self {
            Self::Left => {
                let both = value << bits | fill;
                (low(width, both << count >> bits), low(Width::Byte, value << count >> bits) & 1)
            }
            Self::Right => {
                let both = fill << bits | value;
                (
                    low(width, both >> count),
                    if count == 0 { 0 } else { low(Width::Byte, value >> (count - 1)) & 1 },
                )
            }
        };
        set_result(width, result, flags);
        let changed = top(result) != top(low(width, value));
        *flags = *flags & !(CF | OF) | carried | if changed { OF } else { 0 };
        result
    }
}

fn bits(width: Width) -> u32 {
    match width {
        Width::Byte => 8,
        Width::Word => 16,
        Width::Dword => 32,
        Width::Qword => 64,
    }
}

/// The part of a shift count that the processor uses.
fn masked(width: Width, count: u64) -> u32 {
    let mask = if width == Width::Qword { 0x3f } else { 0x1f };
    u32::from(count.to_le_bytes()[0] & mask)
}

/// The low `width` of a value.
pub(crate) fn low(width: Width, value: u128) -> u64 {
    (value & 0xffff_ffff_ffff_ffff) as u64 & width.mask()
}

/// Sets the flags that follow from a result alone.
fn set_result(width: Width, result: u64, flags: &mut u64) {
    let sign = (width.mask() >> 1) + 1;
    *flags &= !(PF | ZF | SF);
    for (flag, condition) in
        [(PF, (result & 0xff).count_ones() & 1 == 0), (ZF, result == 0), (SF, result & sign != 0)]
    {
        *flags |= if condition { flag } else { 0 };
    }
}
