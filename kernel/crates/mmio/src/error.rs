//! Why an instruction could not be decoded.

use iced_x86::Mnemonic;

/// Why an instruction could not be decoded. What becomes of the guest is the caller's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The instruction is longer than the available bytes, which end at a page that could not be read.
    #[error("the instruction does not end within its {0} known bytes")]
    Truncated(usize),
    /// The bytes are not an instruction in this mode, or they use an encoding that is not supported here (VEX other
    /// than of moves, EVEX, XOP, 3DNow!). In the first case, the guest changed its code after the processor executed
    /// it.
    #[error("the bytes are no instruction, or one with an encoding that is not emulated")]
    Invalid,
    /// The instruction has no memory operand, or its operation on memory is not emulated: x87, arithmetic of vectors,
    /// far transfers of control, and what else no driver does to a device.
    #[error("accesses by {0:?} are not emulated")]
    Unsupported(Mnemonic),
    /// The same for an instruction with VEX, whose names the decoder does not know.
    #[error("accesses by a vector instruction other than a move are not emulated")]
    UnsupportedVex,
}

/// An exception that the instruction raises when its operand is known. Nothing has been written and no register has
/// changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessFault {
    /// #DE: a divisor of zero, or a quotient that is too large [SDM2A DIV].
    Divide,
    /// #GP(0): a jump to an address that is not canonical [SDM2A JMP].
    GeneralProtection,
}
