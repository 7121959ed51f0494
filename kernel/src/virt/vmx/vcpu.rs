//! A virtual processor on VT-x.

use super::controls::{self, Controls, entry, primary};
use super::enter::{Launch, enter};
use super::exit::{Raw, injection, interrupted_event, parse};
use super::fields::*;
use super::msrs;
use super::operation::{self, Operation};
use super::vmcs::Vmcs;
use crate::hardware::{clock, cpu, descriptors, interrupts};
use crate::memory::Frames;
use crate::virt::extended::ExtendedState;
use crate::virt::registers::{RSI, RSP, SegmentState};
use crate::virt::{Entry, Event, Exit, Paging, Registers, Segment, VirtError, VirtualCpu, unsaved};
use core::fmt;
use nested_paging::{Ept, NestedPages, PageSize};
use platform::boot::EntryState;
use x86_64::registers::control::{Cr0, Cr3, Cr4};
use x86_64::registers::model_specific::Efer;

const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
const CR0_NE: u64 = 1 << 5;
const CR0_NW: u64 = 1 << 29;
const CR0_CD: u64 = 1 << 30;
const CR0_PG: u64 = 1 << 31;
/// Reserved bits of CR0 are all those not named in [SDM3A 2.5].
const CR0_DEFINED: u64 = 0xe005_003f;
const CR4_PAE: u64 = 1 << 5;
const CR4_VMXE: u64 = 1 << 13;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;

/// Access rights [SDM3C 25.4.1]: type, S, DPL, P, AVL, L, D/B, G, unusable.
const RIGHTS_CODE_64: u32 = 0xa09b;
const RIGHTS_DATA: u32 = 0xc093;
const RIGHTS_TSS: u32 = 0x008b;
const RIGHTS_UNUSABLE: u32 = 1 << 16;
const RIGHTS_L: u32 = 1 << 13;
const RIGHTS_D: u32 = 1 << 14;

/// Interruptibility [SDM3C 25.4.2].
const BLOCKING_BY_STI: u32 = 1 << 0;
const BLOCKING_BY_MOV_SS: u32 = 1 << 1;
const BLOCKING_BY_NMI: u32 = 1 << 3;

const RFLAGS_IF: u64 = 1 << 9;
const RFLAGS_RESERVED_1: u64 = 1 << 1;
/// Power-on value of IA32_PAT [SDM3A 12.12.4].
const PAT_RESET: u64 = 0x0007_0406_0007_0406;
const BASIC_EXTERNAL_INTERRUPT: u32 = 1;
const BASIC_EXCEPTION_OR_NMI: u32 = 0;
const BASIC_IO: u32 = 30;
const BASIC_EPT_VIOLATION: u32 = 48;
const INTERRUPTION_NMI: u32 = 2;
/// Exit qualification of an I/O instruction: INS or OUTS.
const IO_STRING: u64 = 1 << 4;
/// Exit qualification of an EPT violation: NMI unblocking due to IRET.
const NMI_UNBLOCKED: u64 = 1 << 12;
/// Pending debug exceptions: single step.
const PENDING_BS: usize = 1 << 14;
const RFLAGS_TF: u64 = 1 << 8;

/// A VMCS with the state around it.
pub struct Vcpu {
    vmcs: Vmcs,
    registers: Registers,
    launch: Launch,
    operation: &'static Operation,
    controls: Controls,
    /// CR4 bits that the guest may not set: those that its CPUID does not offer.
    cr4_reserved: u64,
    /// Delivery was interrupted by the last exit: comes before anything else.
    interrupted: Option<Event>,
    windows: u32,
    msrs: msrs::Switched,
    extended: ExtendedState,
    unsaved: unsaved::Unsaved,
}

impl Vcpu {
    fn set_segment(&mut self, which: usize, selector: u16, limit: u32, rights: u32) {
        let (selectors, limits, all_rights, bases) = SEGMENTS[which];
        self.vmcs.write(selectors, selector);
        self.vmcs.write(bases, 0);
        self.vmcs.write(limits, limit);
        self.vmcs.write(all_rights, rights);
    }

    fn set_controls(&mut self, ept_pointer: u64, vpid: u16) {
        let controls = self.controls;
        let vmcs = &mut self.vmcs;
        vmcs.write(PIN_CONTROLS, controls.pin);
        vmcs.write(PRIMARY_CONTROLS, controls.primary);
        vmcs.write(SECONDARY_CONTROLS, controls.secondary);
        vmcs.write(EXIT_CONTROLS, controls.exit);
        vmcs.write(ENTRY_CONTROLS, controls.entry);
        vmcs.write(EXCEPTION_BITMAP, controls::EXCEPTIONS);
        vmcs.write(PAGE_FAULT_MASK, 0);
        vmcs.write(PAGE_FAULT_MATCH, 0);
        vmcs.write(CR3_TARGET_COUNT, 0);
        vmcs.write(EXIT_MSR_STORE_COUNT, 0);
        vmcs.write(EXIT_MSR_LOAD_COUNT, 0);
        vmcs.write(ENTRY_MSR_LOAD_COUNT, 0);
        vmcs.write(ENTRY_INTERRUPTION_INFORMATION, 0);
        vmcs.write(IO_BITMAP_A, self.operation.io_bitmaps.0);
        vmcs.write(IO_BITMAP_B, self.operation.io_bitmaps.0 + 4096);
        vmcs.write(MSR_BITMAPS, self.operation.msr_bitmaps.0);
        vmcs.write(EPT_POINTER, ept_pointer);
        vmcs.write(VPID, vpid);
        vmcs.write(VMCS_LINK_POINTER, u64::MAX);
        // The guest's TSC is zero at the instant zero of Weir's clock.
        vmcs.write(TSC_OFFSET, clock::origin().wrapping_neg());
        if controls.secondary & controls::secondary::XSAVES != 0 {
            vmcs.write(XSS_EXITING_BITMAP, 0);
        }
    }

    fn set_host_state(&mut self) {
        let Some(segments) = descriptors::host_segments() else { return };
        let (gdt, idt) = (x86_64::instructions::tables::sgdt(), x86_64::instructions::tables::sidt());
        let (frame, flags) = Cr3::read_raw();
        let vmcs = &mut self.vmcs;
        vmcs.write(HOST_CR0, Cr0::read_raw() as usize);
        vmcs.write(HOST_CR3, (frame.start_address().as_u64() | u64::from(flags)) as usize);
        vmcs.write(HOST_CR4, Cr4::read_raw() as usize);
        for field in [HOST_ES_SELECTOR, HOST_SS_SELECTOR, HOST_DS_SELECTOR] {
            vmcs.write(field, segments.data);
        }
        vmcs.write(HOST_CS_SELECTOR, segments.code);
        vmcs.write(HOST_FS_SELECTOR, 0);
        vmcs.write(HOST_GS_SELECTOR, 0);
        vmcs.write(HOST_TR_SELECTOR, segments.task);
        vmcs.write(HOST_FS_BASE, 0);
        vmcs.write(HOST_GS_BASE, 0);
        vmcs.write(HOST_TR_BASE, segments.task_base as usize);
        vmcs.write(HOST_GDTR_BASE, gdt.base.as_u64() as usize);
        vmcs.write(HOST_IDTR_BASE, idt.base.as_u64() as usize);
        vmcs.write(HOST_SYSENTER_CS, 0);
        vmcs.write(HOST_SYSENTER_ESP, 0);
        vmcs.write(HOST_SYSENTER_EIP, 0);
        vmcs.write(HOST_PAT, cpu::rdmsr(msrs::IA32_PAT));
        vmcs.write(HOST_EFER, Efer::read_raw());
    }

    fn set_guest_state(&mut self) {
        for which in 0..6 {
            self.set_segment(which, 0, 0xffff_ffff, RIGHTS_DATA);
        }
        let vmcs = &mut self.vmcs;
        vmcs.write(GUEST_LDTR_SELECTOR, 0);
        vmcs.write(GUEST_LDTR_BASE, 0);
        vmcs.write(GUEST_LDTR_LIMIT, 0);
        vmcs.write(GUEST_LDTR_RIGHTS, RIGHTS_UNUSABLE);
        vmcs.write(GUEST_TR_SELECTOR, 0);
        vmcs.write(GUEST_TR_BASE, 0);
        vmcs.write(GUEST_TR_LIMIT, 0xffff);
        vmcs.write(GUEST_TR_RIGHTS, RIGHTS_TSS);
        vmcs.write(GUEST_IDTR_BASE, 0);
        vmcs.write(GUEST_IDTR_LIMIT, 0);
        vmcs.write(GUEST_DEBUGCTL, 0);
        vmcs.write(GUEST_DR7, 0x400);
        vmcs.write(GUEST_PAT, PAT_RESET);
        vmcs.write(GUEST_INTERRUPTIBILITY, 0);
        vmcs.write(GUEST_ACTIVITY, 0);
        vmcs.write(GUEST_PENDING_DEBUG, 0);
        vmcs.write(GUEST_SYSENTER_CS, 0);
        vmcs.write(GUEST_SYSENTER_ESP, 0);
        vmcs.write(GUEST_SYSENTER_EIP, 0);
        vmcs.write(GUEST_RFLAGS, RFLAGS_RESERVED_1 as usize);
        // CD and NW are shadowed: a guest must not switch the machine's caches off. NE must be 1.
        vmcs.write(CR0_MASK, (CR0_NE | CR0_NW | CR0_CD | !CR0_DEFINED) as usize);
        vmcs.write(CR4_MASK, (CR4_VMXE | self.cr4_reserved) as usize);
    }

    /// CR0 as the processor must have it for what the guest wants.
    fn cr0_in_hardware(&self, wanted: u64) -> u64 {
        // With unrestricted guest PE and PG may be 0 [SDM3C 24.8].
        let fixed = self.operation.capabilities.cr0_fixed & !(CR0_PE | CR0_PG);
        (wanted | fixed | CR0_NE) & !(CR0_NW | CR0_CD)
    }

    fn set_cr0(&mut self, wanted: u64) {
        let hardware = self.cr0_in_hardware(wanted);
        self.vmcs.write(CR0_SHADOW, wanted as usize);
        self.vmcs.write(GUEST_CR0, hardware as usize);
    }

    fn set_cr4(&mut self, wanted: u64) {
        self.vmcs.write(CR4_SHADOW, wanted as usize);
        self.vmcs.write(GUEST_CR4, (wanted | self.operation.capabilities.cr4_fixed) as usize);
    }

    fn cr0(&self) -> u64 {
        guest_view(self.vmcs.read(GUEST_CR0), self.vmcs.read(CR0_SHADOW), self.vmcs.read(CR0_MASK))
    }

    fn set_efer(&mut self, value: u64) {
        self.vmcs.write(GUEST_EFER, value);
        let entry_controls = self.vmcs.read(ENTRY_CONTROLS) & !entry::IA32E_GUEST;
        let mode = if value & EFER_LMA != 0 { entry::IA32E_GUEST } else { 0 };
        self.vmcs.write(ENTRY_CONTROLS, entry_controls | mode);
    }

    fn write_cr0(&mut self, value: u64) -> bool {
        let (pe, pg) = (value & CR0_PE != 0, value & CR0_PG != 0);
        if value >> 32 != 0
            || value & !CR0_DEFINED != 0
            || pg && !pe
            || value & CR0_NW != 0 && value & CR0_CD == 0
        {
            return false;
        }
        let efer = self.vmcs.read(GUEST_EFER);
        let switches_paging = (self.cr0() ^ value) & CR0_PG != 0;
        if switches_paging && pg && efer & EFER_LME != 0 {
            if self.cr4() & CR4_PAE == 0 {
                return false;
            }
            self.set_efer(efer | EFER_LMA);
        } else if switches_paging && !pg {
            self.set_efer(efer & !EFER_LMA);
        }
        self.set_cr0(value | CR0_ET);
        if switches_paging {
            operation::invalidate_vpid(self.vmcs.read(VPID));
        }
        true
    }

    fn write_cr4(&mut self, value: u64) -> bool {
        if value & (self.cr4_reserved | CR4_VMXE) != 0
            || value & CR4_PAE == 0 && self.vmcs.read(GUEST_EFER) & EFER_LMA != 0
        {
            return false;
        }
        self.set_cr4(value);
        operation::invalidate_vpid(self.vmcs.read(VPID));
        true
    }

    fn open_windows(&mut self, entry: &Entry) {
        let interrupt = if entry.interrupt_window { primary::INTERRUPT_WINDOW } else { 0 };
        let nmi = if entry.nmi_window { primary::NMI_WINDOW } else { 0 };
        if self.windows != interrupt | nmi {
            self.windows = interrupt | nmi;
            self.vmcs.write(PRIMARY_CONTROLS, self.controls.primary | self.windows);
        }
    }

    fn inject(&mut self, event: Event) {
        let (information, error, length) = injection(event);
        self.vmcs.write(ENTRY_EXCEPTION_ERROR_CODE, error);
        self.vmcs.write(ENTRY_INSTRUCTION_LENGTH, length);
        self.vmcs.write(ENTRY_INTERRUPTION_INFORMATION, information);
    }

    /// Reads what happened. Fields that the reason does not define are not read: each costs.
    fn read_exit(&mut self) -> Exit {
        let reason = self.vmcs.read(EXIT_REASON);
        let mut raw = Raw { reason, ..Raw::default() };
        match reason & 0xffff {
            BASIC_EXTERNAL_INTERRUPT => {
                interrupts::note(self.vmcs.read(EXIT_INTERRUPTION_INFORMATION) as u8);
            }
            BASIC_EXCEPTION_OR_NMI => {
                raw.interruption = self.vmcs.read(EXIT_INTERRUPTION_INFORMATION);
                raw.error = self.vmcs.read(EXIT_INTERRUPTION_ERROR_CODE);
                raw.qualification = self.vmcs.read(EXIT_QUALIFICATION) as u64;
                if raw.interruption >> 8 & 7 == INTERRUPTION_NMI {
                    interrupts::note_nmi();
                }
                self.note_debug_exception(&raw);
            }
            basic => {
                raw.qualification = self.vmcs.read(EXIT_QUALIFICATION) as u64;
                raw.length = self.vmcs.read(EXIT_INSTRUCTION_LENGTH);
                if basic == BASIC_EPT_VIOLATION {
                    raw.physical = self.vmcs.read(GUEST_PHYSICAL_ADDRESS);
                } else if basic == BASIC_IO && raw.qualification & IO_STRING != 0 {
                    raw.linear = self.vmcs.read(GUEST_LINEAR_ADDRESS) as u64;
                    raw.instruction = self.vmcs.read(EXIT_INSTRUCTION_INFORMATION);
                }
            }
        }
        self.note_interrupted_delivery(&raw);
        parse(&raw)
    }

    /// An exit can strike while an event is being delivered: that event is not lost.
    fn note_interrupted_delivery(&mut self, raw: &Raw) {
        let information = self.vmcs.read(IDT_VECTORING_INFORMATION);
        if information == 0 {
            if raw.reason == BASIC_EPT_VIOLATION && raw.qualification & NMI_UNBLOCKED != 0 {
                // IRET had ended NMI blocking before it faulted, and will be executed again [SDM3C 28.2.3].
                let state = self.vmcs.read(GUEST_INTERRUPTIBILITY);
                self.vmcs.write(GUEST_INTERRUPTIBILITY, state | BLOCKING_BY_NMI);
            }
        } else {
            let (error, length) =
                (self.vmcs.read(IDT_VECTORING_ERROR_CODE), self.vmcs.read(EXIT_INSTRUCTION_LENGTH));
            self.interrupted = interrupted_event(information, error, length);
            if self.interrupted == Some(Event::Nmi) {
                // Delivery begins again, and blocks NMIs itself [SDM3C 28.2.4].
                let state = self.vmcs.read(GUEST_INTERRUPTIBILITY);
                self.vmcs.write(GUEST_INTERRUPTIBILITY, state & !BLOCKING_BY_NMI);
            }
        }
    }

    /// What to deliver now: an event whose delivery was interrupted, unless an exception comes before it or
    /// the guest cannot take it.
    fn next_event(&mut self, inject: Option<Event>) -> Option<Event> {
        match (self.interrupted, inject) {
            (None, event) | (Some(_), event @ Some(_)) => event,
            (Some(Event::Interrupt(_)), None) if !self.accepts_interrupts() => None,
            (Some(_), None) => self.interrupted.take(),
        }
    }

    fn accepts_interrupts(&self) -> bool {
        self.rflags() & RFLAGS_IF != 0
            && self.vmcs.read(GUEST_INTERRUPTIBILITY) & (BLOCKING_BY_STI | BLOCKING_BY_MOV_SS) == 0
    }

    /// An intercepted #DB has not changed DR6 yet [SDM3C 28.2.1]: bits 3:0, 13, 14 are in the qualification.
    fn note_debug_exception(&self, raw: &Raw) {
        if raw.interruption as u8 == 1 {
            unsaved::add_to_dr6(raw.qualification & 0x600f);
        }
    }
}

type SegmentFields =
    (Field<u16, ReadWrite>, Field<u32, ReadWrite>, Field<u32, ReadWrite>, Field<usize, ReadWrite>);

/// In the order of [`Segment`].
const SEGMENTS: [SegmentFields; 6] = [
    (GUEST_ES_SELECTOR, GUEST_ES_LIMIT, GUEST_ES_RIGHTS, GUEST_ES_BASE),
    (GUEST_CS_SELECTOR, GUEST_CS_LIMIT, GUEST_CS_RIGHTS, GUEST_CS_BASE),
    (GUEST_SS_SELECTOR, GUEST_SS_LIMIT, GUEST_SS_RIGHTS, GUEST_SS_BASE),
    (GUEST_DS_SELECTOR, GUEST_DS_LIMIT, GUEST_DS_RIGHTS, GUEST_DS_BASE),
    (GUEST_FS_SELECTOR, GUEST_FS_LIMIT, GUEST_FS_RIGHTS, GUEST_FS_BASE),
    (GUEST_GS_SELECTOR, GUEST_GS_LIMIT, GUEST_GS_RIGHTS, GUEST_GS_BASE),
];

/// A control register as the guest reads it: masked bits from the shadow [SDM3C 26.3].
fn guest_view(hardware: usize, shadow: usize, mask: usize) -> u64 {
    (hardware & !mask | shadow & mask) as u64
}

impl VirtualCpu for Vcpu {
    type Tables = nested_paging::Ept;

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
            cr4_reserved: !cr4,
            interrupted: None,
            windows: 0,
            msrs: msrs::Switched::new(),
            extended: ExtendedState::new(frames)?,
            unsaved: unsaved::Unsaved::default(),
        };
        // VPID 0 is Weir's own.
        let pointer = nested.eptp(false);
        vcpu.set_controls(pointer, number + 1);
        vcpu.set_host_state();
        vcpu.set_guest_state();
        operation::invalidate_vpid(number + 1);
        operation::invalidate_ept(pointer);
        Ok(vcpu)
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
            efer: self.vmcs.read(GUEST_EFER),
            code_64: rights & RIGHTS_L != 0,
            code_32: rights & RIGHTS_D != 0,
        }
    }

    fn segment(&self, which: Segment) -> SegmentState {
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
        for which in [0, 2, 3, 4, 5] {
            self.set_segment(which, state.data_selector, 0xffff_ffff, RIGHTS_DATA);
        }
        self.set_segment(Segment::Cs as usize, state.code_selector, 0xffff_ffff, RIGHTS_CODE_64);
        self.vmcs.write(GUEST_GDTR_BASE, state.gdt_base as usize);
        self.vmcs.write(GUEST_GDTR_LIMIT, state.gdt_limit.into());
        self.vmcs.write(GUEST_CR3, state.cr3 as usize);
        self.set_cr0(CR0_PE | CR0_ET | CR0_NE | CR0_PG);
        self.set_cr4(CR4_PAE);
        self.set_efer(EFER_LME | EFER_LMA);
        self.vmcs.write(GUEST_RIP, state.rip as usize);
        self.vmcs.write(GUEST_RSP, state.rsp as usize);
        self.registers = Registers::default();
        self.registers.general[RSI] = state.rsi;
    }

    fn read_msr(&self, index: u32) -> Option<u64> {
        Some(match index {
            msrs::IA32_EFER => self.vmcs.read(GUEST_EFER),
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
                let old = self.vmcs.read(GUEST_EFER);
                if (old ^ value) & EFER_LME != 0 && self.cr0() & CR0_PG != 0 {
                    return false;
                }
                self.set_efer(value & !EFER_LMA | old & EFER_LMA);
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

    fn write_xcr0(&mut self, value: u64) -> bool {
        self.extended.set_xcr0(value)
    }

    fn xcr0(&self) -> u64 {
        self.extended.xcr0()
    }

    fn cr4(&self) -> u64 {
        guest_view(self.vmcs.read(GUEST_CR4), self.vmcs.read(CR4_SHADOW), self.vmcs.read(CR4_MASK))
    }

    fn report(&self, out: &mut dyn FnMut(fmt::Arguments)) {
        const NAMES: [&str; 16] = [
            "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13",
            "r14", "r15",
        ];
        let mut general = self.registers.general;
        general[RSP] = self.vmcs.read(GUEST_RSP) as u64;
        for (names, values) in NAMES.chunks(4).zip(general.chunks(4)) {
            out(format_args!(
                "{:3} {:016x} {:3} {:016x} {:3} {:016x} {:3} {:016x}",
                names[0], values[0], names[1], values[1], names[2], values[2], names[3], values[3]
            ));
        }
        let paging = self.paging();
        out(format_args!("rip {:016x} rflags {:08x}", self.rip(), self.rflags()));
        out(format_args!(
            "cr0 {:08x} cr3 {:016x} cr4 {:08x} efer {:04x}",
            paging.cr0, paging.cr3, paging.cr4, paging.efer
        ));
        for (name, which) in [("cs", Segment::Cs), ("ss", Segment::Ss), ("ds", Segment::Ds)] {
            let s = self.segment(which);
            out(format_args!(
                "{name} {:04x} base {:x} limit {:x} rights {:x}",
                s.selector, s.base, s.limit, s.rights
            ));
        }
        out(format_args!(
            "gdt {:x}+{:x} idt {:x}+{:x} interruptibility {:x} activity {:x}",
            self.vmcs.read(GUEST_GDTR_BASE),
            self.vmcs.read(GUEST_GDTR_LIMIT),
            self.vmcs.read(GUEST_IDTR_BASE),
            self.vmcs.read(GUEST_IDTR_LIMIT),
            self.vmcs.read(GUEST_INTERRUPTIBILITY),
            self.vmcs.read(GUEST_ACTIVITY),
        ));
        out(format_args!(
            "vm-exit reason {:#x} qualification {:#x} physical {:#x} linear {:#x} idt-vectoring {:#x}",
            self.vmcs.read(EXIT_REASON),
            self.vmcs.read(EXIT_QUALIFICATION),
            self.vmcs.read(GUEST_PHYSICAL_ADDRESS),
            self.vmcs.read(GUEST_LINEAR_ADDRESS),
            self.vmcs.read(IDT_VECTORING_INFORMATION),
        ));
    }
}
