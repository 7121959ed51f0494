//! PUSH, POP, CALL and JMP with an operand in memory [SDM2A CALL, JMP; SDM2B POP, PUSH].

use crate::access::{AccessForm, DataOperation};
use crate::decode::{DecodedInstruction, length};
use crate::register::RegisterPart;
use crate::{CpuMode, Gpr, RegisterFile, TrappedAccess};
use base::Width;
use iced_x86::{Mnemonic, OpKind, Register};

impl<R: RegisterFile> DecodedInstruction<'_, R> {
    /// The access of an instruction that moves its memory operand to or from the stack, or jumps to it; `None` for
    /// other instructions. Far calls and jumps have operands of other sizes.
    pub(crate) fn stack(&self) -> Option<TrappedAccess> {
        let instruction = self.instruction;
        if instruction.op_count() != 1 || instruction.op0_kind() != OpKind::Memory {
            return None;
        }
        let width = Width::from_bytes(instruction.memory_size().size())?;
        let bytes = width.bytes() as u64;
        let pointer = RegisterPart::low(Gpr::Rsp, self.stack_width());
        let top = pointer.read(self.registers);
        let mask = pointer.width.mask();
        let (pushed, popped) = (top.wrapping_sub(bytes) & mask, top.wrapping_add(bytes) & mask);
        let operand = Some(self.linear(0, 0));
        let (source, destination, operation, value) = match instruction.mnemonic() {
            Mnemonic::Push => (operand, Some(self.on_stack(pushed)), DataOperation::Copy, pushed),
            Mnemonic::Pop => {
                let after = DecodedInstruction { popped: bytes, ..*self };
                (Some(self.on_stack(top)), Some(after.linear(0, 0)), DataOperation::Copy, popped)
            }
            Mnemonic::Call => {
                let back = self.mode.wrap_instruction_pointer(
                    self.registers.rip().wrapping_add(u64::from(length(instruction))),
                );
                (operand, Some(self.on_stack(pushed)), DataOperation::Call { back }, pushed)
            }
            Mnemonic::Jmp => (operand, None, DataOperation::Jump, top),
            _ => return None,
        };
        Some(TrappedAccess {
            mode: self.mode,
            length: length(instruction),
            width,
            source,
            destination,
            operation,
            form: AccessForm::Stack { pointer, value },
        })
    }

    fn stack_width(&self) -> Width {
        if self.mode == CpuMode::Bits64 { Width::Qword } else { self.registers.stack_width() }
    }

    /// The linear address of this stack pointer.
    fn on_stack(&self, pointer: u64) -> u64 {
        self.mode.wrap_linear(self.segment_base(Register::SS).wrapping_add(pointer))
    }
}
