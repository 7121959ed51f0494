//! A virtual processor on VT-x.

use super::control_structure::Vmcs;
use super::controls::{Controls, PinControls, PrimaryControls};
use super::enter::{enter, enter_guarded};
use super::exit::PENDING_BS;
use super::fields::*;
use super::modes::{cr0_mask, guest_view};
use super::msrs;
use super::operation::{self, Operation, Translations};
use crate::hardware::interrupt::local_apic;
use crate::memory::PageFrames;
use crate::processor::cpu;
use crate::virt::guards;
use crate::virt::state::control_registers::*;
use crate::virt::state::registers::{RSP, SegmentState};
use crate::virt::state::switched::SwitchedState;
use crate::virt::state::unsaved;
use crate::virt::{
    Exit, GeneralRegisters, InjectedEvent, InstructionBytes, Paging, SegmentRegister, VirtError, VirtualCpu,
    VmEntry,
};
use core::fmt;
use mmio::CpuMode;
use nested_paging::{Ept, NestedPages, PageSize};
use platform::boot::EntryState;
use silicon::measures::Guards;

/// Descriptor privilege level.
const RIGHTS_DPL: u32 = 3 << 5;
pub(super) const RIGHTS_L: u32 = 1 << 13;
const RIGHTS_D: u32 = 1 << 14;

/// A VMCS with the state around it.
pub struct Vcpu {
    pub(super) vmcs: Vmcs,
    pub(super) registers: GeneralRegisters,
    /// The guest locked the bus before its last exit.
    pub(super) locked_bus: bool,
    pub(super) operation: &'static Operation,
    pub(super) controls: Controls,
    pub(super) translations: Translations,
    /// EFER as it was written last, without LMA: the guest cannot write it itself.
    pub(super) efer_written: EferFlags,
    /// CR4 bits that the guest may set: those whose features its CPUID offers, without VMXE.
    pub(super) cr4_allowed: Cr4Flags,
    /// The event whose delivery the last exit interrupted: it has precedence over all but exceptions.
    pub(super) interrupted: Option<InjectedEvent>,
    /// The open windows.
    pub(super) windows: PrimaryControls,
    /// What no entry or exit switches.
    switched: SwitchedState,
    /// What the core that runs it must do at each entry.
    guards: Guards,
}

impl Vcpu {
    /// Writes the VMCS for the first entry after reset.
    fn set_up(&mut self) {
        self.set_controls(self.translations);
        self.set_host_state();
        self.set_guest_state();
        self.translations.invalidate();
    }
}

impl VirtualCpu for Vcpu {
    type Tables = nested_paging::Ept;

    fn enter_operation(frames: &mut PageFrames) -> Result<(), VirtError> {
        operation::enter(frames)
    }

    fn new(
        frames: &mut PageFrames,
        number: u16,
        nested: &NestedPages<Ept>,
        cr4: Cr4Flags,
    ) -> Result<Self, VirtError> {
        let operation = operation::current()?;
        let controls = Controls::new(&operation.capabilities)?;
        let vmcs = Vmcs::new(frames, operation.capabilities.revision)?;
        let mut vcpu = Self {
            vmcs,
            registers: GeneralRegisters::default(),
            locked_bus: false,
            operation,
            controls,
            // VPID 0 belongs to Weir.
            translations: Translations { ept_pointer: nested.eptp(false), vpid: number + 1 },
            efer_written: EferFlags::empty(),
            cr4_allowed: cr4 - Cr4Flags::VIRTUAL_MACHINE_EXTENSIONS,
            interrupted: None,
            windows: PrimaryControls::empty(),
            switched: SwitchedState::new(frames, msrs::switched())?,
            guards: guards::here(),
        };
        vcpu.set_up();
        Ok(vcpu)
    }

    fn reset(&mut self) {
        self.registers = GeneralRegisters::default();
        self.interrupted = None;
        self.windows = PrimaryControls::empty();
        self.switched.reset(msrs::switched());
        self.set_up();
    }

    fn leave_core(&mut self) {
        // VMCLEAR can only fail for an address that is not a frame.
        let _ = self.vmcs.clear();
    }

    fn enter_core(&mut self) {
        self.guards = guards::here();
        // Another stack, and perhaps the other world switch: both are to be written at the next entry.
        self.registers.general[RSP] = 0;
        self.set_host_state();
        self.translations.invalidate();
    }

    fn largest_page() -> PageSize {
        if guards::small_pages() {
            return PageSize::Size4KiB;
        }
        match operation::current().map(|operation| operation.capabilities.large_pages) {
            Ok((_, true)) => PageSize::Size1GiB,
            Ok((true, _)) => PageSize::Size2MiB,
            _ => PageSize::Size4KiB,
        }
    }

    fn activate(&mut self) {
        self.vmcs.make_current();
        self.switched.load();
    }

    fn deactivate(&mut self) {
        self.switched.save();
    }

    fn enter(&mut self, entry: VmEntry) -> Exit {
        // Since this guest's exit, Weir may have looked at another one's registers.
        self.vmcs.make_current();
        if let Some(event) = self.next_event(entry.inject) {
            self.inject(event);
        }
        self.open_windows(&entry);
        if self.controls.pin.contains(PinControls::PREEMPTION_TIMER) {
            let ticks = entry.ticks >> self.operation.capabilities.preemption_shift;
            self.vmcs.write(PREEMPTION_TIMER, u32::try_from(ticks).unwrap_or(u32::MAX));
        } else {
            local_apic::wake_by(cpu::rdtsc().saturating_add(entry.ticks));
        }
        // SAFETY: the host state was read from the running kernel, and the controls confine the guest to its
        // EPT, to emulated ports and to the MSRs of the bitmap.
        let failed = unsafe {
            if self.guards.is_empty() {
                enter(&raw mut self.registers, self.vmcs.launch)
            } else {
                enter_guarded(&raw mut self.registers, self.vmcs.launch, guards::begin(self.guards))
            }
        };
        if failed != 0 {
            return Exit::InvalidState { reason: 0x1_0000 | self.vmcs.read(INSTRUCTION_ERROR) };
        }
        self.read_exit()
    }

    fn general(&self, number: usize) -> u64 {
        if number == RSP { self.vmcs.read(GUEST_RSP) } else { self.registers.general[number & 15] }
    }

    fn set_general(&mut self, number: usize, value: u64) {
        if number == RSP {
            self.vmcs.write(GUEST_RSP, value);
        } else {
            self.registers.general[number & 15] = value;
        }
    }

    fn rip(&self) -> u64 {
        self.vmcs.read(GUEST_RIP)
    }

    fn set_rip(&mut self, rip: u64) {
        self.vmcs.write(GUEST_RIP, rip);
        let state = self.vmcs.read(GUEST_INTERRUPTIBILITY);
        if state.intersects(Interruptibility::SHADOW) {
            self.vmcs.write(GUEST_INTERRUPTIBILITY, state - Interruptibility::SHADOW);
        }
        let flags = self.rflags();
        if flags.contains(RFlags::RESUME_FLAG) {
            self.set_rflags(flags - RFlags::RESUME_FLAG);
        }
        if flags.contains(RFlags::TRAP_FLAG) {
            // A single-stepping guest gets its trap after an emulated instruction, too.
            self.vmcs.write(GUEST_PENDING_DEBUG, PENDING_BS);
        }
    }

    fn rflags(&self) -> RFlags {
        self.vmcs.read(GUEST_RFLAGS)
    }

    fn set_rflags(&mut self, value: RFlags) {
        self.vmcs.write(GUEST_RFLAGS, value | RFLAGS_RESERVED_1);
    }

    fn has_locked_bus(&self) -> bool {
        self.locked_bus
    }

    fn paging(&self) -> Paging {
        Paging { cr0: self.cr0(), cr3: self.vmcs.read(GUEST_CR3), cr4: self.cr4(), efer: self.efer() }
    }

    fn code_mode(&self) -> CpuMode {
        let rights = self.vmcs.read(GUEST_SEGMENTS[SegmentRegister::Cs as usize].rights);
        // Outside long mode CS.L means nothing [SDM3A 3.4.5], and without it long mode makes no difference.
        let long = rights & RIGHTS_L != 0;
        CpuMode::new(long && self.efer().contains(EferFlags::LONG_MODE_ACTIVE), long, rights & RIGHTS_D != 0)
    }

    fn is_user(&self) -> bool {
        self.vmcs.read(GUEST_SEGMENTS[SegmentRegister::Ss as usize].rights) & RIGHTS_DPL == RIGHTS_DPL
    }

    fn segment_base(&self, which: SegmentRegister) -> u64 {
        self.vmcs.read(GUEST_SEGMENTS[which as usize].base)
    }

    fn segment(&self, which: SegmentRegister) -> SegmentState {
        let SegmentFields { selector, limit, rights, base } = GUEST_SEGMENTS[which as usize];
        SegmentState {
            selector: self.vmcs.read(selector),
            base: self.vmcs.read(base),
            limit: self.vmcs.read(limit),
            rights: self.vmcs.read(rights),
        }
    }

    fn interruptible(&self) -> bool {
        self.interrupted.is_none() && self.accepts_interrupts()
    }

    fn nmi_ready(&self) -> bool {
        let blocking = Interruptibility::SHADOW | Interruptibility::BLOCKING_BY_NMI;
        self.interrupted.is_none()
            && !self.vmcs.read(GUEST_INTERRUPTIBILITY).intersects(blocking)
            && !self.trap_is_due()
    }

    fn set_boot_state(&mut self, state: &EntryState) {
        self.start_at(state);
    }

    fn read_msr(&self, index: u32) -> Option<u64> {
        Some(match index {
            msrs::IA32_EFER => self.efer().bits(),
            msrs::IA32_PAT => self.vmcs.read(GUEST_PAT),
            msrs::FS_BASE => self.segment_base(SegmentRegister::Fs),
            msrs::GS_BASE => self.segment_base(SegmentRegister::Gs),
            msrs::SYSENTER_CS => self.vmcs.read(GUEST_SYSENTER_CS).into(),
            msrs::SYSENTER_ESP => self.vmcs.read(GUEST_SYSENTER_ESP),
            msrs::SYSENTER_EIP => self.vmcs.read(GUEST_SYSENTER_EIP),
            _ => return None,
        })
    }

    fn write_msr(&mut self, index: u32, value: u64) -> bool {
        // The guest writes the other MSRs of the VMCS directly.
        match index {
            msrs::IA32_EFER => {
                let value = EferFlags::from_bits_retain(value);
                let Some(efer) = efer_after_write(self.efer(), value, self.cr0()) else { return false };
                self.set_efer(efer);
            }
            msrs::IA32_PAT => self.vmcs.write(GUEST_PAT, value),
            // Zero is the only value that the policy allows.
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
            0 => self.write_cr0(Cr0Flags::from_bits_retain(value)),
            4 => self.write_cr4(Cr4Flags::from_bits_retain(value)),
            _ => false,
        }
    }

    fn set_pdptes(&mut self, entries: [u64; 4]) {
        for (number, entry) in (0..).zip(entries) {
            self.vmcs.write(guest_pdpte(number), entry);
        }
    }

    fn read_control(&self, _register: u8) -> Option<u64> {
        None
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
        guest_view(self.vmcs.read(GUEST_CR0), self.vmcs.read(CR0_SHADOW), cr0_mask())
    }

    fn cr4(&self) -> Cr4Flags {
        guest_view(self.vmcs.read(GUEST_CR4), self.vmcs.read(CR4_SHADOW), self.cr4_mask())
    }

    fn instruction_bytes(&self) -> InstructionBytes {
        InstructionBytes::new()
    }

    fn report(&self, out: &mut dyn FnMut(fmt::Arguments)) {
        self.describe(out);
    }
}
