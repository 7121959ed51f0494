//! Completes exits of which the processor omits a part, by decoding the instruction: SVM without next-RIP and
//! decode assists [APM2 15.7.1, 15.8.4].

use super::context::ExitContext;
use super::device_access::{DecoderRegisters, Incomplete};
use super::dispatch::advance;
use super::operand::OperandSpan;
use crate::virt::VirtualCpu;
use crate::virt::exit::{ControlOperation, Exit};
use crate::vm::Vm;
use base::bits::low_u16;
use base::{Instant, Width};
use mmio::instruction::{self, ControlAccess};

/// Adds to an incomplete exit what the processor has omitted. `None` if that was all there was to do.
///
/// # Errors
/// The exception of the guest's own that its instruction leads to.
pub(super) fn complete<V: VirtualCpu>(
    vm: &mut Vm<V>,
    context: &mut ExitContext,
    mut exit: Exit,
    now: Instant,
) -> Result<Option<Exit>, Incomplete> {
    let mode = context.mode(&vm.vcpu.cpu);
    let code = context.code(vm).clone();
    if let Exit::Port { access, .. } = &mut exit
        && let Some(string) = &mut access.string
        && string.linear.is_none()
    {
        string.linear = Some(instruction::port_string(&code, mode, &DecoderRegisters(&mut vm.vcpu.cpu))?);
    }
    if let Some(length) = exit.length_mut()
        && *length == 0
    {
        *length = instruction::length(&code, mode)?;
    }
    if let Exit::Control { register, operation, length } = &mut exit
        && *operation == ControlOperation::Undecoded
    {
        let access = instruction::control(&code, mode, &DecoderRegisters(&mut vm.vcpu.cpu))?;
        (*register, *operation) = match access {
            ControlAccess::Write { control, from } => (control, ControlOperation::Write(from as u8)),
            ControlAccess::Read { control, into } => (control, ControlOperation::Read(into as u8)),
            ControlAccess::ClearTaskSwitched => (0, ControlOperation::ClearTaskSwitched),
            ControlAccess::LoadMachineStatus(value) => (0, ControlOperation::LoadMachineStatus(value)),
            ControlAccess::LoadMachineStatusFrom(linear) => {
                let operand = OperandSpan::find(vm, context, linear, Width::Word, false)?;
                let value = low_u16(operand.read(vm, now));
                (0, ControlOperation::LoadMachineStatus(value))
            }
            ControlAccess::StoreMachineStatus { into, width } => {
                (0, ControlOperation::StoreMachineStatus(into as u8, width))
            }
            ControlAccess::StoreMachineStatusTo(linear) => {
                let operand = OperandSpan::find(vm, context, linear, Width::Word, true)?;
                operand.write(vm, vm.vcpu.cpu.cr0().bits() & Width::Word.mask(), now);
                advance(vm, context, *length);
                return Ok(None);
            }
        };
    }
    Ok(Some(exit))
}
