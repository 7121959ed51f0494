//! The one place where an exit is dispatched: one match, no default.

use super::complete::complete;
use super::context::ExitContext;
use super::{control_access, device_access, history, port_access};
use crate::hardware::machine_check;
use crate::virt::VirtualCpu;
use crate::virt::exit::{Exit, GENERAL_PROTECTION, INVALID_OPCODE};
use crate::virt::state::control_registers::Cr4Flags;
use crate::virt::state::registers::{RAX, RCX, RDX};
use crate::vm::Vm;
use crate::vm::life::StopReason;
use base::{Duration, Instant};
use silicon::machine_check::Verdict;

/// How long a guest that has locked the bus does not run: a bus lock takes about 1 us from every core, so all of a
/// guest's together take at most about a thousandth.
const BUS_LOCK_PAUSE: Duration = Duration::from_millis(1);

/// What to do after an exit.
#[derive(Debug)]
pub enum Action {
    /// The guest continues, or waits if it is idle.
    Continue,
    /// The guest must stop.
    Stop(StopReason),
}

/// Handles an exit. Never panics, whatever the guest did.
pub fn dispatch<V: VirtualCpu>(vm: &mut Vm<V>, exit: Exit, now: Instant) -> Action {
    vm.vcpu.statistics.count(&exit);
    history::record(vm.identity.number, now, vm.vcpu.cpu.rip(), exit);
    let context = &mut ExitContext::default();
    // Only SVM without next-RIP and decode assists omits something.
    let exit = if exit.is_complete() {
        exit
    } else {
        match complete(vm, context, exit) {
            Ok(exit) => exit,
            Err(reason) => return Action::Stop(reason),
        }
    };
    match exit {
        Exit::HostInterrupt | Exit::Timer | Exit::InterruptWindow | Exit::NmiWindow => Action::Continue,
        Exit::Memory { at, access, operand } => device_access::memory(vm, context, at, access, operand, now),
        Exit::Port { access, length } => port_access::port(vm, context, &access, length, now),
        Exit::ReadMsr { length } => {
            match vm.read_msr(vm.vcpu.general_32(RCX), now) {
                Some(value) => {
                    vm.vcpu.cpu.set_general(RAX, value & 0xffff_ffff);
                    vm.vcpu.cpu.set_general(RDX, value >> 32);
                    advance(vm, context, length);
                }
                None => vm.vcpu.raise(GENERAL_PROTECTION),
            }
            Action::Continue
        }
        Exit::WriteMsr { length } => {
            if vm.write_msr(vm.vcpu.general_32(RCX), vm.vcpu.edx_eax(), now) {
                advance(vm, context, length)
            } else {
                vm.vcpu.raise(GENERAL_PROTECTION)
            }
            Action::Continue
        }
        Exit::Cpuid { length } => {
            vm.cpuid();
            advance(vm, context, length);
            Action::Continue
        }
        Exit::Halt { length } => {
            advance(vm, context, length);
            vm.halt();
            Action::Continue
        }
        Exit::Pause { length } | Exit::CacheFlush { length } => {
            advance(vm, context, length);
            Action::Continue
        }
        Exit::Control { register, operation, length } => {
            // The mode of the instruction counts, which it may be about to change.
            context.mode(&vm.vcpu.cpu);
            if control_access::control(vm, register, operation) {
                advance(vm, context, length)
            } else {
                vm.vcpu.raise(GENERAL_PROTECTION)
            }
            Action::Continue
        }
        Exit::SetXcr { length } => {
            // SVM exits before the processor has checked any of this: #UD comes first [SDM2D XSETBV]. Only XCR0 exists,
            // and only for CPL 0.
            if !vm.vcpu.cpu.cr4().contains(Cr4Flags::OSXSAVE) {
                vm.vcpu.raise(INVALID_OPCODE);
            } else if !context.is_user(&vm.vcpu.cpu)
                && vm.vcpu.general_32(RCX) == 0
                && vm.vcpu.cpu.write_xcr0(vm.vcpu.edx_eax())
            {
                advance(vm, context, length);
            } else {
                vm.vcpu.raise(GENERAL_PROTECTION);
            }
            Action::Continue
        }
        Exit::NotOffered => {
            vm.vcpu.raise(INVALID_OPCODE);
            Action::Continue
        }
        Exit::Exception(event) => {
            vm.vcpu.raise(event);
            Action::Continue
        }
        Exit::BusLock => {
            vm.held = Some(now + BUS_LOCK_PAUSE);
            Action::Continue
        }
        Exit::TaskSwitch => Action::Stop(StopReason::TaskSwitch),
        Exit::MachineCheck => match machine_check::take() {
            Verdict::GoOn => Action::Continue,
            Verdict::StopProgram => Action::Stop(StopReason::MachineCheck),
            Verdict::StopMachine => panic!("the machine may be wrong after a machine check"),
        },
        Exit::TripleFault => Action::Stop(StopReason::TripleFault),
        Exit::InvalidState { reason } => Action::Stop(StopReason::InvalidState { reason }),
        Exit::Unexpected { reason, qualification } => {
            Action::Stop(StopReason::UnexpectedExit { reason, qualification })
        }
    }
}

/// Steps over the instruction that exited.
pub(super) fn advance<V: VirtualCpu>(vm: &mut Vm<V>, context: &mut ExitContext, length: u8) {
    let mode = context.mode(&vm.vcpu.cpu);
    vm.vcpu.advance(length, mode);
}
