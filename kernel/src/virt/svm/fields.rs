//! VMCB fields by offset [APM2 B], each with the width and the access that it has: what only the processor
//! writes has no write.

use core::marker::PhantomData;

/// Exit information: written by the processor only.
pub struct ReadOnly;
/// Control and guest state.
pub struct ReadWrite;

/// A VMCB field that holds a `T`.
pub struct Field<T, A>(pub usize, PhantomData<(T, A)>);

impl<T, A> Clone for Field<T, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, A> Copy for Field<T, A> {}

impl<T, A> Field<T, A> {
    /// The bit of [`CLEAN`] that says that the field has not changed since the last exit [APM2 15.15.3]; zero
    /// for fields that are read at every entry.
    pub const fn clean_bit(self) -> u32 {
        match self.0 {
            0x000..0x050 => 1 << 0 | 1 << 1, // intercepts and permission maps, TSC offset
            0x050 => 1 << 0,
            0x058 => 1 << 2,                         // ASID
            0x060 | 0x064 => 1 << 3,                 // virtual interrupts
            0x090 | 0x0b0 | 0x668 => 1 << 4,         // nested paging
            0x4d0 | 0x548 | 0x550 | 0x558 => 1 << 5, // control registers and EFER
            0x560 | 0x568 => 1 << 6,                 // debug registers
            0x460..0x470 | 0x480..0x490 => 1 << 7,   // descriptor tables
            0x400..0x460 | 0x4cb => 1 << 8,          // segments and CPL
            0x640 => 1 << 9,                         // CR2
            0x670 => 1 << 10,                        // last branches
            _ => 0,
        }
    }
}

macro_rules! fields {
    ($($type:ty, $access:ident: { $($name:ident = $offset:literal,)* })*) => {
        $($(
            #[doc = concat!("Offset ", stringify!($offset), " [APM2 B].")]
            pub const $name: Field<$type, $access> = Field($offset, PhantomData);
        )*)*
    };
}

fields! {
    u32, ReadWrite: {
        INTERCEPT_CONTROL_REGISTERS = 0x000,
        INTERCEPT_EXCEPTIONS = 0x008,
        INTERCEPT_INSTRUCTIONS = 0x00c,
        INTERCEPT_EXTENSIONS = 0x010,
        ASID = 0x058,
        TLB_CONTROL = 0x05c,
        VIRTUAL_INTERRUPT = 0x060,
        VIRTUAL_INTERRUPT_VECTOR = 0x064,
        INTERRUPT_SHADOW = 0x068,
        CLEAN = 0x0c0,
        GUEST_GDTR_LIMIT = 0x464,
        GUEST_IDTR_LIMIT = 0x484,
    }
    u64, ReadWrite: {
        IO_PERMISSIONS = 0x040,
        MSR_PERMISSIONS = 0x048,
        TSC_OFFSET = 0x050,
        NESTED_CONTROL = 0x090,
        EVENT_INJECTION = 0x0a8,
        NESTED_CR3 = 0x0b0,
        GUEST_GDTR_BASE = 0x468,
        GUEST_IDTR_BASE = 0x488,
        GUEST_EFER = 0x4d0,
        GUEST_CR4 = 0x548,
        GUEST_CR3 = 0x550,
        GUEST_CR0 = 0x558,
        GUEST_DR7 = 0x560,
        GUEST_DR6 = 0x568,
        GUEST_RFLAGS = 0x570,
        GUEST_RIP = 0x578,
        GUEST_RSP = 0x5d8,
        GUEST_RAX = 0x5f8,
        GUEST_CR2 = 0x640,
        GUEST_PAT = 0x668,
    }
    u64, ReadOnly: {
        EXIT_CODE = 0x070,
        EXIT_INFO_1 = 0x078,
        EXIT_INFO_2 = 0x080,
        EXIT_INTERRUPT_INFO = 0x088,
        NEXT_RIP = 0x0c8,
    }
    u8, ReadWrite: {
        GUEST_CPL = 0x4cb,
    }
}

/// A segment register: selector, attributes, limit, base.
#[derive(Clone, Copy)]
pub struct SegmentFields {
    /// Selector.
    pub selector: Field<u16, ReadWrite>,
    /// Bits 55:52 and 47:40 of the descriptor, next to each other [APM2 15.5.1].
    pub attributes: Field<u16, ReadWrite>,
    /// Limit in bytes.
    pub limit: Field<u32, ReadWrite>,
    /// Linear base address.
    pub base: Field<u64, ReadWrite>,
}

const fn segment(offset: usize) -> SegmentFields {
    SegmentFields {
        selector: Field(offset, PhantomData),
        attributes: Field(offset + 2, PhantomData),
        limit: Field(offset + 4, PhantomData),
        base: Field(offset + 8, PhantomData),
    }
}

/// In the order of [`SegmentRegister`](crate::virt::SegmentRegister).
pub const GUEST_SEGMENTS: [SegmentFields; 6] =
    [segment(0x400), segment(0x410), segment(0x420), segment(0x430), segment(0x440), segment(0x450)];
/// LDTR.
pub const GUEST_LDTR: SegmentFields = segment(0x470);
/// TR.
pub const GUEST_TR: SegmentFields = segment(0x490);

/// Where the bytes of the instruction are: how many, then 15 of them [APM2 15.8.4].
pub const INSTRUCTION_BYTES: usize = 0x0d0;

/// MSRs that VMLOAD and VMSAVE keep in the VMCB, with their fields [APM2 15.5.2].
pub const SAVED_MSRS: [(u32, Field<u64, ReadWrite>); 10] = [
    (0xc000_0100, Field(0x448, PhantomData)), // FS base
    (0xc000_0101, Field(0x458, PhantomData)), // GS base
    (0xc000_0081, Field(0x600, PhantomData)), // STAR
    (0xc000_0082, Field(0x608, PhantomData)), // LSTAR
    (0xc000_0083, Field(0x610, PhantomData)), // CSTAR
    (0xc000_0084, Field(0x618, PhantomData)), // SFMASK
    (0xc000_0102, Field(0x620, PhantomData)), // KernelGSBase
    (0x174, Field(0x628, PhantomData)),       // SYSENTER_CS
    (0x175, Field(0x630, PhantomData)),       // SYSENTER_ESP
    (0x176, Field(0x638, PhantomData)),       // SYSENTER_EIP
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_the_processor_may_keep_have_a_clean_bit() {
        assert_eq!(GUEST_CR0.clean_bit(), 1 << 5);
        assert_eq!(GUEST_SEGMENTS[1].attributes.clean_bit(), 1 << 8);
        assert_eq!(GUEST_IDTR_BASE.clean_bit(), 1 << 7);
        assert_eq!(VIRTUAL_INTERRUPT.clean_bit(), 1 << 3);
        // Read at every entry.
        for bit in [GUEST_RIP.clean_bit(), GUEST_RFLAGS.clean_bit(), EVENT_INJECTION.clean_bit()] {
            assert_eq!(bit, 0);
        }
        assert_eq!(GUEST_TR.base.clean_bit() | GUEST_LDTR.base.clean_bit(), 0, "VMLOAD reads them");
    }
}
