//! Instructions that exit for another reason than a touch of memory, on processors that do not tell what they
//! were: length, control-register access, operand of INS and OUTS.

use crate::decode::{instruction, string_linear};
use crate::{CpuMode, DecodeError, Gpr, RegisterFile};
use iced_x86::{Mnemonic, Register};

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
}

/// The length in bytes of the instruction at the beginning of `bytes`, at most 15.
///
/// # Errors
/// [`DecodeError`] when there is no such instruction.
pub fn length(bytes: &[u8], mode: CpuMode) -> Result<u8, DecodeError> {
    // The usual encodings of what exits often, the same in all modes: HLT, RDMSR, WRMSR, CPUID.
    match bytes {
        [0xf4, ..] => Ok(1),
        [0x0f, 0x30 | 0x32 | 0xa2, ..] => Ok(2),
        _ => instruction(bytes, mode, 0).map(|instruction| instruction.len() as u8),
    }
}

/// The access to a control register that the instruction at the beginning of `bytes` makes.
///
/// # Errors
/// [`DecodeError`] when it makes none, or LMSW takes its value from memory.
pub fn control(
    bytes: &[u8],
    mode: CpuMode,
    registers: &impl RegisterFile,
) -> Result<ControlAccess, DecodeError> {
    let instruction = instruction(bytes, mode, 0)?;
    let unsupported = DecodeError::Unsupported(instruction.mnemonic());
    let (first, second) = (instruction.op0_register(), instruction.op1_register());
    match instruction.mnemonic() {
        Mnemonic::Clts => Ok(ControlAccess::ClearTaskSwitched),
        Mnemonic::Lmsw => {
            let from = Gpr::containing(first).ok_or(unsupported)?;
            Ok(ControlAccess::LoadMachineStatus(registers.get(from) as u16))
        }
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

/// The linear address of the memory operand of the INS or OUTS at the beginning of `bytes`.
///
/// # Errors
/// [`DecodeError`] when it is neither.
pub fn port_string(bytes: &[u8], mode: CpuMode, registers: &impl RegisterFile) -> Result<u64, DecodeError> {
    let instruction = instruction(bytes, mode, 0)?;
    let operand = match instruction.mnemonic() {
        Mnemonic::Insb | Mnemonic::Insw | Mnemonic::Insd => 0,
        Mnemonic::Outsb | Mnemonic::Outsw | Mnemonic::Outsd => 1,
        other => return Err(DecodeError::Unsupported(other)),
    };
    Ok(string_linear(&instruction, operand, mode, registers))
}

fn control_number(register: Register) -> Option<u8> {
    let number = (register as usize).checked_sub(Register::CR0 as usize)?;
    (number < 16).then_some(number as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Segment;
    use CpuMode::{Bits16, Bits32, Bits64};

    struct Registers;

    impl RegisterFile for Registers {
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
        fn segment_base(&self, segment: Segment) -> u64 {
            0x1000_0000 * (segment as u64 + 1)
        }
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
    fn moves_to_and_from_control_registers_name_both() {
        let write = ControlAccess::Write { control: 4, from: Gpr::Rbx };
        assert_eq!(control(&[0x0f, 0x22, 0xe3], Bits64, &Registers), Ok(write));
        let read = ControlAccess::Read { control: 8, into: Gpr::R9 };
        assert_eq!(control(&[0x45, 0x0f, 0x20, 0xc1], Bits64, &Registers), Ok(read));
        // AMD's other encoding of CR8, for code outside 64-bit mode: LOCK MOV CR0 [APM3 MOV CRn].
        let write = ControlAccess::Write { control: 8, from: Gpr::Rax };
        assert_eq!(control(&[0xf0, 0x0f, 0x22, 0xc0], Bits32, &Registers), Ok(write));
    }

    #[test]
    fn clts_and_lmsw_are_told_from_moves() {
        assert_eq!(control(&[0x0f, 0x06], Bits16, &Registers), Ok(ControlAccess::ClearTaskSwitched));
        let loaded = ControlAccess::LoadMachineStatus(0x21);
        assert_eq!(control(&[0x0f, 0x01, 0xf2], Bits32, &Registers), Ok(loaded));
        let in_memory = Err(DecodeError::Unsupported(Mnemonic::Lmsw));
        assert_eq!(control(&[0x0f, 0x01, 0x30], Bits32, &Registers), in_memory);
        assert!(control(&[0x90], Bits32, &Registers).is_err());
    }

    #[test]
    fn operands_of_port_strings_are_found() {
        assert_eq!(port_string(&[0x6c], Bits64, &Registers), Ok(0x8_0021), "INS: RDI");
        assert_eq!(port_string(&[0xf3, 0x6e], Bits32, &Registers), Ok(0x4007_0021), "OUTS: DS:ESI");
        assert_eq!(port_string(&[0x65, 0x6f], Bits64, &Registers), Ok(0x6007_0021), "OUTS: GS:RSI");
        assert_eq!(port_string(&[0x6d], Bits16, &Registers), Ok(0x1000_0021), "INS: ES:DI");
        assert!(port_string(&[0xa4], Bits64, &Registers).is_err());
    }
}
