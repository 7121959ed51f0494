//! The VMCS before the first entry: controls, Weir's state, and the guest's state after reset and at boot.

use super::controls::SecondaryControls;
use super::fields::*;
use super::modes::cr0_mask;
use super::msrs;
use super::operation::Translations;
use super::vcpu::Vcpu;
use crate::memory::PAGE;
use crate::processor::{clock, cores, cpu, descriptors};
use crate::virt::intercept_maps::EXCEPTIONS;
use crate::virt::state::control_registers::*;
use crate::virt::state::registers::RSI;
use crate::virt::{GeneralRegisters, SegmentRegister};
use platform::boot::EntryState;
use x86_64::registers::control::{Cr0, Cr3, Cr4, Efer};

/// Access rights [SDM3C 25.4.1]: type, S, DPL, P, AVL, L, D/B, G, unusable.
const RIGHTS_CODE_64: u32 = 0xa09b;
const RIGHTS_DATA: u32 = 0xc093;
const RIGHTS_TSS: u32 = 0x008b;
const RIGHTS_UNUSABLE: u32 = 1 << 16;

impl Vcpu {
    fn set_segment(&mut self, segment: SegmentFields, selector: u16, limit: u32, rights: u32) {
        self.vmcs.write(segment.selector, selector);
        self.vmcs.write(segment.base, 0);
        self.vmcs.write(segment.limit, limit);
        self.vmcs.write(segment.rights, rights);
    }

    pub(super) fn set_controls(&mut self, translations: Translations) {
        let controls = self.controls;
        let vmcs = &mut self.vmcs;
        vmcs.write(PIN_CONTROLS, controls.pin);
        vmcs.write(PRIMARY_CONTROLS, controls.primary);
        vmcs.write(SECONDARY_CONTROLS, controls.secondary);
        vmcs.write(EXIT_CONTROLS, controls.exit);
        vmcs.write(ENTRY_CONTROLS, controls.entry);
        vmcs.write(EXCEPTION_BITMAP, EXCEPTIONS);
        for unused in [PAGE_FAULT_MASK, PAGE_FAULT_MATCH, CR3_TARGET_COUNT, EXIT_MSR_STORE_COUNT] {
            vmcs.write(unused, 0);
        }
        for unused in [EXIT_MSR_LOAD_COUNT, ENTRY_MSR_LOAD_COUNT, ENTRY_INTERRUPTION_INFORMATION] {
            vmcs.write(unused, 0);
        }
        vmcs.write(IO_BITMAP_A, self.operation.io_permissions.0);
        vmcs.write(IO_BITMAP_B, self.operation.io_permissions.0 + PAGE);
        vmcs.write(MSR_BITMAPS, self.operation.msr_permissions.0);
        vmcs.write(EPT_POINTER, translations.ept_pointer);
        vmcs.write(VPID, translations.vpid);
        vmcs.write(VMCS_LINK_POINTER, u64::MAX);
        // The guest's TSC is zero at time zero of Weir's clock.
        vmcs.write(TSC_OFFSET, clock::origin().wrapping_neg());
        if controls.secondary.contains(SecondaryControls::XSAVES) {
            vmcs.write(XSS_EXITING_BITMAP, 0);
        }
        if controls.secondary.contains(SecondaryControls::ENCLS_EXITING) {
            vmcs.write(ENCLS_EXITING_BITMAP, u64::MAX);
        }
    }

    pub(super) fn set_host_state(&mut self) {
        let Some(segments) = descriptors::host_segments() else { return };
        let (gdt, idt) = (x86_64::instructions::tables::sgdt(), x86_64::instructions::tables::sidt());
        let (frame, flags) = Cr3::read_raw();
        let vmcs = &mut self.vmcs;
        vmcs.write(HOST_CR0, Cr0::read_raw());
        vmcs.write(HOST_CR3, frame.start_address().as_u64() | u64::from(flags));
        vmcs.write(HOST_CR4, Cr4::read_raw());
        let (code, data) = (segments.code, segments.data);
        for (number, selector) in (0..).zip([data, code, data, data, 0, 0, segments.task]) {
            vmcs.write(host_selector(number), selector);
        }
        vmcs.write(HOST_FS_BASE, 0);
        vmcs.write(HOST_GS_BASE, cores::gs_base());
        vmcs.write(HOST_TR_BASE, segments.task_base);
        vmcs.write(HOST_GDTR_BASE, gdt.base.as_u64());
        vmcs.write(HOST_IDTR_BASE, idt.base.as_u64());
        vmcs.write(HOST_SYSENTER_CS, 0);
        vmcs.write(HOST_SYSENTER_ESP, 0);
        vmcs.write(HOST_SYSENTER_EIP, 0);
        vmcs.write(HOST_PAT, cpu::rdmsr(msrs::IA32_PAT));
        vmcs.write(HOST_EFER, Efer::read_raw());
    }

    pub(super) fn set_guest_state(&mut self) {
        for segment in GUEST_SEGMENTS {
            self.set_segment(segment, 0, 0xffff_ffff, RIGHTS_DATA);
        }
        self.set_segment(GUEST_LDTR, 0, 0, RIGHTS_UNUSABLE);
        self.set_segment(GUEST_TR, 0, 0xffff, RIGHTS_TSS);
        let vmcs = &mut self.vmcs;
        let zero =
            [GUEST_IDTR_BASE, GUEST_DEBUGCTL, GUEST_PENDING_DEBUG, GUEST_SYSENTER_ESP, GUEST_SYSENTER_EIP];
        zero.into_iter().for_each(|field| vmcs.write(field, 0));
        let zero = [GUEST_IDTR_LIMIT, GUEST_ACTIVITY, GUEST_SYSENTER_CS];
        zero.into_iter().for_each(|field| vmcs.write(field, 0));
        vmcs.write(GUEST_DR7, 0x400);
        vmcs.write(GUEST_PAT, PAT_RESET);
        vmcs.write(GUEST_INTERRUPTIBILITY, Interruptibility::empty());
        vmcs.write(GUEST_RFLAGS, RFLAGS_RESERVED_1);
        vmcs.write(CR0_MASK, cr0_mask());
        let mask = self.cr4_mask();
        self.vmcs.write(CR4_MASK, mask);
    }

    /// Sets the guest's registers to the entry state of the boot protocol.
    pub(super) fn start_at(&mut self, state: &EntryState) {
        for which in [0, 2, 3, 4, 5] {
            self.set_segment(GUEST_SEGMENTS[which], state.data_selector, 0xffff_ffff, RIGHTS_DATA);
        }
        let code = GUEST_SEGMENTS[SegmentRegister::Cs as usize];
        self.set_segment(code, state.code_selector, 0xffff_ffff, RIGHTS_CODE_64);
        self.vmcs.write(GUEST_GDTR_BASE, state.gdt_base);
        self.vmcs.write(GUEST_GDTR_LIMIT, state.gdt_limit.into());
        self.vmcs.write(GUEST_CR3, state.cr3);
        self.set_cr0(CR0_AT_BOOT);
        self.set_cr4(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
        self.set_efer(EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE);
        self.vmcs.write(GUEST_RIP, state.rip);
        self.vmcs.write(GUEST_RSP, state.rsp);
        self.registers = GeneralRegisters::default();
        self.registers.general[RSI] = state.rsi;
    }
}
