//! A virtual processor on VT-x.

use super::control_structure::Vmcs;
use super::controls::Controls;
use super::enter::{Launch, enter};
use super::fields::*;
use super::modes::guest_view;
use super::msrs;
use super::operation::{self, Operation};
use super::setup::SEGMENTS;
use crate::memory::Frames;
use crate::virt::control_registers::*;
use crate::virt::extended::ExtendedState;
use crate::virt::held_msrs::Switched;
use crate::virt::registers::{RSP, SegmentState};
use crate::virt::{
    Entry, Event, Exit, InstructionBytes, Paging, Registers, SegmentRegister, VirtError, VirtualCpu, unsaved,
};
use core::fmt;
use nested_paging::{Ept, NestedPages, PageSize};
use platform::boot::EntryState;

const RIGHTS_L: u32 = 1 << 13;
const RIGHTS_D: u32 = 1 << 14;
/// Interruptibility [SDM3C 25.4.2].
const BLOCKING_BY_STI: u32 = 1 << 0;
const BLOCKING_BY_MOV_SS: u32 = 1 << 1;
const BLOCKING_BY_NMI: u32 = 1 << 3;
/// Pending debug exceptions: single step.
const PENDING_BS: usize = 1 << 14;

/// A VMCS with the state around it.
pub struct Vcpu {
    pub(super) vmcs: Vmcs,
    pub(super) registers: Registers,
    pub(super) launch: Launch,
    pub(super) operation: &'static Operation,
    pub(super) controls: Controls,
    ept_pointer: u64,
    vpid: u16,
    /// CR4 bits that the guest may not set: those that its CPUID does not offer.
    pub(super) cr4_reserved: u64,
    /// Delivery was interrupted by the last exit: comes before anything else.
    pub(super) interrupted: Option<Event>,
    pub(super) windows: u32,
    pub(super) msrs: Switched,
    pub(super) extended: ExtendedState,
    pub(super) unsaved: unsaved::Unsaved,
}

impl Vcpu {
    /// Fills the VMCS as before the first entry.
    fn set_up(&mut self) {
        self.set_controls(self.ept_pointer, self.vpid);
        self.set_host_state();
        self.set_guest_state();
        operation::invalidate(self.vpid);
        operation::invalidate_ept(self.ept_pointer);
    }
}

impl VirtualCpu for Vcpu {
    type Tables = nested_paging::Ept;

    fn enter_operation(frames: &mut Frames) -> Result<(), VirtError> {
        operation::enter(frames)
    }

    fn new(frames: &mut Frames, number: u16, nested: &NestedPages<Ept>, cr4: u64) -> Result<Self, VirtError> {
        let operation = operation::current()?;
        let controls = Controls::new(&operation.capabilities)?;
        let vmcs = Vmcs::new(frames, operation.capabilities.revision)?;
        let mut vcpu = Self {
            vmcs,
            registers: Registers::default(),
            launch: Launch::First,
            operation,
            controls,
            ept_pointer: nested.eptp(false),
            // VPID 0 is Weir's own.
            vpid: number + 1,
            cr4_reserved: !cr4,
            interrupted: None,
            windows: 0,
            msrs: msrs::switched(),
            extended: ExtendedState::new(frames)?,
            unsaved: unsaved::Unsaved::default(),
        };
        vcpu.set_up();
        Ok(vcpu)
    }

    fn reset(&mut self) {
        self.registers = Registers::default();
        self.interrupted = None;
        self.windows = 0;
        self.msrs = msrs::switched();
        self.extended.reset();
        self.unsaved = unsaved::Unsaved::default();
        self.set_up();
    }

    fn leave_core(&mut self) {
        // Only a region that is no frame could be refused.
        let _ = self.vmcs.clear();
        self.launch = Launch::First;
    }

    fn enter_core(&mut self) {
        self.set_host_state();
        operation::invalidate(self.vpid);
        operation::invalidate_ept(self.ept_pointer);
    }

    fn largest_page() -> PageSize {
        match operation::current().map(|operation| operation.capabilities.large_pages) {
            Ok((_, true)) => PageSize::Size1GiB,
            Ok((true, _)) => PageSize::Size2MiB,
            _ => PageSize::Size4KiB,
        }
    }

    fn activate(&mut self) {
        self.vmcs.make_current();
        self.msrs.load();
        self.extended.load();
        self.unsaved.load();
    }

    fn deactivate(&mut self) {
        self.msrs.save();
        self.extended.save();
        self.unsaved.save();
    }

    fn enter(&mut self, entry: Entry) -> Exit {
        self.open_windows(&entry);
        if let Some(event) = self.next_event(entry.inject) {
            self.inject(event);
        }
        let ticks = entry.ticks >> self.operation.capabilities.preemption_shift;
        self.vmcs.write(PREEMPTION_TIMER, u32::try_from(ticks).unwrap_or(u32::MAX));
        // SAFETY: host state was written from the running kernel, and the controls confine the guest to its
        // EPT, to emulated ports and to the MSRs of the bitmap.
        let failed = unsafe { enter(&raw mut self.registers, self.launch) };
        if failed != 0 {
            return Exit::InvalidState { reason: 0x1_0000 | self.vmcs.read(INSTRUCTION_ERROR) };
        }
        self.launch = Launch::Again;
        self.read_exit()
    }

    fn general(&self, number: usize) -> u64 {
        if number == RSP { self.vmcs.read(GUEST_RSP) as u64 } else { self.registers.general[number & 15] }
    }

    fn set_general(&mut self, number: usize, value: u64) {
        if number == RSP {
            self.vmcs.write(GUEST_RSP, value as usize);
        } else {
            self.registers.general[number & 15] = value;
        }
    }

    fn rip(&self) -> u64 {
        self.vmcs.read(GUEST_RIP) as u64
    }

    fn set_rip(&mut self, rip: u64) {
        self.vmcs.write(GUEST_RIP, rip as usize);
        let state = self.vmcs.read(GUEST_INTERRUPTIBILITY);
        if state & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS) != 0 {
            self.vmcs.write(GUEST_INTERRUPTIBILITY, state & !(BLOCKING_BY_STI | BLOCKING_BY_MOV_SS));
        }
        if self.rflags() & RFLAGS_TF != 0 {
            // A single-stepping guest gets its trap after an emulated instruction too.
            self.vmcs.write(GUEST_PENDING_DEBUG, PENDING_BS);
        }
    }

    fn rflags(&self) -> u64 {
        self.vmcs.read(GUEST_RFLAGS) as u64
    }

    fn set_rflags(&mut self, value: u64) {
        self.vmcs.write(GUEST_RFLAGS, (value | RFLAGS_RESERVED_1) as usize);
    }

    fn paging(&self) -> Paging {
        let rights = self.vmcs.read(GUEST_CS_RIGHTS);
        Paging {
            cr0: self.cr0(),
            cr3: self.vmcs.read(GUEST_CR3) as u64,
            cr4: self.cr4(),
            efer: self.efer(),
            code_64: rights & RIGHTS_L != 0,
            code_32: rights & RIGHTS_D != 0,
        }
    }

    fn segment(&self, which: SegmentRegister) -> SegmentState {
        let (selector, limit, rights, base) = SEGMENTS[which as usize];
        SegmentState {
            selector: self.vmcs.read(selector),
            base: self.vmcs.read(base) as u64,
            limit: self.vmcs.read(limit),
            rights: self.vmcs.read(rights),
        }
    }

    fn interruptible(&self) -> bool {
        self.interrupted.is_none() && self.accepts_interrupts()
    }

    fn nmi_ready(&self) -> bool {
        let blocking = BLOCKING_BY_STI | BLOCKING_BY_MOV_SS | BLOCKING_BY_NMI;
        self.interrupted.is_none() && self.vmcs.read(GUEST_INTERRUPTIBILITY) & blocking == 0
    }

    fn set_boot_state(&mut self, state: &EntryState) {
        self.start_at(state);
    }

    fn read_msr(&self, index: u32) -> Option<u64> {
        Some(match index {
            msrs::IA32_EFER => self.efer(),
            msrs::IA32_PAT => self.vmcs.read(GUEST_PAT),
            msrs::FS_BASE => self.vmcs.read(GUEST_FS_BASE) as u64,
            msrs::GS_BASE => self.vmcs.read(GUEST_GS_BASE) as u64,
            msrs::SYSENTER_CS => self.vmcs.read(GUEST_SYSENTER_CS).into(),
            msrs::SYSENTER_ESP => self.vmcs.read(GUEST_SYSENTER_ESP) as u64,
            msrs::SYSENTER_EIP => self.vmcs.read(GUEST_SYSENTER_EIP) as u64,
            _ => return None,
        })
    }

    fn write_msr(&mut self, index: u32, value: u64) -> bool {
        // What else the VMCS holds is written by the guest directly.
        match index {
            msrs::IA32_EFER => {
                let Some(efer) = efer_after_write(self.efer(), value, self.cr0()) else { return false };
                self.set_efer(efer);
            }
            msrs::IA32_PAT => self.vmcs.write(GUEST_PAT, value),
            // Zero, the only value that passes the policy.
            platform::msr::IA32_XSS => {}
            _ => return false,
        }
        true
    }

    fn set_cr2(&mut self, linear: u64) {
        unsaved::set_cr2(linear);
    }

    fn move_tsc(&mut self, by: u64) {
        let offset = self.vmcs.read(TSC_OFFSET);
        self.vmcs.write(TSC_OFFSET, offset.wrapping_add(by));
    }

    fn write_control(&mut self, register: u8, value: u64) -> bool {
        match register {
            0 => self.write_cr0(value),
            4 => self.write_cr4(value),
            _ => false,
        }
    }

    fn read_control(&self, _register: u8) -> Option<u64> {
        None
    }

    fn write_xcr0(&mut self, value: u64) -> bool {
        self.extended.set_xcr0(value)
    }

    fn xcr0(&self) -> u64 {
        self.extended.xcr0()
    }

    fn cr4(&self) -> u64 {
        guest_view(self.vmcs.read(GUEST_CR4), self.vmcs.read(CR4_SHADOW), self.vmcs.read(CR4_MASK))
    }

    fn instruction_bytes(&self) -> InstructionBytes {
        InstructionBytes::new()
    }

    fn report(&self, out: &mut dyn FnMut(fmt::Arguments)) {
        self.describe(out);
    }
}
