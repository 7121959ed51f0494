//! String instructions: MOVS, STOS, LODS, CMPS, SCAS [SDM1 7.3.9].

use crate::access::{AccessForm, DataOperation, StringStep};
use crate::alu::Binary;
use crate::decode::{DecodedInstruction, address_width, length};
use crate::register::RegisterPart;
use crate::{Gpr, RegisterFile, TrappedAccess};
use base::Width;
use iced_x86::Mnemonic;

/// What a string instruction does, and which of its operands it uses.
struct StringInstruction {
    operation: DataOperation,
    /// The operand that is read.
    source: Option<u32>,
    /// The operand that is written.
    destination: Option<u32>,
    uses_rsi: bool,
    uses_rdi: bool,
    /// REP looks at ZF.
    compares: bool,
}

impl<R: RegisterFile> DecodedInstruction<'_, R> {
    /// The access of a string instruction; `None` for other instructions.
    pub(crate) fn string(&self) -> Option<TrappedAccess> {
        let instruction = self.instruction;
        let address_width =
            address_width(instruction.op0_kind()).or_else(|| address_width(instruction.op1_kind()))?;
        let width = Width::from_bytes(instruction.memory_size().size())?;
        let mut string = self.kind(width)?;
        let repeated = instruction.has_rep_prefix() || instruction.has_repne_prefix();
        if repeated && RegisterPart::low(Gpr::Rcx, address_width).read(self.registers) == 0 {
            string.operation = DataOperation::Nothing;
        }
        let acts = string.operation != DataOperation::Nothing;
        let linear = |operand: Option<u32>| operand.filter(|_| acts).map(|operand| self.linear(operand, 0));
        Some(TrappedAccess {
            mode: self.mode,
            length: length(instruction),
            width,
            source: linear(string.source),
            destination: linear(string.destination),
            operation: string.operation,
            form: AccessForm::String(StringStep {
                address_width,
                uses_rsi: string.uses_rsi,
                uses_rdi: string.uses_rdi,
                repeated,
                while_zero: (repeated && string.compares).then(|| !instruction.has_repne_prefix()),
            }),
        })
    }

    fn kind(&self, width: Width) -> Option<StringInstruction> {
        let accumulator = RegisterPart::low(Gpr::Rax, width);
        let none = StringInstruction {
            operation: DataOperation::Nothing,
            source: None,
            destination: None,
            uses_rsi: false,
            uses_rdi: false,
            compares: false,
        };
        Some(match self.instruction.mnemonic() {
            Mnemonic::Movsb | Mnemonic::Movsw | Mnemonic::Movsd | Mnemonic::Movsq => StringInstruction {
                operation: DataOperation::Copy,
                source: Some(1),
                destination: Some(0),
                uses_rsi: true,
                uses_rdi: true,
                ..none
            },
            Mnemonic::Stosb | Mnemonic::Stosw | Mnemonic::Stosd | Mnemonic::Stosq => StringInstruction {
                operation: DataOperation::Store { value: accumulator.read(self.registers) },
                destination: Some(0),
                uses_rdi: true,
                ..none
            },
            Mnemonic::Lodsb | Mnemonic::Lodsw | Mnemonic::Lodsd | Mnemonic::Lodsq => StringInstruction {
                operation: DataOperation::Load { into: accumulator, signed: false },
                source: Some(1),
                uses_rsi: true,
                ..none
            },
            // The operand at RSI is the left one [SDM2A CMPS].
            Mnemonic::Cmpsb | Mnemonic::Cmpsw | Mnemonic::Cmpsd | Mnemonic::Cmpsq => StringInstruction {
                operation: DataOperation::CompareStrings { at: self.linear(1, 0), value: 0 },
                source: Some(0),
                uses_rsi: true,
                uses_rdi: true,
                compares: true,
                ..none
            },
            Mnemonic::Scasb | Mnemonic::Scasw | Mnemonic::Scasd | Mnemonic::Scasq => StringInstruction {
                operation: DataOperation::RegisterBinary {
                    operation: Binary::Sub,
                    left: accumulator,
                    keep: false,
                },
                source: Some(1),
                uses_rdi: true,
                compares: true,
                ..none
            },
            _ => return None,
        })
    }
}
