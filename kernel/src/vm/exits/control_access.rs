//! Accesses to control registers by the guest.

use crate::virt::exit::ControlOperation;
use crate::virt::state::control_registers::{Cr0Flags, loads_pdptes, pdptes_are_valid};
use crate::virt::{VirtualCpu, offer};
use crate::vm::Vm;
use base::{GuestMemory, GuestPhysical, Width};

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
            write(vm, register, value)
        }
        (0, ControlOperation::ClearTaskSwitched) => {
            let cr0 = vm.vcpu.cpu.cr0() - Cr0Flags::TASK_SWITCHED;
            vm.vcpu.cpu.write_control(0, cr0.bits())
        }
        // LMSW writes bits 3:0, and cannot clear PE [SDM2A LMSW].
        (0, ControlOperation::LoadMachineStatus(value)) => {
            let cr0 = vm.vcpu.cpu.cr0().bits();
            write(vm, 0, cr0 & !0xe | u64::from(value & 0xf))
        }
        // SMSW stores bits 15:0, or as much of CR0 as the register holds [SDM2B SMSW].
        (0, ControlOperation::StoreMachineStatus(into, width)) => {
            let kept =
                if width == Width::Word { vm.vcpu.cpu.general(into.into()) & !width.mask() } else { 0 };
            vm.vcpu.cpu.set_general(into.into(), kept | vm.vcpu.cpu.cr0().bits() & width.mask());
            true
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
            | ControlOperation::StoreMachineStatus(..)
            | ControlOperation::Undecoded,
        ) => false,
    }
}

/// Completes a write of CR0 or CR4, with the page-directory-pointer entries that it makes the processor read.
fn write<V: VirtualCpu>(vm: &mut Vm<V>, register: u8, value: u64) -> bool {
    let old = vm.vcpu.cpu.paging();
    if !loads_pdptes(&old, register, value) {
        return vm.vcpu.cpu.write_control(register, value);
    }
    // Where there is no memory, all bits read as ones.
    let mut bytes = [0xff; 32];
    let _ = vm.memory.read(GuestPhysical(old.cr3 & 0xffff_ffe0), &mut bytes);
    let (entries, _) = bytes.as_chunks();
    let entries = core::array::from_fn(|index| u64::from_le_bytes(entries[index]));
    let valid = pdptes_are_valid(entries, offer::host_msrs().physical_bits);
    if valid && vm.vcpu.cpu.write_control(register, value) {
        vm.vcpu.cpu.set_pdptes(entries);
        return true;
    }
    false
}
