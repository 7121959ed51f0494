//! A virtual processor on SVM.

use super::control_structure::Vmcb;
use super::controls::{self, Controls};
use super::enter::{enter, enter_guarded};
use super::events::Delivery;
use super::fields::*;
use super::msrs;
use super::operation::{self, Operation};
use crate::hardware::interrupt::local_apic;
use crate::memory::PageFrames;
use crate::processor::{clock, cpu};
use crate::virt::guards;
use crate::virt::state::control_registers::*;
use crate::virt::state::registers::{RAX, RSP, SegmentState};
use crate::virt::state::switched::SwitchedState;
use crate::virt::{
    Exit, GeneralRegisters, InstructionBytes, Paging, SegmentRegister, VirtError, VirtualCpu, VmEntry,
};
use base::bits::low_u8;
use core::fmt;
use mmio::CpuMode;
use nested_paging::{NestedPages, Npt, PageSize};
use platform::boot::EntryState;

const ATTRIBUTE_P: u16 = 1 << 7;
pub(super) const ATTRIBUTE_L: u16 = 1 << 9;
const ATTRIBUTE_D: u16 = 1 << 10;
/// An NMI that only waits for the next instruction is delivered after this time: enough for that instruction.
const NMI_DELAY_NANOS: u64 = 20_000;
/// In the layout that [`SegmentState`] has.
const RIGHTS_UNUSABLE: u32 = 1 << 16;
/// TLB_CONTROL [APM2 15.16.2]: flush all translations, or those of this guest's identifier.
const FLUSH_ALL: u32 = 1;
const FLUSH_GUEST: u32 = 3;

/// A VMCB with the state around it.
pub struct Vcpu {
    pub(super) vmcb: Vmcb,
    pub(super) registers: GeneralRegisters,
    pub(super) operation: &'static Operation,
    pub(super) controls: Controls,
    nested_cr3: u64,
    asid: u32,
    /// CR4 bits that the guest may set: those whose features its CPUID offers.
    pub(super) cr4_allowed: Cr4Flags,
    /// CR4 as the guest wrote it.
    pub(super) cr4_shadow: Cr4Flags,
    /// CD and NW of CR0 as the guest wrote them.
    pub(super) cr0_shadow: Cr0Flags,
    /// Events on their way to the guest.
    pub(super) delivery: Delivery,
    /// Cached translations are stale: the next entry flushes them.
    flush: bool,
    /// What no entry or exit switches.
    switched: SwitchedState,
}

impl VirtualCpu for Vcpu {
    type Tables = Npt;

    fn enter_operation(frames: &mut PageFrames) -> Result<(), VirtError> {
        operation::enter(frames)
    }

    fn new(
        frames: &mut PageFrames,
        number: u16,
        nested: &NestedPages<Npt>,
        cr4: Cr4Flags,
    ) -> Result<Self, VirtError> {
        let operation = operation::current()?;
        // Identifier 0 belongs to Weir.
        let asid = u32::from(number) + 1;
        if asid >= operation.capabilities.asids {
            return Err(VirtError::TooManyGuests(operation.capabilities.asids - 1));
        }
        let mut vcpu = Self {
            vmcb: Vmcb::new(frames)?,
            registers: GeneralRegisters::default(),
            operation,
            controls: Controls::new(controls::offer()),
            nested_cr3: nested.ncr3(),
            asid,
            cr4_allowed: cr4,
            cr4_shadow: Cr4Flags::empty(),
            cr0_shadow: Cr0Flags::empty(),
            delivery: Delivery::default(),
            flush: true,
            switched: SwitchedState::new(frames, msrs::switched())?,
        };
        vcpu.set_up();
        Ok(vcpu)
    }

    fn reset(&mut self) {
        self.vmcb.clear();
        self.registers = GeneralRegisters::default();
        (self.cr4_shadow, self.cr0_shadow) = (Cr4Flags::empty(), Cr0Flags::empty());
        self.delivery = Delivery::default();
        self.switched.reset(msrs::switched());
        self.set_up();
    }

    fn leave_core(&mut self) {}

    fn enter_core(&mut self) {
        if let Ok(operation) = operation::current() {
            self.operation = operation;
        }
        // This core may have stale copies of the VMCB and of the guest's translations.
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
        self.switched.load();
    }

    fn deactivate(&mut self) {
        self.switched.save();
    }

    fn enter(&mut self, entry: VmEntry) -> Exit {
        // In this order, because an NMI that this entry injects needs the intercept of its IRET.
        if let Some(event) = self.next_event(entry.inject) {
            self.inject(event);
        }
        self.open_windows(&entry);
        let flush = match core::mem::take(&mut self.flush) {
            false => 0,
            true if self.operation.capabilities.flush_by_asid => FLUSH_GUEST,
            true => FLUSH_ALL,
        };
        self.vmcb.write(TLB_CONTROL, flush);
        self.vmcb.mark_clean();
        // SVM has no preemption timer: the local APIC's interrupt ends the run.
        local_apic::wake_by(cpu::rdtsc().saturating_add(self.longest_run(&entry)));
        // SAFETY: `operation::enter` saved Weir's own state, and the intercepts confine the guest to its nested
        // tables, to emulated ports and to the MSRs of the map.
        unsafe {
            let (guest, host) = (self.vmcb.address().0, self.operation.host.0);
            if self.operation.guards.is_empty() {
                enter(&raw mut self.registers, guest, host);
            } else {
                enter_guarded(&raw mut self.registers, guest, host, guards::begin(self.operation.guards));
            }
        }
        self.read_exit()
    }

    fn task_priority(&self) -> Option<u8> {
        Some(low_u8(self.delivery.virtual_interrupt.0.bits().into()) & 0xf)
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
        let flags = self.rflags();
        if flags.contains(RFlags::RESUME_FLAG) {
            self.set_rflags(flags - RFlags::RESUME_FLAG);
        }
        // A single-stepping guest gets its trap after an emulated instruction, too.
        self.delivery.stepped = flags.contains(RFlags::TRAP_FLAG);
    }

    fn rflags(&self) -> RFlags {
        self.vmcb.read(GUEST_RFLAGS)
    }

    fn set_rflags(&mut self, value: RFlags) {
        self.vmcb.write(GUEST_RFLAGS, value | RFLAGS_RESERVED_1);
    }

    fn paging(&self) -> Paging {
        Paging { cr0: self.cr0(), cr3: self.vmcb.read(GUEST_CR3), cr4: self.cr4(), efer: self.efer() }
    }

    fn code_mode(&self) -> CpuMode {
        let attributes = self.vmcb.read(GUEST_SEGMENTS[SegmentRegister::Cs as usize].attributes);
        let long = self.efer().contains(EferFlags::LONG_MODE_ACTIVE);
        CpuMode::new(long, attributes & ATTRIBUTE_L != 0, attributes & ATTRIBUTE_D != 0)
    }

    fn is_user(&self) -> bool {
        self.vmcb.read(GUEST_CPL) == 3
    }

    fn segment_base(&self, which: SegmentRegister) -> u64 {
        self.vmcb.read(GUEST_SEGMENTS[which as usize].base)
    }

    fn segment(&self, which: SegmentRegister) -> SegmentState {
        let fields = GUEST_SEGMENTS[which as usize];
        let attributes = self.vmcb.read(fields.attributes);
        // Bits 11:8 are four positions higher in the layout that both vendors share.
        let mut rights = u32::from(attributes & 0xff) | u32::from(attributes & 0xf00) << 4;
        if which == SegmentRegister::Ss {
            // SYSRET does not change the DPL of SS: the VMCB holds the privilege level separately [APM2 15.5.1].
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
        self.delivery.interrupted.is_none()
            && self.delivery.held.is_none()
            && self.delivery.step.is_none()
            && self.accepts_interrupts()
    }

    fn nmi_ready(&self) -> bool {
        self.delivery.interrupted.is_none()
            && !self.delivery.nmi_blocked
            && !self.delivery.stepped
            && !self.in_shadow()
    }

    fn set_boot_state(&mut self, state: &EntryState) {
        self.start_at(state);
    }

    fn read_msr(&self, index: u32) -> Option<u64> {
        Some(match index {
            msrs::IA32_TIME_STAMP_COUNTER => cpu::rdtsc().wrapping_add(self.vmcb.read(TSC_OFFSET)),
            msrs::IA32_EFER => self.efer().bits(),
            msrs::IA32_PAT => self.vmcb.read(GUEST_PAT),
            _ => self.vmcb.read(msrs::field(index)?),
        })
    }

    fn write_msr(&mut self, index: u32, value: u64) -> bool {
        // The guest writes the other MSRs of the VMCB directly.
        match index {
            msrs::IA32_EFER => {
                let value = EferFlags::from_bits_retain(value);
                let Some(efer) = efer_after_write(self.efer(), value, self.cr0()) else { return false };
                self.set_efer(efer);
            }
            msrs::IA32_PAT => self.vmcb.write(GUEST_PAT, value),
            // Zero is the only value that the policy allows.
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
            0 => self.write_cr0(Cr0Flags::from_bits_retain(value)),
            4 => self.write_cr4(Cr4Flags::from_bits_retain(value)),
            _ => false,
        }
    }

    fn set_pdptes(&mut self, _: [u64; 4]) {
        // With nested paging the processor keeps no copy [APM2 15.25.10].
    }

    fn read_control(&self, register: u8) -> Option<u64> {
        match register {
            0 => Some(self.cr0().bits()),
            // QEMU 10.0's TCG applies the intercept of CR0 to reads of all control registers.
            2 => Some(self.vmcb.read(GUEST_CR2)),
            3 => Some(self.vmcb.read(GUEST_CR3)),
            4 => Some(self.cr4().bits()),
            _ => None,
        }
    }

    fn write_xcr0(&mut self, value: u64) -> bool {
        self.switched.extended.set_xcr0(value)
    }

    fn xcr0(&self) -> u64 {
        self.switched.extended.xcr0()
    }

    fn vector(&mut self, number: u8) -> mmio::Vector {
        self.switched.extended.vector(number)
    }

    fn set_vector(&mut self, number: u8, value: &mmio::Vector) {
        self.switched.extended.set_vector(number, value);
    }

    fn cr0(&self) -> Cr0Flags {
        self.vmcb.read(GUEST_CR0) | self.cr0_shadow
    }

    fn cr4(&self) -> Cr4Flags {
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
    /// Writes the VMCB for the first entry after reset.
    fn set_up(&mut self) {
        self.set_controls(self.nested_cr3, self.asid);
        self.set_guest_state();
        self.invalidate();
    }

    /// Ticks after which an entry must end. There is no exit for the end of an interrupt shadow, or for the first instruction
    /// of the handler of an injected event, after which an NMI can be delivered: the timer ends the run soon.
    fn longest_run(&self, entry: &VmEntry) -> u64 {
        let waits = entry.nmi_window && !self.delivery.nmi_blocked;
        if waits { entry.ticks.min(clock::ticks(NMI_DELAY_NANOS)) } else { entry.ticks }
    }

    /// Flushes the guest's cached translations at its next entry.
    pub(super) fn invalidate(&mut self) {
        self.flush = true;
    }
}
