//! Decodes and emulates an instruction of the guest that accessed a device or an unmapped address.

use super::context::{ExitContext, PAGE};
use super::dispatch::Action;
use super::operand::{OperandFault, OperandSpan, fits_page};
use crate::virt::exit::{DIVIDE_ERROR, GENERAL_PROTECTION, INVALID_OPCODE, InjectedEvent, MemoryAccess};
use crate::virt::state::control_registers::RFlags;
use crate::virt::{SegmentRegister, VirtualCpu};
use crate::vm::Vm;
use crate::vm::life::StopReason;
use base::{GuestPhysical, Instant, Width};
use mmio::{AccessFault, DecodeError, Gpr, RegisterFile, Vector, WideAccess};
use platform::guest_paging::PageWalkAccess;

/// The B bit of a stack segment, in the layout of access rights [SDM3C 25.4.1].
const RIGHTS_BIG: u32 = 1 << 14;

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

    fn stack_width(&self) -> Width {
        let big = self.0.segment(SegmentRegister::Ss).rights & RIGHTS_BIG != 0;
        if big { Width::Dword } else { Width::Word }
    }

    fn vector(&mut self, number: u8) -> Vector {
        self.0.vector(number)
    }

    fn set_vector(&mut self, number: u8, value: Vector) {
        self.0.set_vector(number, &value);
    }
}

/// Why an instruction was not completed: an exception of the guest's own.
pub(super) enum Incomplete {
    /// Its tables do not allow an operand.
    Page(OperandFault),
    /// The instruction raises it for this operand.
    Exception(InjectedEvent),
    /// Weir cannot tell what the instruction does.
    Undecoded(DecodeError),
}

impl From<OperandFault> for Incomplete {
    fn from(fault: OperandFault) -> Self {
        Self::Page(fault)
    }
}

impl From<DecodeError> for Incomplete {
    fn from(error: DecodeError) -> Self {
        Self::Undecoded(error)
    }
}

impl From<AccessFault> for Incomplete {
    fn from(fault: AccessFault) -> Self {
        Self::Exception(match fault {
            AccessFault::Divide => DIVIDE_ERROR,
            AccessFault::GeneralProtection => GENERAL_PROTECTION,
        })
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
    if operand && access == MemoryAccess::Fetch && context.is_user(&vm.vcpu.cpu) {
        // A program that jumps into a device which its kernel has mapped for it ends no more than itself.
        vm.vcpu.raise(GENERAL_PROTECTION);
        return Action::Continue;
    }
    if !operand || access == MemoryAccess::Fetch {
        return Action::Stop(StopReason::NotMemory { at, access });
    }
    context.take_code(&vm.vcpu.cpu);
    match emulate(vm, context, at, now) {
        Ok(()) => Action::Continue,
        Err(incomplete) => fault(vm, context, incomplete),
    }
}

/// The guest gets its exception and goes on.
pub(super) fn fault<V: VirtualCpu>(
    vm: &mut Vm<V>,
    context: &mut ExitContext,
    incomplete: Incomplete,
) -> Action {
    match incomplete {
        Incomplete::Page(fault) => vm.vcpu.raise_page_fault(fault.linear, fault.code),
        Incomplete::Exception(event) => vm.vcpu.raise(event),
        Incomplete::Undecoded(error) => refuse(vm, context, error),
    }
    Action::Continue
}

/// Raises an exception for an instruction that cannot be emulated: a process with a mapped device, or a driver with
/// an odd idea, does not end its guest. What the processor has and Weir does not emulate is #GP, which any memory
/// operand can raise; it cannot be #UD. What is no instruction has been changed since the processor executed it.
fn refuse<V: VirtualCpu>(vm: &mut Vm<V>, context: &mut ExitContext, error: DecodeError) {
    vm.statistics.refused += 1;
    if vm.statistics.refused == 1 {
        let (name, bytes) = (&vm.identity.name, context.code(vm));
        log::warn!("{name}: {error}; instruction bytes {bytes:02x?}; the guest gets an exception");
    }
    match error {
        DecodeError::Truncated(known) => {
            let linear = context.code_address(&vm.vcpu.cpu).wrapping_add(known as u64);
            let code = PageWalkAccess { write: false, user: context.is_user(&vm.vcpu.cpu) }.fault();
            vm.vcpu.raise_page_fault(linear, code);
        }
        DecodeError::Invalid => vm.vcpu.raise(INVALID_OPCODE),
        DecodeError::Unsupported(_) | DecodeError::UnsupportedVex => vm.vcpu.raise(GENERAL_PROTECTION),
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
    let Ok(access) = vm.vcpu.decoder.decode(code, mode, &DecoderRegisters(&mut vm.vcpu.cpu)) else {
        let access = mmio::wide::decode(code, mode, &DecoderRegisters(&mut vm.vcpu.cpu))?;
        return emulate_wide(vm, context, access, now);
    };
    let width = access.width();
    // The faulting access is the one operand, unless there are two or it spans pages.
    let single = match (access.source(), access.second(), access.destination()) {
        (Some(source), None, Some(destination)) => (source == destination).then_some(source),
        (source, None, destination) => source.or(destination),
        _ => None,
    };
    let direct = single.is_some_and(|linear| linear % PAGE == at.0 % PAGE && fits_page(linear, width));
    if direct {
        let value = if access.source().is_some() { vm.device_read(at, width, now) } else { 0 };
        if let Some(value) = access.complete(value, &mut DecoderRegisters(&mut vm.vcpu.cpu))? {
            vm.device_write(at, width, value, now);
        }
        return Ok(());
    }
    // Nothing may fail once a device was read or a register has changed: all operands are found first.
    let mut find = |linear, write| OperandSpan::find(vm, context, linear, width, write);
    let source = access.source().map(|linear| find(linear, false)).transpose()?;
    let second = access.second().map(|linear| find(linear, false)).transpose()?;
    let destination = access.destination().map(|linear| find(linear, true)).transpose()?;
    let value = source.map_or(0, |span| span.read(vm, now));
    let access = second.map_or(access, |span| access.with_second(span.read(vm, now)));
    let written = access.complete(value, &mut DecoderRegisters(&mut vm.vcpu.cpu))?;
    if let (Some(value), Some(span)) = (written, destination) {
        span.write(vm, value, now);
    }
    Ok(())
}

/// The same for an operand of up to 32 bytes, in pieces of 8.
fn emulate_wide<V: VirtualCpu>(
    vm: &mut Vm<V>,
    context: &mut ExitContext,
    access: WideAccess,
    now: Instant,
) -> Result<(), Incomplete> {
    let mut spans: heapless::Vec<_, 4> = heapless::Vec::new();
    for (linear, offset, width) in access.pieces() {
        let span = OperandSpan::find(vm, context, linear, width, access.writes())?;
        // There are at most four.
        let _ = spans.push((span, offset, width.bytes()));
    }
    let mut read = Vector::default();
    if access.reads() {
        for (span, offset, bytes) in &spans {
            let value = span.read(vm, now).to_le_bytes();
            read[*offset..offset + bytes].copy_from_slice(&value[..*bytes]);
        }
    }
    if let Some(written) = access.complete(&read, &mut DecoderRegisters(&mut vm.vcpu.cpu)) {
        for (span, offset, bytes) in spans {
            let mut value = [0; 8];
            value[..bytes].copy_from_slice(&written[offset..offset + bytes]);
            span.write(vm, u64::from_le_bytes(value), now);
        }
    }
    Ok(())
}
