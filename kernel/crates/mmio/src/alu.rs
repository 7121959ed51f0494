//! Arithmetic on operands of 8 to 64 bits, with the status flags that the processor would set: in general
//! [SDM1 3.4.3.1], for each instruction as its page in [SDM2] says.
//!
//! AF, which the manual leaves undefined after logical instructions, is cleared there. BT, BTS, BTR and BTC do
//! not change the flags that are undefined after them.

use base::Width;

/// Carry.
pub(crate) const CF: u64 = 1 << 0;
/// Even parity of the low byte.
pub(crate) const PF: u64 = 1 << 2;
/// Carry out of bit 3.
pub(crate) const AF: u64 = 1 << 4;
/// Zero.
pub(crate) const ZF: u64 = 1 << 6;
/// Sign.
pub(crate) const SF: u64 = 1 << 7;
/// Direction: string instructions move to lower addresses.
pub(crate) const DF: u64 = 1 << 10;
/// Signed overflow.
pub(crate) const OF: u64 = 1 << 11;
/// Resume: cleared when an instruction completes.
pub(crate) const RF: u64 = 1 << 16;

const STATUS: u64 = CF | PF | AF | ZF | SF | OF;

/// Instructions with two operands and one result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Adc,
    Sub,
    Sbb,
    And,
    Or,
    Xor,
}

/// Instructions with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Inc,
    Dec,
    Not,
    Neg,
}

/// What BT, BTS, BTR and BTC do to a bit after copying it to CF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bit {
    Keep,
    Set,
    Reset,
    Complement,
}

impl Binary {
    /// Returns the result for `left` and `right`, both at most `width` wide, and updates `flags`.
    pub fn apply(self, width: Width, left: u64, right: u64, flags: &mut u64) -> u64 {
        let carry = *flags & CF;
        match self {
            Self::Add => add(width, left, right, 0, flags),
            Self::Adc => add(width, left, right, carry, flags),
            Self::Sub => subtract(width, left, right, 0, flags),
            Self::Sbb => subtract(width, left, right, carry, flags),
            Self::And => logic(width, left & right, flags),
            Self::Or => logic(width, left | right, flags),
            Self::Xor => logic(width, left ^ right, flags),
        }
    }
}

impl Unary {
    /// Returns the result for `value`, which is at most `width` wide, and updates `flags`.
    pub fn apply(self, width: Width, value: u64, flags: &mut u64) -> u64 {
        let carry = *flags & CF;
        match self {
            Self::Inc => {
                let result = add(width, value, 1, 0, flags);
                *flags = *flags & !CF | carry;
                result
            }
            Self::Dec => {
                let result = subtract(width, value, 1, 0, flags);
                *flags = *flags & !CF | carry;
                result
            }
            Self::Not => !value & width.mask(),
            Self::Neg => subtract(width, 0, value, 0, flags),
        }
    }
}

impl Bit {
    /// Copies the bit of `value` that is set in `mask` to CF and returns `value` after the operation.
    pub fn apply(self, value: u64, mask: u64, flags: &mut u64) -> u64 {
        *flags = *flags & !CF | if value & mask != 0 { CF } else { 0 };
        match self {
            Self::Keep => value,
            Self::Set => value | mask,
            Self::Reset => value & !mask,
            Self::Complement => value ^ mask,
        }
    }
}

fn add(width: Width, left: u64, right: u64, carry: u64, flags: &mut u64) -> u64 {
    let (sum, first) = left.overflowing_add(right);
    let (sum, second) = sum.overflowing_add(carry);
    let result = sum & width.mask();
    let carried = first || second || sum > width.mask();
    set_status(width, result, left ^ right ^ result, carried, (left ^ result) & (right ^ result), flags);
    result
}

fn subtract(width: Width, left: u64, right: u64, borrow: u64, flags: &mut u64) -> u64 {
    let (difference, first) = left.overflowing_sub(right);
    let (difference, second) = difference.overflowing_sub(borrow);
    let result = difference & width.mask();
    set_status(
        width,
        result,
        left ^ right ^ result,
        first || second,
        (left ^ right) & (left ^ result),
        flags,
    );
    result
}

fn logic(width: Width, result: u64, flags: &mut u64) -> u64 {
    set_status(width, result, 0, false, 0, flags);
    result
}

/// Sets the status flags for `result`. `carries` has a bit set for each position that received a carry; its bit 4
/// determines AF. The top bit of `overflow`, at `width`, determines OF.
fn set_status(width: Width, result: u64, carries: u64, carry: bool, overflow: u64, flags: &mut u64) {
    let sign = (width.mask() >> 1) + 1;
    let mut status = carries & AF;
    for (flag, condition) in [
        (CF, carry),
        (PF, (result & 0xff).count_ones() & 1 == 0),
        (ZF, result == 0),
        (SF, result & sign != 0),
        (OF, overflow & sign != 0),
    ] {
        status |= if condition { flag } else { 0 };
    }
    *flags = *flags & !STATUS | status;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WIDTHS: [Width; 4] = [Width::Byte, Width::Word, Width::Dword, Width::Qword];

    fn signed(width: Width, value: u64) -> i128 {
        let bits = 8 * width.bytes();
        let value = i128::from(value);
        if value >> (bits - 1) & 1 == 1 { value - (1 << bits) } else { value }
    }

    /// Result and flags computed from exact results: of the operands as unsigned and as signed numbers, without
    /// a bound on width, and of their low 4 bits.
    fn reference(width: Width, unsigned: i128, signed_result: i128, low: i128) -> (u64, u64) {
        let bits = 8 * width.bytes();
        let result = unsigned.rem_euclid(1 << bits) as u64;
        let mut flags = 0;
        for (flag, condition) in [
            (CF, !(0..1 << bits).contains(&unsigned)),
            (PF, (0..8).filter(|bit| result >> bit & 1 == 1).count() % 2 == 0),
            (AF, !(0..16).contains(&low)),
            (ZF, result == 0),
            (SF, signed(width, result) < 0),
            (OF, signed(width, result) != signed_result),
        ] {
            flags |= if condition { flag } else { 0 };
        }
        (result, flags)
    }

    /// Operands of one width, often near the values where flags change.
    fn operands() -> impl Strategy<Value = (Width, u64, u64)> {
        let value = || {
            prop_oneof![
                any::<u64>(),
                (0_u64..3).prop_map(|n| n.wrapping_sub(1)),
                (0_u64..3).prop_map(|n| 0x7f7f_7f7f_7f7f_7f7f_u64.wrapping_add(n)),
                (prop::sample::select(&WIDTHS[..]), 0_u64..3)
                    .prop_map(|(width, n)| (width.mask() >> 1).wrapping_add(n)),
            ]
        };
        (prop::sample::select(&WIDTHS[..]), value(), value())
            .prop_map(|(width, left, right)| (width, left & width.mask(), right & width.mask()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn sums_and_differences_agree_with_exact_arithmetic(
            (width, left, right) in operands(),
            before: u64,
        ) {
            let carry = i128::from(before & CF);
            let (l, r) = (i128::from(left), i128::from(right));
            let (sl, sr) = (signed(width, left), signed(width, right));
            let (ll, lr) = (l & 15, r & 15);
            let cases = [
                (Binary::Add, l + r, sl + sr, ll + lr),
                (Binary::Adc, l + r + carry, sl + sr + carry, ll + lr + carry),
                (Binary::Sub, l - r, sl - sr, ll - lr),
                (Binary::Sbb, l - r - carry, sl - sr - carry, ll - lr - carry),
            ];
            for (operation, unsigned, signed, low) in cases {
                let (expected, status) = reference(width, unsigned, signed, low);
                let mut flags = before;
                prop_assert_eq!(operation.apply(width, left, right, &mut flags), expected);
                prop_assert_eq!(flags, before & !STATUS | status, "{:?}", operation);
            }
        }

        #[test]
        fn logic_clears_carry_and_overflow((width, left, right) in operands(), before: u64) {
            let cases =
                [(Binary::And, left & right), (Binary::Or, left | right), (Binary::Xor, left ^ right)];
            for (operation, expected) in cases {
                let value = i128::from(expected);
                let (_, status) = reference(width, value, signed(width, expected), 0);
                let mut flags = before;
                prop_assert_eq!(operation.apply(width, left, right, &mut flags), expected);
                prop_assert_eq!(flags, before & !STATUS | status, "{:?}", operation);
            }
        }

        #[test]
        fn one_operand_instructions_agree_with_exact_arithmetic(
            (width, value, _) in operands(),
            before: u64,
        ) {
            let (v, s) = (i128::from(value), signed(width, value));
            let cases = [
                (Unary::Inc, v + 1, s + 1, (v & 15) + 1, STATUS & !CF),
                (Unary::Dec, v - 1, s - 1, (v & 15) - 1, STATUS & !CF),
                (Unary::Neg, -v, -s, -(v & 15), STATUS),
                (Unary::Not, -1 - v, 0, 0, 0),
            ];
            for (operation, unsigned, signed, low, changed) in cases {
                let (expected, status) = reference(width, unsigned, signed, low);
                let mut flags = before;
                prop_assert_eq!(operation.apply(width, value, &mut flags), expected);
                prop_assert_eq!(flags, before & !changed | status & changed, "{:?}", operation);
            }
        }

        #[test]
        fn a_bit_is_copied_to_carry_and_no_other_flag_changes(value: u64, bit in 0_u32..64, before: u64) {
            let mask = 1 << bit;
            let carry = value >> bit & 1;
            let cases = [
                (Bit::Keep, value),
                (Bit::Set, value | mask),
                (Bit::Reset, value & !mask),
                (Bit::Complement, value ^ mask),
            ];
            for (operation, expected) in cases {
                let mut flags = before;
                prop_assert_eq!(operation.apply(value, mask, &mut flags), expected);
                prop_assert_eq!(flags, before & !CF | carry);
            }
        }
    }
}
