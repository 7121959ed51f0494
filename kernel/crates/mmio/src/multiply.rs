//! Multiplication and division [SDM2A MUL, IMUL, DIV, IDIV].

use crate::access::sign_extend;
use crate::alu::{CF, OF};
use crate::register::RegisterPart;
use crate::shift::low;
use crate::{AccessFault, Gpr, RegisterFile};
use base::Width;

/// The registers that hold the low and the high half of a product or dividend: AX alone for bytes.
fn halves(width: Width) -> (RegisterPart, RegisterPart) {
    let low = RegisterPart::low(Gpr::Rax, width);
    let high = match width {
        Width::Byte => RegisterPart { gpr: Gpr::Rax, width, high: true },
        _ => RegisterPart::low(Gpr::Rdx, width),
    };
    (low, high)
}

/// `value`, which is at most `width` wide, as a signed number.
fn signed_value(width: Width, value: u64) -> i128 {
    i128::from(sign_extend(width, value).cast_signed())
}

/// The low half of a product, and the half above it.
fn split(width: Width, product: u128) -> (u64, u64) {
    (low(width, product), low(width, product >> (8 * width.bytes())))
}

/// CF and OF tell that the low half alone is not the product.
fn set_carry(lost: bool, flags: &mut u64) {
    *flags = *flags & !(CF | OF) | if lost { CF | OF } else { 0 };
}

/// Multiplies the accumulator.
pub(crate) fn accumulator(
    width: Width,
    signed: bool,
    read: u64,
    flags: &mut u64,
    registers: &mut impl RegisterFile,
) {
    let (low_part, high_part) = halves(width);
    let factor = low_part.read(registers);
    let (low_half, high_half) = if signed {
        let product = signed_value(width, factor) * signed_value(width, read);
        set_carry(product != signed_value(width, split(width, product.cast_unsigned()).0), flags);
        split(width, product.cast_unsigned())
    } else {
        let parts = split(width, u128::from(factor) * u128::from(read));
        set_carry(parts.1 != 0, flags);
        parts
    };
    low_part.write(registers, low_half);
    high_part.write(registers, high_half);
}

/// The low half of a signed product.
pub(crate) fn product(width: Width, left: u64, right: u64, flags: &mut u64) -> u64 {
    let product = signed_value(width, left) * signed_value(width, right);
    let kept = low(width, product.cast_unsigned());
    set_carry(product != signed_value(width, kept), flags);
    kept
}

/// Divides the accumulator; the flags, which are undefined afterwards, stay.
pub(crate) fn divide(
    width: Width,
    signed: bool,
    divisor: u64,
    registers: &mut impl RegisterFile,
) -> Result<(), AccessFault> {
    let (low_part, high_part) = halves(width);
    let bits = 8 * width.bytes();
    let dividend = u128::from(high_part.read(registers)) << bits | u128::from(low_part.read(registers));
    let (quotient, remainder) = if signed {
        let unused = 128 - 2 * bits;
        let dividend = (dividend << unused).cast_signed() >> unused;
        let divisor = signed_value(width, divisor);
        let quotient = dividend.checked_div(divisor).ok_or(AccessFault::Divide)?;
        let kept = split(width, quotient.cast_unsigned()).0;
        if signed_value(width, kept) != quotient {
            return Err(AccessFault::Divide);
        }
        (kept, split(width, dividend.wrapping_rem(divisor).cast_unsigned()).0)
    } else {
        let divisor = u128::from(divisor);
        let quotient = dividend.checked_div(divisor).ok_or(AccessFault::Divide)?;
        let (kept, lost) = split(width, quotient);
        if lost != 0 {
            return Err(AccessFault::Divide);
        }
        (kept, split(width, dividend % divisor).0)
    };
    low_part.write(registers, quotient);
    high_part.write(registers, remainder);
    Ok(())
}
