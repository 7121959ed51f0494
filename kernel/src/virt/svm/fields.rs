//! VMCB fields by offset [APM2 B].

use super::controls::{
    CleanBits, ControlRegisterIntercepts, ExtensionIntercepts, InstructionIntercepts, NestedControl,
    VirtualInterrupt,
};
pub use crate::virt::control_field::{ControlField, ReadOnly, ReadWrite};
use crate::virt::control_field::{fields, flags};
use crate::virt::intercept_maps::Exceptions;
use crate::virt::state::control_registers::{Cr0Flags, Cr4Flags, EferFlags, RFlags};
use bitflags::bitflags;

bitflags! {
    /// What keeps an event from being delivered to the guest [APM2 15.21.5].
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InterruptShadow: u32 {
        /// The instruction before was an STI or loaded SS.
        const SHADOW = 1 << 0;
    }
}

flags!(ControlRegisterIntercepts, InstructionIntercepts, ExtensionIntercepts, InterruptShadow);
flags!(VirtualInterrupt, NestedControl, CleanBits);

/// The bit of [`CLEAN`] that covers a field [APM2 15.15.3]; none for fields that the processor reads at
/// every entry.
pub const fn clean_bit<T, A>(field: ControlField<T, A>) -> CleanBits {
    match field.0 {
        // Intercepts, addresses of the permission maps, TSC offset.
        0x000..0x050 => CleanBits::I.union(CleanBits::IOPM),
        0x050 => CleanBits::I,
        0x058 => CleanBits::ASID,
        0x060 | 0x064 => CleanBits::TPR,
        0x090 | 0x0b0 | 0x668 => CleanBits::NP,
        0x4d0 | 0x548 | 0x550 | 0x558 => CleanBits::CRX,
        0x560 | 0x568 => CleanBits::DRX,
        0x460..0x470 | 0x480..0x490 => CleanBits::DT,
        0x400..0x460 | 0x4cb => CleanBits::SEG,
        0x640 => CleanBits::CR2,
        0x670 => CleanBits::LBR,
        _ => CleanBits::empty(),
    }
}

fields! {
    "APM2 B";
    u32, ReadWrite: {
        ASID = 0x058, TLB_CONTROL = 0x05c, VIRTUAL_INTERRUPT_VECTOR = 0x064, GUEST_GDTR_LIMIT = 0x464,
        GUEST_IDTR_LIMIT = 0x484,
    }
    u64, ReadWrite: {
        IO_PERMISSIONS = 0x040, MSR_PERMISSIONS = 0x048, TSC_OFFSET = 0x050, EVENT_INJECTION = 0x0a8,
        NESTED_CR3 = 0x0b0, GUEST_GDTR_BASE = 0x468, GUEST_IDTR_BASE = 0x488, GUEST_CR3 = 0x550,
        GUEST_DR7 = 0x560, GUEST_DR6 = 0x568, GUEST_RIP = 0x578, GUEST_RSP = 0x5d8, GUEST_RAX = 0x5f8,
        GUEST_CR2 = 0x640, GUEST_PAT = 0x668,
    }
    ControlRegisterIntercepts, ReadWrite: { INTERCEPT_CONTROL_REGISTERS = 0x000, }
    Exceptions, ReadWrite: { INTERCEPT_EXCEPTIONS = 0x008, }
    InstructionIntercepts, ReadWrite: { INTERCEPT_INSTRUCTIONS = 0x00c, }
    ExtensionIntercepts, ReadWrite: { INTERCEPT_EXTENSIONS = 0x010, }
    VirtualInterrupt, ReadWrite: { VIRTUAL_INTERRUPT = 0x060, }
    InterruptShadow, ReadWrite: { INTERRUPT_SHADOW = 0x068, }
    NestedControl, ReadWrite: { NESTED_CONTROL = 0x090, }
    CleanBits, ReadWrite: { CLEAN = 0x0c0, }
    EferFlags, ReadWrite: { GUEST_EFER = 0x4d0, }
    Cr4Flags, ReadWrite: { GUEST_CR4 = 0x548, }
    Cr0Flags, ReadWrite: { GUEST_CR0 = 0x558, }
    RFlags, ReadWrite: { GUEST_RFLAGS = 0x570, }
    u64, ReadOnly: {
        EXIT_CODE = 0x070, EXIT_INFO_1 = 0x078, EXIT_INFO_2 = 0x080, EXIT_INTERRUPT_INFO = 0x088,
        NEXT_RIP = 0x0c8,
    }
    u8, ReadWrite: { GUEST_CPL = 0x4cb, }
}

/// The fields of a segment register.
#[derive(Clone, Copy)]
pub struct SegmentFields {
    /// Selector.
    pub selector: ControlField<u16, ReadWrite>,
    /// Bits 55:52 and 47:40 of the descriptor, adjacent [APM2 15.5.1].
    pub attributes: ControlField<u16, ReadWrite>,
    /// Limit in bytes.
    pub limit: ControlField<u32, ReadWrite>,
    /// Linear base address.
    pub base: ControlField<u64, ReadWrite>,
}

const fn segment(offset: u32) -> SegmentFields {
    SegmentFields {
        selector: ControlField::at(offset),
        attributes: ControlField::at(offset + 2),
        limit: ControlField::at(offset + 4),
        base: ControlField::at(offset + 8),
    }
}

/// In the order of [`SegmentRegister`](crate::virt::SegmentRegister).
pub const GUEST_SEGMENTS: [SegmentFields; 6] =
    [segment(0x400), segment(0x410), segment(0x420), segment(0x430), segment(0x440), segment(0x450)];
/// LDTR.
pub const GUEST_LDTR: SegmentFields = segment(0x470);
/// TR.
pub const GUEST_TR: SegmentFields = segment(0x490);

/// Offset of the instruction bytes: their number, then 15 bytes [APM2 15.8.4].
pub const INSTRUCTION_BYTES: u32 = 0x0d0;

/// MSRs that VMLOAD and VMSAVE switch, with their VMCB fields [APM2 15.5.2].
pub const SAVED_MSRS: [(u32, ControlField<u64, ReadWrite>); 10] = [
    (0xc000_0100, ControlField::at(0x448)), // FS base
    (0xc000_0101, ControlField::at(0x458)), // GS base
    (0xc000_0081, ControlField::at(0x600)), // STAR
    (0xc000_0082, ControlField::at(0x608)), // LSTAR
    (0xc000_0083, ControlField::at(0x610)), // CSTAR
    (0xc000_0084, ControlField::at(0x618)), // SFMASK
    (0xc000_0102, ControlField::at(0x620)), // KernelGSBase
    (0x174, ControlField::at(0x628)),       // SYSENTER_CS
    (0x175, ControlField::at(0x630)),       // SYSENTER_ESP
    (0x176, ControlField::at(0x638)),       // SYSENTER_EIP
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_the_processor_may_cache_have_a_clean_bit() {
        assert_eq!(clean_bit(GUEST_CR0).bits(), 1 << 5);
        assert_eq!(clean_bit(GUEST_SEGMENTS[1].attributes).bits(), 1 << 8);
        assert_eq!(clean_bit(GUEST_IDTR_BASE).bits(), 1 << 7);
        assert_eq!(clean_bit(VIRTUAL_INTERRUPT).bits(), 1 << 3);
        // Read at every entry.
        for bit in [clean_bit(GUEST_RIP), clean_bit(GUEST_RFLAGS), clean_bit(EVENT_INJECTION)] {
            assert_eq!(bit, CleanBits::empty());
        }
        let loaded = clean_bit(GUEST_TR.base) | clean_bit(GUEST_LDTR.base);
        assert_eq!(loaded, CleanBits::empty(), "VMLOAD reads them");
    }

    #[test]
    fn clean_bits_without_a_name_stay_set() {
        assert_eq!((CleanBits::EVERYTHING - clean_bit(GUEST_CR0)).bits(), !(1 << 5));
    }
}
