//! A virtual processor on SVM.

use super::control_structure::Vmcb;
use super::controls::{self, Controls};
use super::enter::enter;
use super::events::Step;
use super::fields::*;
use super::msrs;
use super::operation::{self, Operation};
use crate::hardware::{cpu, interrupt_controllers};
use crate::memory::Frames;
use crate::virt::control_registers::*;
use crate::virt::extended::ExtendedState;
use crate::virt::held_msrs::Switched;
use crate::virt::registers::{RAX, RSP, SegmentState};
use crate::virt::{
    Entry, Event, Exit, InstructionBytes, Paging, Registers, SegmentRegister, VirtError, VirtualCpu, unsaved,
};
use core::fmt;
use nested_paging::{NestedPages, Npt, PageSize};
use platform::boot::EntryState;

const ATTRIBUTE_P: u16 = 1 << 7;
const ATTRIBUTE_L: u16 = 1 << 9;
const ATTRIBUTE_D: u16 = 1 << 10;
/// In the layout that [`SegmentState`] has.
const RIGHTS_UNUSABLE: u32 = 1 << 16;
/// TLB_CONTROL [APM2 15.16.2]: forget all translations, or those of this guest's identifier.
const FLUSH_ALL: u32 = 1;
const FLUSH_GUEST: u32 = 3;

/// A VMCB with the state around it.
pub struct Vcpu {
    pub(super) vmcb: Vmcb,
    pub(super) registers: Registers,
    pub(super) operation: &'static Operation,
    pub(super) controls: Controls,
    nested_cr3: u64,
    asid: u32,
    /// CR4 bits that the guest may not set: those that its CPUID does not offer.
    pub(super) cr4_reserved: u64,
    /// CR4 as the guest wrote it.
    pub(super) cr4_shadow: u64,
    /// CD and NW of CR0 as the guest wrote them.
    pub(super) cr0_shadow: u64,
    /// Delivery was interrupted by the last exit: comes before anything else.
    pub(super) interrupted: Option<Event>,
    /// An external interrupt that the processor delivers when the guest can take it.
    pub(super) held: Option<u8>,
    /// Virtual interrupt fields as they are in the VMCB.
    pub(super) virtual_interrupt: (u32, u8),
    /// Intercepts that are on for a moment.
    pub(super) windows: u32,
    /// The guest is in its NMI handler.
    pub(super) nmi_blocked: bool,
    /// TF was set for an NMI.
    pub(super) step: Option<Step>,
    /// A single-stepping guest's instruction was emulated: its trap is due.
    pub(super) stepped: bool,
    /// Translations are out of date.
    flush: bool,
    pub(super) msrs: Switched,
    pub(super) extended: ExtendedState,
    pub(super) unsaved: unsaved::Unsaved,
}

impl VirtualCpu for Vcpu {
    type Tables = Npt;

    fn enter_operation(frames: &mut Frames) -> Result<(), VirtError> {
        operation::enter(frames)
    }

    fn new(frames: &mut Frames, number: u16, nested: &NestedPages<Npt>, cr4: u64) -> Result<Self, VirtError> {
        let operation = operation::current()?;
        // Identifier 0 is Weir's own.
        let asid = u32::from(number) + 1;
        if asid >= operation.capabilities.asids {
            return Err(VirtError::TooManyGuests(operation.capabilities.asids - 1));
        }
        let mut vcpu = Self {
            vmcb: Vmcb::new(frames)?,
            registers: Registers::default(),
            operation,
            controls: Controls::new(controls::offer()),
            nested_cr3: nested.ncr3(),
            asid,
            cr4_reserved: !cr4,
            cr4_shadow: 0,
            cr0_shadow: 0,
            interrupted: None,
            held: None,
            virtual_interrupt: (0, 0),
            windows: 0,
            nmi_blocked: false,
            step: None,
            stepped: false,
            flush: true,
            msrs: msrs::switched(),
            extended: ExtendedState::new(frames)?,
            unsaved: unsaved::Unsaved::default(),
        };
        vcpu.set_up();
        Ok(vcpu)
    }

    fn reset(&mut self) {
        self.vmcb.clear();
        self.registers = Registers::default();
        (self.cr4_shadow, self.cr0_shadow) = (0, 0);
        (self.interrupted, self.held, self.virtual_interrupt) = (None, None, (0, 0));
        self.windows = 0;
        (self.nmi_blocked, self.step, self.stepped) = (false, None, false);
        self.msrs = msrs::switched();
        self.extended.reset();
        self.unsaved = unsaved::Unsaved::default();
        self.set_up();
    }

    fn leave_core(&mut self) {}

    fn enter_core(&mut self) {
        if let Ok(operation) = operation::current() {
            self.operation = operation;
        }
        // What this core may have cached of the VMCB and of the guest's translations is of another time.
        self.vmcb.mark_changed();
        self.invalidate();
    }

    fn largest_page() -> PageSize {
        match operation::current() {
            Ok(operation) if operation.capabilities.one_gib => PageSize::Size1GiB,
            _ => PageSize::Size2MiB,
        }
    }

    fn activate(&mut self) {
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
        let event = self.next_event(entry.inject);
        self.open_windows(&entry);
        if let Some(event) = event {
            self.inject(event);
        }
        let flush = match core::mem::take(&mut self.flush) {
            false => 0,
            true if self.operation.capabilities.flush_by_asid => FLUSH_GUEST,
            true => FLUSH_ALL,
        };
        self.vmcb.write(TLB_CONTROL, flush);
        self.vmcb.mark_clean();
        // There is no timer for guests: the machine's interrupts.
        interrupt_controllers::wake_by(cpu::rdtsc().saturating_add(entry.ticks));
        // SAFETY: Weir's own state was saved by `operation::enter`, and the intercepts confine the guest to its
        // nested tables, to emulated ports and to the MSRs of the map.
        unsafe { enter(&raw mut self.registers, self.vmcb.address().0, self.operation.host.0) };
        self.read_exit()
    }

    fn general(&self, number: usize) -> u64 {
        match number {
            RAX => self.vmcb.read(GUEST_RAX),
            RSP => self.vmcb.read(GUEST_RSP),
            _ => self.registers.general[number & 15],
        }
    }

    fn set_general(&mut self, number: usize, value: u64) {
        match number {
            RAX => self.vmcb.write(GUEST_RAX, value),
            RSP => self.vmcb.write(GUEST_RSP, value),
            _ => self.registers.general[number & 15] = value,
        }
    }

    fn rip(&self) -> u64 {
        self.vmcb.read(GUEST_RIP)
    }

    fn set_rip(&mut self, rip: u64) {
        self.vmcb.write(GUEST_RIP, rip);
        self.end_shadow();
        // A single-stepping guest gets its trap after an emulated instruction too.
        self.stepped = self.rflags() & RFLAGS_TF != 0;
    }

    fn rflags(&self) -> u64 {
        self.vmcb.read(GUEST_RFLAGS)
    }

    fn set_rflags(&mut self, value: u64) {
        self.vmcb.write(GUEST_RFLAGS, value | RFLAGS_RESERVED_1);
    }

    fn paging(&self) -> Paging {
        let attributes = self.vmcb.read(GUEST_SEGMENTS[SegmentRegister::Cs as usize].attributes);
        Paging {
            cr0: self.cr0(),
            cr3: self.vmcb.read(GUEST_CR3),
            cr4: self.cr4(),
            efer: self.efer(),
            code_64: attributes & ATTRIBUTE_L != 0,
            code_32: attributes & ATTRIBUTE_D != 0,
        }
    }

    fn segment(&self, which: SegmentRegister) -> SegmentState {
        let fields = GUEST_SEGMENTS[which as usize];
        let attributes = self.vmcb.read(fields.attributes);
        // Bits 11:8 stand four higher in the layout that both vendors share here.
        let mut rights = u32::from(attributes & 0xff) | u32::from(attributes & 0xf00) << 4;
        if which == SegmentRegister::Ss {
            // SYSRET leaves the DPL of SS alone: the VMCB has the privilege level by itself [APM2 15.5.1].
            rights = rights & !(3 << 5) | u32::from(self.vmcb.read(GUEST_CPL) & 3) << 5;
        }
        if attributes & ATTRIBUTE_P == 0 {
            rights |= RIGHTS_UNUSABLE;
        }
        SegmentState {
            selector: self.vmcb.read(fields.selector),
            base: self.vmcb.read(fields.base),
            limit: self.vmcb.read(fields.limit),
            rights,
        }
    }

    fn interruptible(&self) -> bool {
        self.interrupted.is_none() && self.held.is_none() && self.accepts_interrupts()
    }

    fn nmi_ready(&self) -> bool {
        self.interrupted.is_none() && !self.nmi_blocked && self.step.is_none() && !self.in_shadow()
    }

    fn set_boot_state(&mut self, state: &EntryState) {
        self.start_at(state);
    }

    fn read_msr(&self, index: u32) -> Option<u64> {
        Some(match index {
            msrs::IA32_TIME_STAMP_COUNTER => cpu::rdtsc().wrapping_add(self.vmcb.read(TSC_OFFSET)),
            msrs::IA32_EFER => self.efer(),
            msrs::IA32_PAT => self.vmcb.read(GUEST_PAT),
            _ => self.vmcb.read(msrs::field(index)?),
        })
    }

    fn write_msr(&mut self, index: u32, value: u64) -> bool {
        // What else the VMCB holds is written by the guest directly.
        match index {
            msrs::IA32_EFER => {
                let Some(efer) = efer_after_write(self.efer(), value, self.cr0()) else { return false };
                self.set_efer(efer);
            }
            msrs::IA32_PAT => self.vmcb.write(GUEST_PAT, value),
            // Zero, the only value that passes the policy.
            platform::msr::IA32_XSS => {}
            _ => return false,
        }
        true
    }

    fn set_cr2(&mut self, linear: u64) {
        self.vmcb.write(GUEST_CR2, linear);
    }

    fn move_tsc(&mut self, by: u64) {
        let offset = self.vmcb.read(TSC_OFFSET);
        self.vmcb.write(TSC_OFFSET, offset.wrapping_add(by));
    }

    fn write_control(&mut self, register: u8, value: u64) -> bool {
        match register {
            0 => self.write_cr0(value),
            4 => self.write_cr4(value),
            _ => false,
        }
    }

    fn read_control(&self, register: u8) -> Option<u64> {
        match register {
            0 => Some(self.cr0()),
            // QEMU 10.0's TCG takes the intercept of CR0 for reads of all control registers.
            2 => Some(self.vmcb.read(GUEST_CR2)),
            3 => Some(self.vmcb.read(GUEST_CR3)),
            4 => Some(self.cr4()),
            _ => None,
        }
    }

    fn write_xcr0(&mut self, value: u64) -> bool {
        self.extended.set_xcr0(value)
    }

    fn xcr0(&self) -> u64 {
        self.extended.xcr0()
    }

    fn cr4(&self) -> u64 {
        self.cr4_shadow
    }

    fn instruction_bytes(&self) -> InstructionBytes {
        if self.operation.capabilities.decode_assists {
            self.vmcb.instruction_bytes()
        } else {
            InstructionBytes::new()
        }
    }

    fn report(&self, out: &mut dyn FnMut(fmt::Arguments)) {
        self.describe(out);
    }
}

impl Vcpu {
    /// Fills the VMCB as before the first entry.
    fn set_up(&mut self) {
        self.set_controls(self.nested_cr3, self.asid);
        self.set_guest_state();
        self.invalidate();
    }

    /// Has the guest's translations forgotten before its next instruction.
    pub(super) fn invalidate(&mut self) {
        self.flush = true;
    }
}
