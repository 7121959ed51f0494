//! Instructions that exit for other reasons than a memory access, on processors that do not report enough about
//! them: their length, the control-register access they make, the memory operand of INS and OUTS.

use crate::decode::{self, instruction, operand_linear};
use crate::register::RegisterPart;
use crate::{CpuMode, DecodeError, Gpr, RegisterFile};
use base::Width;
use iced_x86::{Instruction, Mnemonic, Register};

/// What an instruction does to a control register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlAccess {
    /// MOV from a general-purpose register.
    Write {
        /// Number of the control register.
        control: u8,
        /// The source.
        from: Gpr,
    },
    /// MOV into a general-purpose register.
    Read {
        /// Number of the control register.
        control: u8,
        /// The destination.
        into: Gpr,
    },
    /// CLTS.
    ClearTaskSwitched,
    /// LMSW with this value.
    LoadMachineStatus(u16),
    /// LMSW with the 16 bits at this linear address.
    LoadMachineStatusFrom(u64),
    /// SMSW into a general-purpose register, of which it writes this width.
    StoreMachineStatus {
        /// The destination.
        into: Gpr,
        /// 16, 32 or 64 bits.
        width: Width,
    },
    /// SMSW, which writes 16 bits to this linear address.
    StoreMachineStatusTo(u64),
}

/// The length in bytes of the instruction at the beginning of `bytes`, at most 15.
///
/// # Errors
/// [`DecodeError`] when the bytes are not an instruction.
pub fn length(bytes: &[u8], mode: CpuMode) -> Result<u8, DecodeError> {
    // The usual encodings of frequent exits, which are the same in all modes: HLT, RDMSR, WRMSR, CPUID.
    match bytes {
        [0xf4, ..] => Ok(1),
        [0x0f, 0x30 | 0x32 | 0xa2, ..] => Ok(2),
        _ => instruction(bytes, mode, 0).map(|instruction| decode::length(&instruction)),
    }
}

/// The control-register access of the instruction at the beginning of `bytes`.
///
/// # Errors
/// [`DecodeError`] when it makes none.
pub fn control(
    bytes: &[u8],
    mode: CpuMode,
    registers: &impl RegisterFile,
) -> Result<ControlAccess, DecodeError> {
    let instruction = instruction(bytes, mode, registers.rip())?;
    let unsupported = DecodeError::Unsupported(instruction.mnemonic());
    let (first, second) = (instruction.op0_register(), instruction.op1_register());
    match instruction.mnemonic() {
        Mnemonic::Clts => Ok(ControlAccess::ClearTaskSwitched),
        Mnemonic::Lmsw => Ok(match Gpr::containing(first) {
            Some(from) => ControlAccess::LoadMachineStatus((registers.get(from) & 0xffff) as u16),
            None => ControlAccess::LoadMachineStatusFrom(memory_operand(&instruction, mode, registers)),
        }),
        Mnemonic::Smsw => Ok(match RegisterPart::of(first) {
            Some(into) => ControlAccess::StoreMachineStatus { into: into.gpr, width: into.width },
            None => ControlAccess::StoreMachineStatusTo(memory_operand(&instruction, mode, registers)),
        }),
        Mnemonic::Mov => match (control_number(first), control_number(second)) {
            (Some(control), None) => {
                Gpr::containing(second).map(|from| ControlAccess::Write { control, from })
            }
            (None, Some(control)) => Gpr::containing(first).map(|into| ControlAccess::Read { control, into }),
            _ => None,
        }
        .ok_or(unsupported),
        _ => Err(unsupported),
    }
}

/// The linear address of the only operand, which is in memory.
fn memory_operand(instruction: &Instruction, mode: CpuMode, registers: &impl RegisterFile) -> u64 {
    operand_linear(instruction, 0, mode, registers)
}

/// The linear address of the memory operand of the INS or OUTS at the beginning of `bytes`.
///
/// # Errors
/// [`DecodeError`] when it is neither INS nor OUTS.
pub fn port_string(bytes: &[u8], mode: CpuMode, registers: &impl RegisterFile) -> Result<u64, DecodeError> {
    let instruction = instruction(bytes, mode, 0)?;
    let operand = match instruction.mnemonic() {
        Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => 0,
        Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => 1,
        other => return Err(DecodeError::Unsupported(other)),
    };
    Ok(operand_linear(&instruction, operand, mode, registers))
}

/// The number of a control register, or `None` when `register` is of another kind.
fn control_number(register: Register) -> Option<u8> {
    let number = (register as usize).checked_sub(Register::CR0 as usize)?;
    u8::try_from(number).ok().filter(|number| *number < 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SegmentRegister;
    use CpuMode::{Bits16, Bits32, Bits64};

    struct FixedRegisters;

    impl RegisterFile for FixedRegisters {
        fn get(&self, register: Gpr) -> u64 {
            0x1_0000 * (register.index() as u64 + 1) + 0x21
        }
        fn set(&mut self, _: Gpr, _: u64) {}
        fn rip(&self) -> u64 {
            0
        }
        fn set_rip(&mut self, _: u64) {}
        fn rflags(&self) -> u64 {
            2
        }
        fn set_rflags(&mut self, _: u64) {}
        fn segment_base(&self, segment: SegmentRegister) -> u64 {
            0x1000_0000 * (segment as u64 + 1)
        }
        fn vector(&mut self, _: u8) -> crate::Vector {
            [0; 32]
        }
        fn set_vector(&mut self, _: u8, _: crate::Vector) {}
    }

    #[test]
    fn lengths_count_prefixes() {
        for (bytes, bits) in [
            (&[0xf4][..], 1),
            (&[0x66, 0xf4], 2),
            (&[0x0f, 0xa2], 2),
            (&[0xf3, 0x48, 0x0f, 0x30], 4),
            (&[0x0f, 0x01, 0xd1], 3),
            (&[0xf3, 0x90], 2),
            (&[0x0f, 0x09], 2),
            (&[0x0f, 0x08], 2),
        ] {
            assert_eq!(length(bytes, Bits64), Ok(bits), "{bytes:x?}");
        }
        assert_eq!(length(&[0x0f], Bits64), Err(DecodeError::Truncated(1)));
        assert_eq!(length(&[], Bits64), Err(DecodeError::Truncated(0)));
    }

    #[test]
    fn moves_to_and_from_control_registers_name_both_registers() {
        let write = ControlAccess::Write { control: 4, from: Gpr::Rbx };
        assert_eq!(control(&[0x0f, 0x22, 0xe3], Bits64, &FixedRegisters), Ok(write));
        let read = ControlAccess::Read { control: 8, into: Gpr::R9 };
        assert_eq!(control(&[0x45, 0x0f, 0x20, 0xc1], Bits64, &FixedRegisters), Ok(read));
        // AMD's other encoding of CR8, for code outside 64-bit mode: LOCK MOV CR0 [APM3 MOV CRn].
        let write = ControlAccess::Write { control: 8, from: Gpr::Rax };
        assert_eq!(control(&[0xf0, 0x0f, 0x22, 0xc0], Bits32, &FixedRegisters), Ok(write));
    }

    #[test]
    fn clts_lmsw_and_smsw_are_distinguished_from_moves() {
        assert_eq!(control(&[0x0f, 0x06], Bits16, &FixedRegisters), Ok(ControlAccess::ClearTaskSwitched));
        let loaded = ControlAccess::LoadMachineStatus(0x21);
        assert_eq!(control(&[0x0f, 0x01, 0xf2], Bits32, &FixedRegisters), Ok(loaded));
        // lmsw [eax]; smsw ax, ebx and rcx; smsw [eax]
        let loaded = ControlAccess::LoadMachineStatusFrom(0x4001_0021);
        assert_eq!(control(&[0x0f, 0x01, 0x30], Bits32, &FixedRegisters), Ok(loaded));
        for (code, into, width) in [
            (&[0x66, 0x0f, 0x01, 0xe0][..], Gpr::Rax, Width::Word),
            (&[0x0f, 0x01, 0xe3], Gpr::Rbx, Width::Dword),
            (&[0x48, 0x0f, 0x01, 0xe1], Gpr::Rcx, Width::Qword),
        ] {
            let stored = ControlAccess::StoreMachineStatus { into, width };
            assert_eq!(control(code, Bits64, &FixedRegisters), Ok(stored));
        }
        let stored = ControlAccess::StoreMachineStatusTo(0x4001_0021);
        assert_eq!(control(&[0x0f, 0x01, 0x20], Bits32, &FixedRegisters), Ok(stored));
        assert!(control(&[0x90], Bits32, &FixedRegisters).is_err());
    }

    #[test]
    fn memory_operands_of_ins_and_outs_are_found() {
        assert_eq!(port_string(&[0x6c], Bits64, &FixedRegisters), Ok(0x8_0021), "INS: RDI");
        assert_eq!(port_string(&[0xf3, 0x6e], Bits32, &FixedRegisters), Ok(0x4007_0021), "OUTS: DS:ESI");
        assert_eq!(port_string(&[0x65, 0x6f], Bits64, &FixedRegisters), Ok(0x6007_0021), "OUTS: GS:RSI");
        assert_eq!(port_string(&[0x6d], Bits16, &FixedRegisters), Ok(0x1000_0021), "INS: ES:DI");
        assert!(port_string(&[0xa4], Bits64, &FixedRegisters).is_err());
    }
}
