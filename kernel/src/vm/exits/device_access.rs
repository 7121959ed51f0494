//! Decodes and emulates an instruction of the guest that accessed a device or an unmapped address.

use super::context::{ExitContext, PAGE, padded};
use super::dispatch::Action;
use super::operand::{OperandFault, OperandSpan, fits_page};
use crate::virt::exit::MemoryAccess;
use crate::virt::state::control_registers::RFlags;
use crate::virt::{SegmentRegister, VirtualCpu};
use crate::vm::Vm;
use crate::vm::life::StopReason;
use base::{GuestPhysical, Instant};
use mmio::{Gpr, RegisterFile};

/// A virtual processor's registers as the decoder accesses them.
pub(super) struct DecoderRegisters<'a, V>(pub(super) &'a mut V);

impl<V: VirtualCpu> RegisterFile for DecoderRegisters<'_, V> {
    fn get(&self, register: Gpr) -> u64 {
        self.0.general(register.index())
    }

    fn set(&mut self, register: Gpr, value: u64) {
        self.0.set_general(register.index(), value);
    }

    fn rip(&self) -> u64 {
        self.0.rip()
    }

    fn set_rip(&mut self, rip: u64) {
        self.0.set_rip(rip);
    }

    fn rflags(&self) -> u64 {
        self.0.rflags().bits()
    }

    fn set_rflags(&mut self, rflags: u64) {
        self.0.set_rflags(RFlags::from_bits_retain(rflags));
    }

    fn segment_base(&self, segment: SegmentRegister) -> u64 {
        self.0.segment_base(segment)
    }
}

/// Why an instruction was not completed.
enum Incomplete {
    Fault(OperandFault),
    /// The guest must stop.
    Stop(StopReason),
}

impl From<OperandFault> for Incomplete {
    fn from(fault: OperandFault) -> Self {
        Self::Fault(fault)
    }
}

/// Emulates the instruction that accessed memory which nested paging does not map.
pub(super) fn memory<V: VirtualCpu>(
    vm: &mut Vm<V>,
    context: &mut ExitContext,
    at: GuestPhysical,
    access: MemoryAccess,
    operand: bool,
    now: Instant,
) -> Action {
    if !operand || access == MemoryAccess::Fetch {
        return Action::Stop(StopReason::NotMemory { at, access });
    }
    context.take_code(&vm.vcpu.cpu);
    match emulate(vm, context, at, now) {
        Ok(()) => Action::Continue,
        Err(Incomplete::Fault(fault)) => {
            vm.vcpu.raise_page_fault(fault.linear, fault.code);
            Action::Continue
        }
        Err(Incomplete::Stop(reason)) => Action::Stop(reason),
    }
}

fn emulate<V: VirtualCpu>(
    vm: &mut Vm<V>,
    context: &mut ExitContext,
    at: GuestPhysical,
    now: Instant,
) -> Result<(), Incomplete> {
    let mode = context.mode(&vm.vcpu.cpu);
    let code = context.code(vm);
    let access = mmio::decode(code, mode, &DecoderRegisters(&mut vm.vcpu.cpu))
        .map_err(|error| Incomplete::Stop(StopReason::Instruction { at, error, bytes: padded(code) }))?;
    let width = access.width();
    // The faulting access is the one operand, unless there are two or it spans pages.
    let single = match (access.source(), access.destination()) {
        (Some(source), Some(destination)) => (source == destination).then_some(source),
        (source, destination) => source.or(destination),
    };
    let direct = single.is_some_and(|linear| linear % PAGE == at.0 % PAGE && fits_page(linear, width));
    if direct {
        let value = if access.source().is_some() { vm.memory_read(at, width, now) } else { 0 };
        if let Some(value) = access.complete(value, &mut DecoderRegisters(&mut vm.vcpu.cpu)) {
            vm.memory_write(at, width, value, now);
        }
        return Ok(());
    }
    // Nothing may fail once a device was read or a register has changed: both operands are found first.
    let mut find = |linear, write| OperandSpan::find(vm, context, linear, width, write);
    let source = access.source().map(|linear| find(linear, false)).transpose()?;
    let destination = access.destination().map(|linear| find(linear, true)).transpose()?;
    let value = source.map_or(0, |span| span.read(vm, now));
    let written = access.complete(value, &mut DecoderRegisters(&mut vm.vcpu.cpu));
    if let (Some(value), Some(span)) = (written, destination) {
        span.write(vm, value, now);
    }
    Ok(())
}
