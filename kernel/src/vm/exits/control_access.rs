//! Accesses to control registers by the guest.

use crate::virt::VirtualCpu;
use crate::virt::exit::ControlOperation;
use crate::virt::state::control_registers::Cr0Flags;
use crate::vm::Vm;

/// Completes an access to a control register; false if it is not allowed: #GP.
pub(super) fn control<V: VirtualCpu>(vm: &mut Vm<V>, register: u8, operation: ControlOperation) -> bool {
    match (register, operation) {
        // CR8 is bits 7:4 of the task-priority register [SDM3A 11.8.6].
        (8, ControlOperation::Write(from)) => vm.set_task_priority(vm.vcpu.cpu.general(from.into())),
        (8, ControlOperation::Read(into)) => {
            let priority = vm.task_priority();
            vm.vcpu.cpu.set_general(into.into(), priority);
            true
        }
        (_, ControlOperation::Write(from)) => {
            let value = vm.vcpu.cpu.general(from.into());
            vm.vcpu.cpu.write_control(register, value)
        }
        (0, ControlOperation::ClearTaskSwitched) => {
            let cr0 = vm.vcpu.cpu.cr0() - Cr0Flags::TASK_SWITCHED;
            vm.vcpu.cpu.write_control(0, cr0.bits())
        }
        // LMSW writes bits 3:0, and cannot clear PE [SDM2A LMSW].
        (0, ControlOperation::LoadMachineStatus(value)) => {
            let cr0 = vm.vcpu.cpu.cr0().bits();
            vm.vcpu.cpu.write_control(0, cr0 & !0xe | u64::from(value & 0xf))
        }
        (_, ControlOperation::Read(into)) => match vm.vcpu.cpu.read_control(register) {
            Some(value) => {
                vm.vcpu.cpu.set_general(into.into(), value);
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
