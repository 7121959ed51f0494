//! A virtual processor for tests on the host: registers in a structure, and counts of what was read of it.

use super::state::control_registers::{Cr0Flags, Cr4Flags, EferFlags, RFlags};
use super::{Exit, InstructionBytes, Paging, SegmentRegister, SegmentState, VirtError, VirtualCpu, VmEntry};
use crate::memory::PageFrames;
use core::cell::Cell;
use core::fmt;
use mmio::{CpuMode, Vector};
use nested_paging::{Ept, NestedPages, PageSize};
use platform::boot::EntryState;

/// Base of every segment.
pub const SEGMENT_BASE: u64 = 0x1_0000;
/// The one MSR that it holds itself: IA32_PAT.
pub const OWN_MSR: u32 = 0x277;

/// Reads of code mode, privilege, paging and instruction bytes, which cost a VMREAD or more each.
pub type ReadCounts = [Cell<u32>; 4];

/// A virtual processor that executes nothing.
// More than 12 fields: each is one thing that a test sets or looks at.
pub struct FakeCpu {
    pub general: [u64; 16],
    pub rip: u64,
    pub rflags: RFlags,
    pub paging: Paging,
    pub mode: CpuMode,
    pub user: bool,
    pub bytes: InstructionBytes,
    pub cr2: u64,
    pub msr: u64,
    pub nmi_ready: bool,
    pub task_priority: Option<u8>,
    pub locked_bus: bool,
    pub pdptes: [u64; 4],
    pub reads: ReadCounts,
    pub vectors: [Vector; 16],
}

impl FakeCpu {
    /// 64-bit code at address 0 with supervisor privilege, without paging.
    pub fn new() -> Self {
        Self {
            general: [0; 16],
            rip: 0,
            rflags: RFlags::from_bits_retain(2),
            paging: Paging {
                cr0: Cr0Flags::empty(),
                cr3: 0,
                cr4: Cr4Flags::empty(),
                efer: EferFlags::empty(),
            },
            mode: CpuMode::Bits64,
            user: false,
            bytes: InstructionBytes::new(),
            cr2: 0,
            msr: 0,
            nmi_ready: true,
            task_priority: None,
            locked_bus: false,
            pdptes: [0; 4],
            reads: ReadCounts::default(),
            vectors: [[0; 32]; 16],
        }
    }

    /// Switches 32-bit paging on, with its page directory at `cr3`.
    pub fn page_through(&mut self, cr3: u64) {
        self.paging.cr0 |= Cr0Flags::PAGING | Cr0Flags::PROTECTED_MODE_ENABLE;
        self.paging.cr3 = cr3;
    }
}

/// Returns what was read at `place` of the counts.
fn counted<T>(cpu: &FakeCpu, place: usize, part: T) -> T {
    cpu.reads[place].update(|count| count + 1);
    part
}

impl VirtualCpu for FakeCpu {
    type Tables = Ept;

    fn enter_operation(_: &mut PageFrames) -> Result<(), VirtError> {
        Ok(())
    }

    fn new(_: &mut PageFrames, _: u16, _: &NestedPages<Ept>, _: Cr4Flags) -> Result<Self, VirtError> {
        Ok(Self::new())
    }

    fn reset(&mut self) {
        *self = Self::new();
    }

    fn leave_core(&mut self) {}

    fn enter_core(&mut self) {}

    fn largest_page() -> PageSize {
        PageSize::Size4KiB
    }

    fn activate(&mut self) {}

    fn deactivate(&mut self) {}

    fn enter(&mut self, _: VmEntry) -> Exit {
        Exit::Timer
    }

    fn task_priority(&self) -> Option<u8> {
        self.task_priority
    }

    fn general(&self, number: usize) -> u64 {
        self.general[number]
    }

    fn set_general(&mut self, number: usize, value: u64) {
        self.general[number] = value;
    }

    fn rip(&self) -> u64 {
        self.rip
    }

    fn set_rip(&mut self, rip: u64) {
        self.rip = rip;
    }

    fn rflags(&self) -> RFlags {
        self.rflags
    }

    fn set_rflags(&mut self, value: RFlags) {
        self.rflags = value;
    }

    fn has_locked_bus(&self) -> bool {
        self.locked_bus
    }

    fn paging(&self) -> Paging {
        counted(self, 2, self.paging)
    }

    fn code_mode(&self) -> CpuMode {
        counted(self, 0, self.mode)
    }

    fn is_user(&self) -> bool {
        counted(self, 1, self.user)
    }

    fn segment_base(&self, _: SegmentRegister) -> u64 {
        SEGMENT_BASE
    }

    fn segment(&self, _: SegmentRegister) -> SegmentState {
        SegmentState { selector: 0, base: SEGMENT_BASE, limit: u32::MAX, rights: 0 }
    }

    fn interruptible(&self) -> bool {
        self.rflags.contains(RFlags::INTERRUPT_FLAG)
    }

    fn nmi_ready(&self) -> bool {
        self.nmi_ready
    }

    fn set_boot_state(&mut self, state: &EntryState) {
        self.rip = state.rip;
    }

    fn read_msr(&self, index: u32) -> Option<u64> {
        (index == OWN_MSR).then_some(self.msr)
    }

    fn write_msr(&mut self, index: u32, value: u64) -> bool {
        if index == OWN_MSR {
            self.msr = value;
        }
        index == OWN_MSR
    }

    fn set_cr2(&mut self, linear: u64) {
        self.cr2 = linear;
    }

    fn move_tsc(&mut self, _: u64) {}

    /// Takes CR0, whose PE says here how code is read.
    fn write_control(&mut self, register: u8, value: u64) -> bool {
        self.paging.cr0 = Cr0Flags::from_bits_retain(value);
        if !self.paging.cr0.contains(Cr0Flags::PROTECTED_MODE_ENABLE) {
            self.mode = CpuMode::Bits16;
        }
        register == 0
    }

    fn set_pdptes(&mut self, entries: [u64; 4]) {
        self.pdptes = entries;
    }

    fn read_control(&self, _: u8) -> Option<u64> {
        None
    }

    /// Takes what enables no more than x87 and SSE.
    fn write_xcr0(&mut self, value: u64) -> bool {
        value & !3 == 0
    }

    fn xcr0(&self) -> u64 {
        1
    }

    fn vector(&mut self, number: u8) -> Vector {
        self.vectors[usize::from(number)]
    }

    fn set_vector(&mut self, number: u8, value: &Vector) {
        self.vectors[usize::from(number)] = *value;
    }

    fn cr0(&self) -> Cr0Flags {
        self.paging.cr0
    }

    fn cr4(&self) -> Cr4Flags {
        self.paging.cr4
    }

    fn instruction_bytes(&self) -> InstructionBytes {
        counted(self, 3, self.bytes.clone())
    }

    fn report(&self, _: &mut dyn FnMut(fmt::Arguments)) {}
}
