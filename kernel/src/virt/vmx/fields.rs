//! VMCS fields by encoding [SDM3D B]. Fields of natural width are 64 bits wide, because Weir runs in 64-bit mode.

use super::controls::{EntryControls, ExitControls, PinControls, PrimaryControls, SecondaryControls};
pub use crate::virt::control_field::{ControlField, ReadOnly, ReadWrite};
use crate::virt::control_field::{fields, flags};
use crate::virt::intercept_maps::Exceptions;
use crate::virt::state::control_registers::{Cr0Flags, Cr4Flags, EferFlags, RFlags};
use bitflags::bitflags;

bitflags! {
    /// What keeps an event from being delivered to the guest [SDM3C 25.4.2].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Interruptibility: u32 {
        /// The instruction before was an STI that enabled interrupts.
        const BLOCKING_BY_STI = 1 << 0;
        /// The instruction before loaded SS.
        const BLOCKING_BY_MOV_SS = 1 << 1;
        /// The guest is in its NMI handler.
        const BLOCKING_BY_NMI = 1 << 3;
        /// The shadow of either instruction, which ends after the next one.
        const SHADOW = Self::BLOCKING_BY_STI.bits() | Self::BLOCKING_BY_MOV_SS.bits();
    }
}

flags!(PinControls, PrimaryControls, SecondaryControls, ExitControls, EntryControls, Interruptibility);

fields! {
    "SDM3D B";
    u16, ReadWrite: { VPID = 0x0000, }
    u64, ReadWrite: {
        IO_BITMAP_A = 0x2000, IO_BITMAP_B = 0x2002, MSR_BITMAPS = 0x2004, TSC_OFFSET = 0x2010,
        EPT_POINTER = 0x201a, XSS_EXITING_BITMAP = 0x202c, ENCLS_EXITING_BITMAP = 0x202e, VMCS_LINK_POINTER = 0x2800,
        GUEST_DEBUGCTL = 0x2802, GUEST_PAT = 0x2804, HOST_PAT = 0x2c00, HOST_EFER = 0x2c02,
    }
    u64, ReadOnly: { GUEST_PHYSICAL_ADDRESS = 0x2400, }
    u32, ReadWrite: {
        PAGE_FAULT_MASK = 0x4006, PAGE_FAULT_MATCH = 0x4008, CR3_TARGET_COUNT = 0x400a,
        EXIT_MSR_STORE_COUNT = 0x400e, EXIT_MSR_LOAD_COUNT = 0x4010, ENTRY_MSR_LOAD_COUNT = 0x4014,
        ENTRY_INTERRUPTION_INFORMATION = 0x4016, ENTRY_EXCEPTION_ERROR_CODE = 0x4018,
        ENTRY_INSTRUCTION_LENGTH = 0x401a, GUEST_GDTR_LIMIT = 0x4810, GUEST_IDTR_LIMIT = 0x4812,
        GUEST_ACTIVITY = 0x4826, GUEST_SYSENTER_CS = 0x482a, PREEMPTION_TIMER = 0x482e,
        HOST_SYSENTER_CS = 0x4c00,
    }
    u32, ReadOnly: {
        INSTRUCTION_ERROR = 0x4400, EXIT_REASON = 0x4402, EXIT_INTERRUPTION_INFORMATION = 0x4404,
        EXIT_INTERRUPTION_ERROR_CODE = 0x4406, IDT_VECTORING_INFORMATION = 0x4408,
        IDT_VECTORING_ERROR_CODE = 0x440a, EXIT_INSTRUCTION_LENGTH = 0x440c,
        EXIT_INSTRUCTION_INFORMATION = 0x440e,
    }
    PinControls, ReadWrite: { PIN_CONTROLS = 0x4000, }
    PrimaryControls, ReadWrite: { PRIMARY_CONTROLS = 0x4002, }
    SecondaryControls, ReadWrite: { SECONDARY_CONTROLS = 0x401e, }
    ExitControls, ReadWrite: { EXIT_CONTROLS = 0x400c, }
    EntryControls, ReadWrite: { ENTRY_CONTROLS = 0x4012, }
    Exceptions, ReadWrite: { EXCEPTION_BITMAP = 0x4004, }
    Interruptibility, ReadWrite: { GUEST_INTERRUPTIBILITY = 0x4824, }
    Cr0Flags, ReadWrite: { CR0_MASK = 0x6000, CR0_SHADOW = 0x6004, GUEST_CR0 = 0x6800, }
    Cr4Flags, ReadWrite: { CR4_MASK = 0x6002, CR4_SHADOW = 0x6006, GUEST_CR4 = 0x6804, }
    EferFlags, ReadWrite: { GUEST_EFER = 0x2806, }
    RFlags, ReadWrite: { GUEST_RFLAGS = 0x6820, }
    u64, ReadWrite: { // of natural width
        GUEST_CR3 = 0x6802, GUEST_GDTR_BASE = 0x6816, GUEST_IDTR_BASE = 0x6818, GUEST_DR7 = 0x681a,
        GUEST_RSP = 0x681c, GUEST_RIP = 0x681e, GUEST_PENDING_DEBUG = 0x6822,
        GUEST_SYSENTER_ESP = 0x6824, GUEST_SYSENTER_EIP = 0x6826, HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02,
        HOST_CR4 = 0x6c04, HOST_FS_BASE = 0x6c06, HOST_GS_BASE = 0x6c08, HOST_TR_BASE = 0x6c0a,
        HOST_GDTR_BASE = 0x6c0c, HOST_IDTR_BASE = 0x6c0e, HOST_SYSENTER_ESP = 0x6c10,
        HOST_SYSENTER_EIP = 0x6c12,
    }
    u64, ReadOnly: { EXIT_QUALIFICATION = 0x6400, GUEST_LINEAR_ADDRESS = 0x640a, } // of natural width
}

/// The fields of a segment register.
#[derive(Clone, Copy)]
pub struct SegmentFields {
    /// Selector.
    pub selector: ControlField<u16, ReadWrite>,
    /// Limit in bytes.
    pub limit: ControlField<u32, ReadWrite>,
    /// Access rights [SDM3C 25.4.1].
    pub rights: ControlField<u32, ReadWrite>,
    /// Linear base address.
    pub base: ControlField<u64, ReadWrite>,
}

const fn segment(number: u32) -> SegmentFields {
    SegmentFields {
        selector: ControlField::at(0x0800 + 2 * number),
        limit: ControlField::at(0x4800 + 2 * number),
        rights: ControlField::at(0x4814 + 2 * number),
        base: ControlField::at(0x6806 + 2 * number),
    }
}

/// In the order of [`SegmentRegister`](crate::virt::SegmentRegister).
pub const GUEST_SEGMENTS: [SegmentFields; 6] =
    [segment(0), segment(1), segment(2), segment(3), segment(4), segment(5)];
/// LDTR.
pub const GUEST_LDTR: SegmentFields = segment(6);
/// TR.
pub const GUEST_TR: SegmentFields = segment(7);

/// Selectors of Weir: ES, CS, SS, DS, FS, GS, TR.
pub const fn host_selector(number: u32) -> ControlField<u16, ReadWrite> {
    ControlField::at(0x0c00 + 2 * number)
}

/// A page-directory-pointer entry: an entry loads all four for a guest in PAE paging, and an exit saves them
/// [SDM3C 25.4.2].
pub const fn guest_pdpte(number: u32) -> ControlField<u64, ReadWrite> {
    ControlField::at(0x280a + 2 * number)
}
