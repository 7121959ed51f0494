//! Why an instruction could not be decoded.

use iced_x86::Mnemonic;

/// Why an instruction could not be decoded. The guest that executed it cannot continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The instruction is longer than the available bytes, which end at a page that could not be read.
    #[error("the instruction does not end within its {0} known bytes")]
    Truncated(usize),
    /// The bytes are not an instruction in this mode, or they use an encoding that is not supported here (VEX,
    /// EVEX, XOP, 3DNow!). In the first case, the guest changed its code after the processor executed it.
    #[error("the bytes are no instruction, or one with an encoding that is not emulated")]
    Invalid,
    /// The instruction has no memory operand, or its operation on memory is not emulated: vector and x87 moves,
    /// multiplication, shifts, stack and control transfers.
    #[error("accesses by {0:?} are not emulated")]
    Unsupported(Mnemonic),
}
