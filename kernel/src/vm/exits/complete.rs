//! Completes exits of which the processor omits a part, by decoding the instruction: SVM without next-RIP and
//! decode assists [APM2 15.7.1, 15.8.4].

use super::context::{ExitContext, padded};
use super::device_access::DecoderRegisters;
use crate::virt::VirtualCpu;
use crate::virt::exit::{ControlOperation, Exit};
use crate::vm::Vm;
use crate::vm::life::StopReason;
use base::GuestPhysical;
use mmio::instruction::{self, ControlAccess};
use mmio::{DecodeError, RegisterFile};

/// Adds to an incomplete exit what the processor has omitted.
///
/// # Errors
/// The guest must stop: its instruction cannot be read again, or is a different one now.
pub(super) fn complete<V: VirtualCpu>(
    vm: &mut Vm<V>,
    context: &mut ExitContext,
    exit: Exit,
) -> Result<Exit, StopReason> {
    let mode = context.mode(&vm.vcpu.cpu);
    let code = context.code(vm);
    decode(exit, code, mode, &DecoderRegisters(&mut vm.vcpu.cpu)).map_err(|error| StopReason::Instruction {
        at: GuestPhysical(vm.vcpu.cpu.rip()),
        error,
        bytes: padded(code),
    })
}

fn decode(
    exit: Exit,
    bytes: &[u8],
    mode: mmio::CpuMode,
    registers: &impl RegisterFile,
) -> Result<Exit, DecodeError> {
    let mut exit = exit;
    if let Exit::Port { access, .. } = &mut exit
        && let Some(string) = &mut access.string
        && string.linear.is_none()
    {
        string.linear = Some(instruction::port_string(bytes, mode, registers)?);
    }
    if let Exit::Control { register, operation, .. } = &mut exit
        && *operation == ControlOperation::Undecoded
    {
        (*register, *operation) = match instruction::control(bytes, mode, registers)? {
            ControlAccess::Write { control, from } => (control, ControlOperation::Write(from as u8)),
            ControlAccess::Read { control, into } => (control, ControlOperation::Read(into as u8)),
            ControlAccess::ClearTaskSwitched => (0, ControlOperation::ClearTaskSwitched),
            ControlAccess::LoadMachineStatus(value) => (0, ControlOperation::LoadMachineStatus(value)),
        };
    }
    if let Some(length) = exit.length_mut()
        && *length == 0
    {
        *length = instruction::length(bytes, mode)?;
    }
    Ok(exit)
}
