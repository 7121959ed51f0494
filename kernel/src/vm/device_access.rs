//! A guest's instruction that touched a device: fetched, decoded, done.

use super::walk::{Kind, PageFault};
use super::{StopReason, Vm, walk};
use crate::virt::dispatch::Action;
use crate::virt::exit::MemoryAccess;
use crate::virt::{SegmentRegister, VirtualCpu};
use base::{GuestMemory, GuestPhysical, Instant, Width};
use mmio::{CpuMode, Gpr, RegisterFile};

/// Longest instruction [SDM2A 2.3.11].
pub const LONGEST: usize = 15;
const PAGE: u64 = 4096;
const EFER_LMA: u64 = 1 << 10;

/// A virtual processor's registers as the decoder asks for them.
pub struct View<'a, V>(pub &'a mut V);

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

    fn segment_base(&self, segment: SegmentRegister) -> u64 {
        self.0.segment(segment).base
    }
}

/// The guest's tables do not allow an operand: it gets the fault.
struct Fault {
    linear: u64,
    code: u32,
}

/// Why an instruction was not completed.
enum Trouble {
    Fault(Fault),
    /// The guest cannot go on.
    Stop(StopReason),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
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
        Err(Trouble::Fault(fault)) => {
            vm.raise_page_fault(fault.linear, fault.code);
            Action::Continue
        }
        Err(Trouble::Stop(reason)) => Action::Stop(reason),
    }
}

fn emulate<V: VirtualCpu>(vm: &mut Vm<V>, at: GuestPhysical, now: Instant) -> Result<(), Trouble> {
    let mode = code_mode(vm);
    let mut bytes = [0; LONGEST];
    let told = vm.vcpu.instruction_bytes();
    let known = told.len().min(LONGEST);
    bytes[..known].copy_from_slice(&told[..known]);
    let known = if known == 0 { fetch(vm, &mut bytes).len() } else { known };
    let access = mmio::decode(&bytes[..known], mode, &View(&mut vm.vcpu))
        .map_err(|error| Trouble::Stop(StopReason::Instruction { at, error, bytes }))?;
    let width = access.width();
    // The faulting access is the one operand, unless there are two or it spans pages.
    let single = match (access.source(), access.destination()) {
        (Some(source), Some(destination)) => (source == destination).then_some(source),
        (source, destination) => source.or(destination),
    };
    let direct = single.is_some_and(|linear| linear % PAGE == at.0 % PAGE && fits_page(linear, width));
    if direct {
        let value = if access.source().is_some() { vm.memory_read(at, width, now) } else { 0 };
        if let Some(value) = access.complete(value, &mut View(&mut vm.vcpu)) {
            vm.memory_write(at, width, value, now);
        }
        return Ok(());
    }
    // Nothing may fail once a device was read or a register has changed: both operands are found first.
    let source = access.source().map(|linear| Span::find(vm, linear, width, false)).transpose()?;
    let destination = access.destination().map(|linear| Span::find(vm, linear, width, true)).transpose()?;
    let value = source.map_or(0, |span| span.read(vm, now));
    let written = access.complete(value, &mut View(&mut vm.vcpu));
    if let (Some(value), Some(span)) = (written, destination) {
        span.write(vm, value, now);
    }
    Ok(())
}

/// How the processor reads the guest's code.
pub fn code_mode<V: VirtualCpu>(vm: &Vm<V>) -> CpuMode {
    let paging = vm.vcpu.paging();
    CpuMode::new(paging.efer & EFER_LMA != 0, paging.code_64, paging.code_32)
}

/// True when the guest runs with user privilege: the DPL of SS [SDM3C 25.4.1].
pub fn is_user<V: VirtualCpu>(vm: &Vm<V>) -> bool {
    vm.vcpu.segment(SegmentRegister::Ss).rights >> 5 & 3 == 3
}

fn fits_page(linear: u64, width: Width) -> bool {
    linear % PAGE + width.bytes() as u64 <= PAGE
}

/// Where an operand lies: in one page, or at the end of one and the beginning of another.
#[derive(Clone, Copy)]
struct Span {
    first: GuestPhysical,
    /// Where the second page begins, and how many bytes are before it.
    second: Option<(GuestPhysical, usize)>,
    width: Width,
}

impl Span {
    fn find<V: VirtualCpu>(vm: &Vm<V>, linear: u64, width: Width, write: bool) -> Result<Self, Fault> {
        let user = is_user(vm);
        let paging = vm.vcpu.paging();
        let find = |linear| {
            walk::translate(&vm.memory, &paging, linear, Kind { write, user })
                .map_err(|PageFault(code)| Fault { linear, code })
        };
        let first = find(linear)?;
        let second = if fits_page(linear, width) {
            None
        } else {
            let before = PAGE - linear % PAGE;
            Some((find(linear.wrapping_add(before))?, before as usize))
        };
        Ok(Self { first, second, width })
    }

    /// Where each byte is.
    fn bytes(self, second: (GuestPhysical, usize)) -> impl Iterator<Item = GuestPhysical> {
        let (next, before) = second;
        (0..self.width.bytes()).map(move |index| {
            let (base, offset) = if index < before { (self.first, index) } else { (next, index - before) };
            GuestPhysical(base.0 + offset as u64)
        })
    }

    fn read<V: VirtualCpu>(self, vm: &mut Vm<V>, now: Instant) -> u64 {
        match self.second {
            None => vm.memory_read(self.first, self.width, now),
            Some(second) => self
                .bytes(second)
                .enumerate()
                .fold(0, |value, (index, at)| value | vm.memory_read(at, Width::Byte, now) << (8 * index)),
        }
    }

    fn write<V: VirtualCpu>(self, vm: &mut Vm<V>, value: u64, now: Instant) {
        match self.second {
            None => vm.memory_write(self.first, self.width, value, now),
            Some(second) => self.bytes(second).enumerate().for_each(|(index, at)| {
                vm.memory_write(at, Width::Byte, value >> (8 * index) & 0xff, now);
            }),
        }
    }
}

/// The bytes at the instruction pointer, as many as can be read.
pub fn fetch<'a, V: VirtualCpu>(vm: &Vm<V>, into: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let rip = vm.vcpu.rip();
    let linear = match code_mode(vm) {
        CpuMode::Bits64 => rip,
        CpuMode::Bits16 | CpuMode::Bits32 => {
            vm.vcpu.segment(SegmentRegister::Cs).base.wrapping_add(rip) & 0xffff_ffff
        }
    };
    let paging = vm.vcpu.paging();
    let in_page = (PAGE - linear % PAGE).min(LONGEST as u64) as usize;
    let mut known = 0;
    for (start, end) in [(0, in_page), (in_page, LONGEST)] {
        if start == end {
            break;
        }
        let at = walk::translate(&vm.memory, &paging, linear.wrapping_add(start as u64), Kind::ALLOWED);
        match at.map(|at| vm.memory.read(at, &mut into[start..end])) {
            Ok(Ok(())) => known = end,
            _ => break,
        }
    }
    &into[..known]
}

/// The memory operand of INS and OUTS, found before the port is touched.
pub struct StringElement(Span);

impl StringElement {
    /// Finds the element at `linear`; when the guest's tables do not allow it, the guest gets the fault.
    pub fn find<V: VirtualCpu>(vm: &mut Vm<V>, linear: u64, width: Width, write: bool) -> Option<Self> {
        match Span::find(vm, linear, width, write) {
            Ok(span) => Some(Self(span)),
            Err(fault) => {
                vm.raise_page_fault(fault.linear, fault.code);
                None
            }
        }
    }

    /// Its value.
    pub fn read<V: VirtualCpu>(&self, vm: &mut Vm<V>, now: Instant) -> u64 {
        self.0.read(vm, now)
    }

    /// Changes it.
    pub fn write<V: VirtualCpu>(&self, vm: &mut Vm<V>, value: u64, now: Instant) {
        self.0.write(vm, value, now);
    }
}
