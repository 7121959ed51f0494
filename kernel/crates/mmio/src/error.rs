//! Why an instruction could not be decoded.

use iced_x86::Mnemonic;

/// Why an instruction could not be decoded. The guest that executed it cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The instruction is longer than the bytes there are: they end at a page that could not be read.
    #[error("the instruction does not end within its {0} known bytes")]
    Truncated(usize),
    /// The bytes are no instruction of this mode, or one whose encoding (VEX, EVEX, XOP, 3DNow!) is not
    /// known here. In the first case the guest changed its code after the processor executed it.
    #[error("the bytes are no instruction, or one with an encoding that is not emulated")]
    Invalid,
    /// The instruction has no memory operand, or does to it what is not emulated: vector and x87 moves,
    /// multiplication, shifts, stack and control transfers.
    #[error("accesses by {0:?} are not emulated")]
    Unsupported(Mnemonic),
}
