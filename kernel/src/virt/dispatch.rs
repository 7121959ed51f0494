//! What is done about each exit: one match, no default.

use crate::virt::VirtualCpu;
use crate::virt::complete::complete;
use crate::virt::exit::{
    ControlOperation, Event, Exit, GENERAL_PROTECTION, INVALID_OPCODE, PortAccess, StringOperand,
};
use crate::virt::registers::{RAX, RCX, RDI, RDX, RSI};
use crate::vm::device_access::{self, StringElement};
use crate::vm::{StopReason, Vm};
use base::{Instant, Width};

/// What comes after an exit.
#[derive(Debug)]
pub enum Action {
    /// The guest runs on, or waits: its state says.
    Continue,
    /// The guest cannot run on.
    Stop(StopReason),
}

/// Works on an exit. Never panics, whatever the guest did.
pub fn dispatch<V: VirtualCpu>(vm: &mut Vm<V>, exit: Exit, now: Instant) -> Action {
    vm.note_exit(&exit, now);
    let exit = match complete(vm, exit) {
        Ok(exit) => exit,
        Err(reason) => return Action::Stop(reason),
    };
    match exit {
        Exit::HostInterrupt | Exit::Timer | Exit::InterruptWindow | Exit::NmiWindow => Action::Continue,
        Exit::Memory { at, access, operand } => device_access::memory(vm, at, access, operand, now),
        Exit::Port { access, length } => port(vm, &access, length, now),
        Exit::ReadMsr { length } => {
            match vm.read_msr(vm.vcpu.general(RCX) as u32, now) {
                Some(value) => {
                    vm.vcpu.set_general(RAX, value & 0xffff_ffff);
                    vm.vcpu.set_general(RDX, value >> 32);
                    advance(vm, length);
                }
                None => vm.raise(GENERAL_PROTECTION),
            }
            Action::Continue
        }
        Exit::WriteMsr { length } => {
            let index = vm.vcpu.general(RCX) as u32;
            if vm.write_msr(index, edx_eax(vm), now) {
                advance(vm, length)
            } else {
                vm.raise(GENERAL_PROTECTION)
            }
            Action::Continue
        }
        Exit::Cpuid { length } => {
            vm.cpuid();
            advance(vm, length);
            Action::Continue
        }
        Exit::Halt { length } => {
            advance(vm, length);
            vm.halt();
            Action::Continue
        }
        Exit::Pause { length } | Exit::CacheFlush { length } => {
            advance(vm, length);
            Action::Continue
        }
        Exit::Control { register, operation, length } => {
            if control(vm, register, operation) {
                advance(vm, length)
            } else {
                vm.raise(GENERAL_PROTECTION)
            }
            Action::Continue
        }
        Exit::SetXcr { length } => {
            let value = edx_eax(vm);
            // Only XCR0 exists, and only for CPL 0: SVM exits before the processor has checked that.
            let user = device_access::is_user(vm);
            if !user && vm.vcpu.general(RCX) as u32 == 0 && vm.vcpu.write_xcr0(value) {
                advance(vm, length);
            } else {
                vm.raise(GENERAL_PROTECTION);
            }
            Action::Continue
        }
        Exit::NotOffered => {
            vm.raise(INVALID_OPCODE);
            Action::Continue
        }
        Exit::Exception { vector, error } => {
            vm.raise(Event::Exception { vector, error });
            Action::Continue
        }
        Exit::MachineCheck => Action::Stop(StopReason::MachineCheck),
        Exit::TripleFault => Action::Stop(StopReason::TripleFault),
        Exit::InvalidState { reason } => Action::Stop(StopReason::InvalidState { reason }),
        Exit::Unexpected { reason, qualification } => {
            Action::Stop(StopReason::UnexpectedExit { reason, qualification })
        }
    }
}

fn advance<V: VirtualCpu>(vm: &mut Vm<V>, length: u8) {
    let rip = vm.vcpu.rip().wrapping_add(length.into());
    vm.vcpu.set_rip(device_access::code_mode(vm).wrap_instruction_pointer(rip));
}

fn edx_eax<V: VirtualCpu>(vm: &Vm<V>) -> u64 {
    vm.vcpu.general(RDX) << 32 | vm.vcpu.general(RAX) & 0xffff_ffff
}

/// Replaces the part of `old` that an operand of this width names; 32-bit results clear the upper half
/// [SDM1 3.4.1.1].
fn merge(old: u64, new: u64, width: Width) -> u64 {
    match width {
        Width::Dword | Width::Qword => new & width.mask(),
        Width::Byte | Width::Word => old & !width.mask() | new & width.mask(),
    }
}

fn port<V: VirtualCpu>(vm: &mut Vm<V>, access: &PortAccess, length: u8, now: Instant) -> Action {
    if let Some(string) = access.string {
        return string_port(vm, access, string, length, now);
    }
    if access.input {
        let value = vm.port_read(access.port, access.width, now);
        vm.vcpu.set_general(RAX, merge(vm.vcpu.general(RAX), value.into(), access.width));
    } else {
        let value = vm.vcpu.general(RAX) & access.width.mask();
        vm.port_write(access.port, access.width, value as u32, now);
    }
    advance(vm, length);
    Action::Continue
}

/// One element of INS or OUTS; a repeated one exits again for the next, and takes interrupts in between.
fn string_port<V: VirtualCpu>(
    vm: &mut Vm<V>,
    access: &PortAccess,
    string: StringOperand,
    length: u8,
    now: Instant,
) -> Action {
    const DIRECTION: u64 = 1 << 10;
    let mask = string.address.mask();
    let count = vm.vcpu.general(RCX) & mask;
    if string.repeated && count == 0 {
        advance(vm, length);
        return Action::Continue;
    }
    let width = access.width;
    let element = string.linear.and_then(|linear| StringElement::find(vm, linear, width, access.input));
    let Some(element) = element else {
        return Action::Continue; // the guest gets a page fault
    };
    if access.input {
        let value = vm.port_read(access.port, width, now);
        element.write(vm, value.into(), now);
    } else {
        let value = element.read(vm, now);
        vm.port_write(access.port, width, value as u32, now);
    }
    let step = width.bytes() as u64;
    let step = if vm.vcpu.rflags() & DIRECTION != 0 { step.wrapping_neg() } else { step };
    let index = if access.input { RDI } else { RSI };
    let next = vm.vcpu.general(index).wrapping_add(step);
    vm.vcpu.set_general(index, merge(vm.vcpu.general(index), next, string.address));
    if string.repeated {
        vm.vcpu.set_general(RCX, merge(vm.vcpu.general(RCX), count - 1, string.address));
    }
    if !string.repeated || count == 1 {
        advance(vm, length);
    }
    Action::Continue
}

fn control<V: VirtualCpu>(vm: &mut Vm<V>, register: u8, operation: ControlOperation) -> bool {
    const TASK_SWITCHED: u64 = 1 << 3;
    match (register, operation) {
        // CR8 is bits 7:4 of the task-priority register [SDM3A 11.8.6].
        (8, ControlOperation::Write(from)) => vm.set_task_priority(vm.vcpu.general(from.into())),
        (8, ControlOperation::Read(into)) => {
            let priority = vm.task_priority();
            vm.vcpu.set_general(into.into(), priority);
            true
        }
        (_, ControlOperation::Write(from)) => {
            let value = vm.vcpu.general(from.into());
            vm.vcpu.write_control(register, value)
        }
        (0, ControlOperation::ClearTaskSwitched) => {
            let cr0 = vm.vcpu.paging().cr0;
            vm.vcpu.write_control(0, cr0 & !TASK_SWITCHED)
        }
        // LMSW writes bits 3:0, and cannot clear PE [SDM2A LMSW].
        (0, ControlOperation::LoadMachineStatus(value)) => {
            let cr0 = vm.vcpu.paging().cr0;
            vm.vcpu.write_control(0, cr0 & !0xe | u64::from(value & 0xf))
        }
        (_, ControlOperation::Read(into)) => match vm.vcpu.read_control(register) {
            Some(value) => {
                vm.vcpu.set_general(into.into(), value);
                true
            }
            None => false,
        },
        (
            _,
            ControlOperation::ClearTaskSwitched
            | ControlOperation::LoadMachineStatus(_)
            | ControlOperation::Undecoded,
        ) => false,
    }
}
