//! What instructions do to their memory operand: from mnemonics to operations.

use crate::access::{DataOperation, swap_bytes};
use crate::alu::{AF, Binary, Bit, CF, OF, PF, SF, Unary, ZF};
use crate::register::RegisterPart;
use crate::shift::{DoubleShift, Shift};
use base::Width;
use iced_x86::Mnemonic;

/// The operands of an instruction with one explicit memory operand.
pub(crate) enum Operands {
    /// `neg [x]`
    Memory,
    /// `mov [x], ecx`
    MemoryRegister(RegisterPart),
    /// `mov [x], 5`: the value is sign-extended as the encoding requires.
    MemoryImmediate(u64),
    /// `mov ecx, [x]`
    RegisterMemory(RegisterPart),
}

/// Whether the instruction reads its memory operand, writes it, both, or neither.
pub(crate) enum OperandUse {
    Read,
    Write,
    ReadWrite,
    Nothing,
}

/// Instructions that count bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Ones,
    TrailingZeros,
    LeadingZeros,
    ScanForward,
    ScanReverse,
}

impl Count {
    /// Returns the count for `value`; `before` is the register's value, which scans of zero keep
    /// [SDM2A BSF, BSR; APM3 BSF].
    pub fn apply(self, width: Width, value: u64, before: u64, flags: &mut u64) -> u64 {
        let bits = 8 * width.bytes() as u64;
        let trailing = u64::from(value.trailing_zeros()).min(bits);
        let leading = u64::from(value.leading_zeros()).saturating_sub(64 - bits);
        let set = |flags: &mut u64, flag: u64, condition: bool| {
            *flags = *flags & !flag | if condition { flag } else { 0 }
        };
        let result = match self {
            Self::Ones => {
                *flags &= !(CF | PF | AF | ZF | SF | OF);
                u64::from(value.count_ones())
            }
            Self::TrailingZeros => trailing,
            Self::LeadingZeros => leading,
            Self::ScanForward if value != 0 => trailing,
            Self::ScanReverse if value != 0 => bits - 1 - leading,
            Self::ScanForward | Self::ScanReverse => before,
        };
        match self {
            Self::Ones | Self::ScanForward | Self::ScanReverse => set(flags, ZF, value == 0),
            Self::TrailingZeros | Self::LeadingZeros => {
                set(flags, ZF, result == 0);
                set(flags, CF, value == 0);
            }
        }
        result
    }
}

/// The operation of an instruction with two operands, and whether the result is kept.
pub(crate) fn binary(mnemonic: Mnemonic) -> Option<(Binary, bool)> {
    Some(match mnemonic {
        Mnemonic::Add => (Binary::Add, true),
        Mnemonic::Adc => (Binary::Adc, true),
        Mnemonic::Sub => (Binary::Sub, true),
        Mnemonic::Sbb => (Binary::Sbb, true),
        Mnemonic::And => (Binary::And, true),
        Mnemonic::Or => (Binary::Or, true),
        Mnemonic::Xor => (Binary::Xor, true),
        Mnemonic::Cmp => (Binary::Sub, false),
        Mnemonic::Test => (Binary::And, false),
        _ => return None,
    })
}

/// The operation of an instruction with one operand.
pub(crate) fn unary(mnemonic: Mnemonic) -> Option<Unary> {
    Some(match mnemonic {
        Mnemonic::Inc => Unary::Inc,
        Mnemonic::Dec => Unary::Dec,
        Mnemonic::Not => Unary::Not,
        Mnemonic::Neg => Unary::Neg,
        _ => return None,
    })
}

/// The operation of BT, BTS, BTR and BTC.
pub(crate) fn bit(mnemonic: Mnemonic) -> Option<(Bit, OperandUse)> {
    Some(match mnemonic {
        Mnemonic::Bt => (Bit::Keep, OperandUse::Read),
        Mnemonic::Bts => (Bit::Set, OperandUse::ReadWrite),
        Mnemonic::Btr => (Bit::Reset, OperandUse::ReadWrite),
        Mnemonic::Btc => (Bit::Complement, OperandUse::ReadWrite),
        _ => return None,
    })
}

/// What remains: instructions that compilers emit for other memory, and that code uses on a device that is mapped as
/// such. `right` is the register or immediate operand, `third` an operand after it, and `register` the value of the
/// register operand in front of the memory operand.
pub(crate) fn rare(
    mnemonic: Mnemonic,
    operands: &Operands,
    values: (Option<u64>, Option<u64>, u64),
    width: Width,
    flags: u64,
) -> Option<(DataOperation, OperandUse)> {
    let (right, third, register) = values;
    if let Some(kind) = shift(mnemonic) {
        return Some((DataOperation::Shift { kind, count: right? }, OperandUse::ReadWrite));
    }
    if let Some((moves, condition)) = condition(mnemonic, flags) {
        return match (moves, operands) {
            (true, Operands::RegisterMemory(into)) => {
                Some((DataOperation::LoadIf { into: *into, condition }, OperandUse::Read))
            }
            (false, Operands::Memory) => {
                Some((DataOperation::Store { value: condition.into() }, OperandUse::Write))
            }
            _ => None,
        };
    }
    if let (Some(kind), Operands::RegisterMemory(into)) = (count(mnemonic), operands) {
        return Some((DataOperation::Count { kind, into: *into }, OperandUse::Read));
    }
    let read = |operation| Some((operation, OperandUse::Read));
    match (mnemonic, operands) {
        (Mnemonic::Movbe, Operands::RegisterMemory(into)) => read(DataOperation::LoadSwapped { into: *into }),
        (Mnemonic::Movbe, Operands::MemoryRegister(_)) => {
            Some((DataOperation::Store { value: swap_bytes(width, right?) }, OperandUse::Write))
        }
        (Mnemonic::Movnti, Operands::MemoryRegister(_)) => {
            Some((DataOperation::Store { value: right? }, OperandUse::Write))
        }
        (Mnemonic::Shld | Mnemonic::Shrd, Operands::MemoryRegister(_)) => {
            let kind = if mnemonic == Mnemonic::Shld { DoubleShift::Left } else { DoubleShift::Right };
            let operation = DataOperation::DoubleShift { kind, fill: right?, count: third? };
            Some((operation, OperandUse::ReadWrite))
        }
        (Mnemonic::Mul | Mnemonic::Imul, Operands::Memory) => {
            read(DataOperation::Multiply { signed: mnemonic == Mnemonic::Imul })
        }
        (Mnemonic::Imul, Operands::RegisterMemory(into)) => {
            let factor = third.unwrap_or(register) & width.mask();
            read(DataOperation::MultiplyInto { into: *into, factor })
        }
        (Mnemonic::Div | Mnemonic::Idiv, Operands::Memory) => {
            read(DataOperation::Divide { signed: mnemonic == Mnemonic::Idiv })
        }
        (Mnemonic::Cmpxchg8b, Operands::Memory) => {
            Some((DataOperation::CompareExchangePair, OperandUse::ReadWrite))
        }
        // A cache line of a device is not in any cache.
        (Mnemonic::Clflush | Mnemonic::Clflushopt | Mnemonic::Clwb, Operands::Memory) => {
            Some((DataOperation::Nothing, OperandUse::Nothing))
        }
        _ => None,
    }
}

fn shift(mnemonic: Mnemonic) -> Option<Shift> {
    Some(match mnemonic {
        Mnemonic::Shl | Mnemonic::Sal => Shift::Left,
        Mnemonic::Shr => Shift::Right,
        Mnemonic::Sar => Shift::RightSigned,
        Mnemonic::Rol => Shift::RotateLeft,
        Mnemonic::Ror => Shift::RotateRight,
        Mnemonic::Rcl => Shift::RotateCarryLeft,
        Mnemonic::Rcr => Shift::RotateCarryRight,
        _ => return None,
    })
}

fn count(mnemonic: Mnemonic) -> Option<Count> {
    Some(match mnemonic {
        Mnemonic::Popcnt => Count::Ones,
        Mnemonic::Tzcnt => Count::TrailingZeros,
        Mnemonic::Lzcnt => Count::LeadingZeros,
        Mnemonic::Bsf => Count::ScanForward,
        Mnemonic::Bsr => Count::ScanReverse,
        _ => return None,
    })
}

/// SETcc and CMOVcc in the order of their condition codes [SDM1 appendix B]: each second one is the opposite of the
/// one before.
const CONDITIONS: [(Mnemonic, Mnemonic); 16] = [
    (Mnemonic::Seto, Mnemonic::Cmovo),
    (Mnemonic::Setno, Mnemonic::Cmovno),
    (Mnemonic::Setb, Mnemonic::Cmovb),
    (Mnemonic::Setae, Mnemonic::Cmovae),
    (Mnemonic::Sete, Mnemonic::Cmove),
    (Mnemonic::Setne, Mnemonic::Cmovne),
    (Mnemonic::Setbe, Mnemonic::Cmovbe),
    (Mnemonic::Seta, Mnemonic::Cmova),
    (Mnemonic::Sets, Mnemonic::Cmovs),
    (Mnemonic::Setns, Mnemonic::Cmovns),
    (Mnemonic::Setp, Mnemonic::Cmovp),
    (Mnemonic::Setnp, Mnemonic::Cmovnp),
    (Mnemonic::Setl, Mnemonic::Cmovl),
    (Mnemonic::Setge, Mnemonic::Cmovge),
    (Mnemonic::Setle, Mnemonic::Cmovle),
    (Mnemonic::Setg, Mnemonic::Cmovg),
];

/// Whether the instruction is CMOVcc (true) or SETcc, and whether its condition holds.
fn condition(mnemonic: Mnemonic, flags: u64) -> Option<(bool, bool)> {
    let code = CONDITIONS.iter().position(|(set, moves)| [*set, *moves].contains(&mnemonic))?;
    let is = |flag| flags & flag != 0;
    let holds = match code >> 1 {
        0 => is(OF),
        1 => is(CF),
        2 => is(ZF),
        3 => is(CF) || is(ZF),
        4 => is(SF),
        5 => is(PF),
        6 => is(SF) != is(OF),
        _ => is(ZF) || is(SF) != is(OF),
    };
    Some((CONDITIONS[code].1 == mnemonic, holds != (code & 1 == 1)))
}
