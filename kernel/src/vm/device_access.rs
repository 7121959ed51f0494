//! A guest's instruction that touched a device: fetched, decoded, done.

use super::{StopReason, Vm, walk};
use crate::virt::dispatch::Action;
use crate::virt::exit::MemoryAccess;
use crate::virt::{Segment, VirtualCpu};
use base::{GuestMemory, GuestPhysical, Instant, Width};
use mmio::{CpuMode, Gpr, RegisterFile};

/// Longest instruction [SDM2A 2.3.11].
const LONGEST: usize = 15;
const PAGE: u64 = 4096;

/// A virtual processor's registers as the decoder asks for them.
struct View<'a, V>(&'a mut V);

impl<V: VirtualCpu> RegisterFile for View<'_, V> {
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
        self.0.rflags()
    }

    fn set_rflags(&mut self, rflags: u64) {
        self.0.set_rflags(rflags);
    }

    fn segment_base(&self, segment: mmio::Segment) -> u64 {
        self.0.segment(native(segment)).base
    }
}

fn native(segment: mmio::Segment) -> Segment {
    match segment {
        mmio::Segment::Es => Segment::Es,
        mmio::Segment::Cs => Segment::Cs,
        mmio::Segment::Ss => Segment::Ss,
        mmio::Segment::Ds => Segment::Ds,
        mmio::Segment::Fs => Segment::Fs,
        mmio::Segment::Gs => Segment::Gs,
    }
}

/// Does what the guest's instruction would have done to a device, or to nothing at all.
pub fn memory<V: VirtualCpu>(
    vm: &mut Vm<V>,
    at: GuestPhysical,
    access: MemoryAccess,
    operand: bool,
    now: Instant,
) -> Action {
    if !operand || access == MemoryAccess::Fetch {
        return Action::Stop(StopReason::NotMemory { at, access });
    }
    match emulate(vm, at, now) {
        Ok(()) => Action::Continue,
        Err(reason) => Action::Stop(reason),
    }
}

fn emulate<V: VirtualCpu>(vm: &mut Vm<V>, at: GuestPhysical, now: Instant) -> Result<(), StopReason> {
    let paging = vm.vcpu.paging();
    let mode = CpuMode::new(paging.efer & 1 << 10 != 0, paging.code_64, paging.code_32);
    let mut bytes = [0; LONGEST];
    let fetched = fetch(vm, mode, &mut bytes);
    let access = mmio::decode(fetched, mode, &View(&mut vm.vcpu)).map_err(|error| {
        let mut instruction = [0; LONGEST];
        instruction[..fetched.len()].copy_from_slice(fetched);
        StopReason::Instruction { at, error, bytes: instruction }
    })?;
    let width = access.width();
    // The faulting access is the one operand, unless there are two or it spans pages.
    let single = match (access.source(), access.destination()) {
        (Some(source), Some(destination)) => (source == destination).then_some(source),
        (source, destination) => source.or(destination),
    };
    let direct = single.filter(|linear| linear % PAGE == at.0 % PAGE && fits_page(*linear, width)).map(|_| at);
    let value = match (access.source(), direct) {
        (Some(_), Some(at)) => vm.memory_read(at, width, now),
        (Some(linear), None) => {
            read_linear(vm, linear, width, now).ok_or(StopReason::Unmapped { linear })?
        }
        (None, _) => 0,
    };
    // Nothing may fail once registers have changed.
    if let (Some(linear), None) = (access.destination(), direct) {
        translate(vm, linear).ok_or(StopReason::Unmapped { linear })?;
    }
    let written = access.complete(value, &mut View(&mut vm.vcpu));
    match (written, access.destination(), direct) {
        (Some(value), Some(_), Some(at)) => vm.memory_write(at, width, value, now),
        (Some(value), Some(linear), None) => {
            write_linear(vm, linear, width, value, now).ok_or(StopReason::Unmapped { linear })?;
        }
        _ => {}
    }
    Ok(())
}

fn fits_page(linear: u64, width: Width) -> bool {
    linear % PAGE + width.bytes() as u64 <= PAGE
}

fn translate<V: VirtualCpu>(vm: &Vm<V>, linear: u64) -> Option<GuestPhysical> {
    walk::translate(&vm.memory, &vm.vcpu.paging(), linear)
}

/// The bytes at the instruction pointer, as many as can be read.
pub fn fetch<'a, V: VirtualCpu>(vm: &Vm<V>, mode: CpuMode, into: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let rip = vm.vcpu.rip();
    let linear = match mode {
        CpuMode::Bits64 => rip,
        CpuMode::Bits16 | CpuMode::Bits32 => vm.vcpu.segment(Segment::Cs).base.wrapping_add(rip) & 0xffff_ffff,
    };
    let in_page = (PAGE - linear % PAGE).min(LONGEST as u64) as usize;
    let mut known = 0;
    for (start, end) in [(0, in_page), (in_page, LONGEST)] {
        let from = translate(vm, linear.wrapping_add(start as u64));
        match from.map(|at| vm.memory.read(at, &mut into[start..end])) {
            Some(Ok(())) => known = end,
            _ => break,
        }
    }
    &into[..known]
}

/// Reads memory or a device at a linear address; `None` when it is not mapped.
pub fn read_linear<V: VirtualCpu>(vm: &mut Vm<V>, linear: u64, width: Width, now: Instant) -> Option<u64> {
    if fits_page(linear, width) {
        let at = translate(vm, linear)?;
        return Some(vm.memory_read(at, width, now));
    }
    let mut value = 0;
    for index in 0..width.bytes() as u64 {
        let at = translate(vm, linear.wrapping_add(index))?;
        value |= vm.memory_read(at, Width::Byte, now) << (8 * index);
    }
    Some(value)
}

/// Writes memory or a device at a linear address; `None`, and nothing written, when it is not mapped.
pub fn write_linear<V: VirtualCpu>(
    vm: &mut Vm<V>,
    linear: u64,
    width: Width,
    value: u64,
    now: Instant,
) -> Option<()> {
    let last = linear.wrapping_add(width.bytes() as u64 - 1);
    let (first, _) = (translate(vm, linear)?, translate(vm, last)?);
    if fits_page(linear, width) {
        vm.memory_write(first, width, value, now);
        return Some(());
    }
    for index in 0..width.bytes() as u64 {
        let at = translate(vm, linear.wrapping_add(index))?;
        vm.memory_write(at, Width::Byte, value >> (8 * index) & 0xff, now);
    }
    Some(())
}
