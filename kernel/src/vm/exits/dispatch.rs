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
use silicon::machine_check::{Consequence, Interrupted};

/// How long a guest that has locked the bus does not run: a bus lock takes about 1 us from every core, so all of a
/// guest's together take at most about a thousandth.
const BUS_LOCK_PAUSE: Duration = Duration::from_millis(1);
/// The instruction INT3.
const INT3: u8 = 0xcc;

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
    vm.vcpu.statistics.count(exit.kind());
    vm.follow_task_priority();
    history::record(vm.identity.number, now, vm.vcpu.cpu.rip(), exit);
    if vm.vcpu.cpu.has_locked_bus() {
        vm.held = Some(now + BUS_LOCK_PAUSE);
    }
    let context = &mut ExitContext::default();
    // Only SVM without next-RIP and decode assists omits something.
    let exit = if exit.is_complete() {
        exit
    } else {
        match complete(vm, context, exit, now) {
            Ok(Some(exit)) => exit,
            Ok(None) => return Action::Continue,
            Err(incomplete) => return device_access::fault(vm, context, incomplete),
        }
    };
    match exit {
        Exit::HostInterrupt | Exit::Timer | Exit::InterruptWindow | Exit::NmiWindow | Exit::BusLock => {}
        Exit::Memory { at, access, operand } => {
            return device_access::memory(vm, context, at, access, operand, now);
        }
        Exit::Port { access, length } => return port_access::port(vm, context, &access, length, now),
        Exit::ReadMsr(length) => {
            let value = vm.read_msr(vm.vcpu.general_32(RCX), now);
            if let Some(value) = value {
                vm.vcpu.cpu.set_general(RAX, value & 0xffff_ffff);
                vm.vcpu.cpu.set_general(RDX, value >> 32);
            }
            finish(vm, context, length, value.is_some());
        }
        Exit::WriteMsr(length) => {
            let done = vm.write_msr(vm.vcpu.general_32(RCX), vm.vcpu.edx_eax(), now);
            finish(vm, context, length, done);
        }
        Exit::Cpuid(length) => {
            vm.cpuid();
            advance(vm, context, length);
        }
        Exit::Halt(length) => {
            advance(vm, context, length);
            vm.halt();
        }
        Exit::Pause(length) | Exit::CacheFlush(length) => advance(vm, context, length),
        Exit::Control { register, operation, length } => {
            // The mode of the instruction counts, which it may be about to change.
            context.mode(&vm.vcpu.cpu);
            let done = control_access::control(vm, register, operation);
            finish(vm, context, length, done);
        }
        // SVM exits before the processor has checked any of this: #UD comes first [SDM2D XSETBV].
        Exit::SetXcr(_) if !vm.vcpu.cpu.cr4().contains(Cr4Flags::OSXSAVE) => vm.vcpu.raise(INVALID_OPCODE),
        Exit::SetXcr(length) => {
            // Only XCR0 exists, and only for CPL 0.
            let allowed = !context.is_user(&vm.vcpu.cpu) && vm.vcpu.general_32(RCX) == 0;
            let done = allowed && vm.vcpu.cpu.write_xcr0(vm.vcpu.edx_eax());
            finish(vm, context, length, done);
        }
        Exit::NotOffered => vm.vcpu.raise(INVALID_OPCODE),
        Exit::Exception(event) => vm.vcpu.raise(event),
        Exit::TaskSwitch => return Action::Stop(StopReason::TaskSwitch),
        Exit::MachineCheck => match machine_check::take(Interrupted::Guest) {
            Consequence::GoOn => {}
            Consequence::StopProgram => return Action::Stop(StopReason::MachineCheck),
            Consequence::StopMachine => panic!("the machine may be wrong after a machine check"),
        },
        // A breakpoint without a handler is the last resort of systems that reset a PC; anything else is a crash.
        Exit::TripleFault if context.code(vm).first() == Some(&INT3) => {
            return Action::Stop(StopReason::Reset);
        }
        Exit::TripleFault => return Action::Stop(StopReason::TripleFault),
        Exit::InvalidState { reason } => return Action::Stop(StopReason::InvalidState { reason }),
        Exit::Unexpected { reason, qualification } => {
            return Action::Stop(StopReason::UnexpectedExit { reason, qualification });
        }
    }
    Action::Continue
}

/// Steps over the instruction that exited if it is `done`; otherwise it raises #GP.
fn finish<V: VirtualCpu>(vm: &mut Vm<V>, context: &mut ExitContext, length: u8, done: bool) {
    if done { advance(vm, context, length) } else { vm.vcpu.raise(GENERAL_PROTECTION) }
}

/// Steps over the instruction that exited.
pub(super) fn advance<V: VirtualCpu>(vm: &mut Vm<V>, context: &mut ExitContext, length: u8) {
    let mode = context.mode(&vm.vcpu.cpu);
    vm.vcpu.advance(length, mode);
}
