//! Which flags an instruction defines, by its page in [SDM2].

use iced_x86::{Instruction, Mnemonic, OpKind};
use testkit::FakeRegisters;

/// CF, PF, AF, ZF, SF and OF.
pub const STATUS: u64 = 0x8d5;
const CF: u64 = 1 << 0;
const AF: u64 = 1 << 4;
const ZF: u64 = 1 << 6;
const OF: u64 = 1 << 11;

/// The status flags that are defined after an instruction with these registers.
pub fn defined(instruction: &Instruction, registers: &FakeRegisters) -> u64 {
    use Mnemonic::{And, Bsf, Bsr, Bt, Btc, Btr, Bts, Div, Idiv, Imul, Mul, Or, Test, Xor};
    use Mnemonic::{Rcl, Rcr, Rol, Ror, Sal, Sar, Shl, Shld, Shr, Shrd};
    let bits = 8 * instruction.memory_size().size() as u64;
    let count = shift_count(instruction, registers);
    match instruction.mnemonic() {
        And | Or | Xor | Test => STATUS & !AF,
        Bt | Bts | Btr | Btc => CF | ZF,
        Mul | Imul => CF | OF,
        Div | Idiv => 0,
        Bsf | Bsr => ZF,
        Shl | Sal | Shr | Sar | Rol | Ror | Rcl | Rcr | Shld | Shrd if count == 0 => STATUS,
        Rol | Ror | Rcl | Rcr if count == 1 => STATUS,
        Rol | Ror | Rcl | Rcr => STATUS & !OF,
        Shl | Sal | Shr | Sar | Shld | Shrd if count == 1 => STATUS & !AF,
        Shl | Sal | Shr | Sar | Shld | Shrd if count >= bits => STATUS & !(AF | OF | CF),
        Shl | Sal | Shr | Sar | Shld | Shrd => STATUS & !(AF | OF),
        _ => STATUS,
    }
}

/// The count of a shift; it is the last operand.
pub fn shift_count(instruction: &Instruction, registers: &FakeRegisters) -> u64 {
    let last = instruction.op_count().saturating_sub(1);
    let count = match instruction.op_kind(last) {
        OpKind::Register => registers.gprs[1],
        _ => instruction.try_immediate(last).unwrap_or(0),
    };
    count & if instruction.memory_size().size() == 8 { 0x3f } else { 0x1f }
}
