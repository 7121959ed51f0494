//! IN, OUT, INS and OUTS by the guest.

use super::context::ExitContext;
use super::dispatch::{Action, advance};
use super::operand::OperandSpan;
use crate::virt::VirtualCpu;
use crate::virt::exit::{PortAccess, StringOperand};
use crate::virt::state::control_registers::RFlags;
use crate::virt::state::registers::{RAX, RCX, RDI, RSI};
use crate::vm::Vm;
use base::bits::low_u32;
use base::{Instant, Width};

/// Replaces the part of `old` that an operand of this width covers; 32-bit results clear the upper half
/// [SDM1 3.4.1.1].
fn merge(old: u64, new: u64, width: Width) -> u64 {
    match width {
        Width::Dword | Width::Qword => new & width.mask(),
        Width::Byte | Width::Word => old & !width.mask() | new & width.mask(),
    }
}

/// Completes IN, OUT, INS or OUTS.
pub(super) fn port<V: VirtualCpu>(
    vm: &mut Vm<V>,
    context: &mut ExitContext,
    access: &PortAccess,
    length: u8,
    now: Instant,
) -> Action {
    if let Some(string) = access.string {
        return string_port(vm, context, access, string, length, now);
    }
    if access.input {
        let value = vm.port_read(access.port, access.width, now);
        vm.vcpu.cpu.set_general(RAX, merge(vm.vcpu.cpu.general(RAX), value.into(), access.width));
    } else {
        let value = vm.vcpu.cpu.general(RAX) & access.width.mask();
        vm.port_write(access.port, access.width, low_u32(value), now);
    }
    advance(vm, context, length);
    Action::Continue
}

/// One element of INS or OUTS. A repeated instruction exits again for each further element, with interrupts taken
/// before it.
fn string_port<V: VirtualCpu>(
    vm: &mut Vm<V>,
    context: &mut ExitContext,
    access: &PortAccess,
    string: StringOperand,
    length: u8,
    now: Instant,
) -> Action {
    let mask = string.address.mask();
    let count = vm.vcpu.cpu.general(RCX) & mask;
    if string.repeated && count == 0 {
        advance(vm, context, length);
        return Action::Continue;
    }
    let width = access.width;
    // `complete` has filled in the address; without it there is nothing to access.
    let Some(linear) = string.linear else { return Action::Continue };
    let element = match OperandSpan::find(vm, context, linear, width, access.input) {
        Ok(element) => element,
        Err(fault) => {
            vm.vcpu.raise_page_fault(fault.linear, fault.code);
            return Action::Continue;
        }
    };
    if access.input {
        let value = vm.port_read(access.port, width, now);
        element.write(vm, value.into(), now);
    } else {
        let value = element.read(vm, now);
        vm.port_write(access.port, width, low_u32(value), now);
    }
    let step = width.bytes() as u64;
    let down = vm.vcpu.cpu.rflags().contains(RFlags::DIRECTION_FLAG);
    let step = if down { step.wrapping_neg() } else { step };
    let index = if access.input { RDI } else { RSI };
    let next = vm.vcpu.cpu.general(index).wrapping_add(step);
    vm.vcpu.cpu.set_general(index, merge(vm.vcpu.cpu.general(index), next, string.address));
    if string.repeated {
        vm.vcpu.cpu.set_general(RCX, merge(vm.vcpu.cpu.general(RCX), count - 1, string.address));
    }
    if !string.repeated || count == 1 {
        advance(vm, context, length);
    }
    Action::Continue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_result_keeps_the_rest_of_the_register_but_one_of_32_bits_clears_it() {
        let (old, new) = (0x1111_2222_3333_4444, 0xaaaa_bbbb_cccc_dddd);
        assert_eq!(merge(old, new, Width::Byte), 0x1111_2222_3333_44dd);
        assert_eq!(merge(old, new, Width::Word), 0x1111_2222_3333_dddd);
        assert_eq!(merge(old, new, Width::Dword), 0xcccc_dddd);
        assert_eq!(merge(old, new, Width::Qword), new);
    }
}
