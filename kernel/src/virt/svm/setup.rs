//! The VMCB before the first entry: controls, and the guest's state after reset and at boot.

use super::controls::{NestedControl, VirtualInterrupt};
use super::fields::*;
use super::vcpu::Vcpu;
use crate::processor::clock;
use crate::virt::intercept_maps::EXCEPTIONS;
use crate::virt::state::control_registers::*;
use crate::virt::state::registers::RSI;
use crate::virt::{GeneralRegisters, SegmentRegister};
use platform::boot::EntryState;

/// Segment attributes [APM2 15.5.1, 4.7]: type, S, DPL, P, AVL, L, D/B, G.
const ATTRIBUTES_CODE_64: u16 = 0x0a9b;
const ATTRIBUTES_DATA: u16 = 0x0c93;
const ATTRIBUTES_TSS: u16 = 0x008b;
/// Values after reset [APM2 table 14-1].
const DR6_RESET: u64 = 0xffff_0ff0;
const DR7_RESET: u64 = 0x400;

impl Vcpu {
    fn set_segment(&mut self, segment: SegmentFields, selector: u16, limit: u32, attributes: u16) {
        self.vmcb.write(segment.selector, selector);
        self.vmcb.write(segment.base, 0);
        self.vmcb.write(segment.limit, limit);
        self.vmcb.write(segment.attributes, attributes);
    }

    pub(super) fn set_controls(&mut self, nested_cr3: u64, asid: u32) {
        let controls = self.controls;
        let vmcb = &mut self.vmcb;
        vmcb.write(INTERCEPT_CONTROL_REGISTERS, controls.control_registers);
        vmcb.write(INTERCEPT_EXCEPTIONS, EXCEPTIONS);
        vmcb.write(INTERCEPT_INSTRUCTIONS, controls.instructions);
        vmcb.write(INTERCEPT_EXTENSIONS, controls.extensions);
        vmcb.write(IO_PERMISSIONS, self.operation.io_permissions.0);
        vmcb.write(MSR_PERMISSIONS, self.operation.msr_permissions.0);
        vmcb.write(ASID, asid);
        vmcb.write(VIRTUAL_INTERRUPT, VirtualInterrupt::V_INTR_MASKING);
        vmcb.write(NESTED_CONTROL, NestedControl::NP_ENABLE);
        vmcb.write(NESTED_CR3, nested_cr3);
        // The guest's TSC is zero at time zero of Weir's clock.
        vmcb.write(TSC_OFFSET, clock::origin().wrapping_neg());
    }

    pub(super) fn set_guest_state(&mut self) {
        for segment in GUEST_SEGMENTS {
            self.set_segment(segment, 0, 0xffff_ffff, ATTRIBUTES_DATA);
        }
        self.set_segment(GUEST_LDTR, 0, 0, 0);
        self.set_segment(GUEST_TR, 0, 0xffff, ATTRIBUTES_TSS);
        let vmcb = &mut self.vmcb;
        vmcb.write(GUEST_IDTR_BASE, 0);
        vmcb.write(GUEST_IDTR_LIMIT, 0);
        vmcb.write(GUEST_CPL, 0);
        vmcb.write(GUEST_DR6, DR6_RESET);
        vmcb.write(GUEST_DR7, DR7_RESET);
        vmcb.write(GUEST_PAT, PAT_RESET);
        vmcb.write(INTERRUPT_SHADOW, InterruptShadow::empty());
        vmcb.write(GUEST_RFLAGS, RFLAGS_RESERVED_1);
    }

    /// Sets the guest's registers to the entry state of the boot protocol.
    pub(super) fn start_at(&mut self, state: &EntryState) {
        for which in [0, 2, 3, 4, 5] {
            self.set_segment(GUEST_SEGMENTS[which], state.data_selector, 0xffff_ffff, ATTRIBUTES_DATA);
        }
        let code = GUEST_SEGMENTS[SegmentRegister::Cs as usize];
        self.set_segment(code, state.code_selector, 0xffff_ffff, ATTRIBUTES_CODE_64);
        self.vmcb.write(GUEST_GDTR_BASE, state.gdt_base);
        self.vmcb.write(GUEST_GDTR_LIMIT, state.gdt_limit.into());
        self.vmcb.write(GUEST_CR3, state.cr3);
        self.set_cr0(CR0_AT_BOOT);
        self.set_cr4(Cr4Flags::PHYSICAL_ADDRESS_EXTENSION);
        self.set_efer(EferFlags::LONG_MODE_ENABLE | EferFlags::LONG_MODE_ACTIVE);
        self.vmcb.write(GUEST_RIP, state.rip);
        self.vmcb.write(GUEST_RSP, state.rsp);
        self.vmcb.write(GUEST_RAX, 0);
        self.registers = GeneralRegisters::default();
        self.registers.general[RSI] = state.rsi;
    }
}
