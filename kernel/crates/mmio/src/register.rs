//! Registers of a virtual processor, and the parts of registers that instructions refer to.

use base::Width;
use iced_x86::Register;

/// A general-purpose register, numbered as instructions encode it [SDM2A 2.2.1.1].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Gpr {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
}

impl Gpr {
    /// All general-purpose registers, in the order of their numbers.
    pub const ALL: [Self; 16] = [
        Self::Rax,
        Self::Rcx,
        Self::Rdx,
        Self::Rbx,
        Self::Rsp,
        Self::Rbp,
        Self::Rsi,
        Self::Rdi,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
    ];

    /// The register's number, 0 to 15.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The register that `register` is part of, or `None` when it is not a general-purpose register.
    pub(crate) fn containing(register: Register) -> Option<Self> {
        let number = (register.full_register() as usize).checked_sub(Register::RAX as usize)?;
        Self::ALL.get(number).copied().filter(|_| register.is_gpr())
    }
}

/// A segment register, numbered as instructions encode it [SDM2A 3.1.1.3].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum SegmentRegister {
    Es,
    Cs,
    Ss,
    Ds,
    Fs,
    Gs,
}

/// Access to the registers of a virtual processor.
pub trait RegisterFile {
    /// The value of a general-purpose register.
    fn get(&self, register: Gpr) -> u64;

    /// Sets a general-purpose register.
    fn set(&mut self, register: Gpr, value: u64);

    /// The instruction pointer.
    fn rip(&self) -> u64;

    /// Sets the instruction pointer.
    fn set_rip(&mut self, rip: u64);

    /// The flags.
    fn rflags(&self) -> u64;

    /// Sets the flags.
    fn set_rflags(&mut self, rflags: u64);

    /// The base address of a segment. In 64-bit mode, only those of FS and GS are read.
    fn segment_base(&self, segment: SegmentRegister) -> u64;

    /// The width of the stack pointer outside 64-bit mode, by the B bit of SS [SDM1 6.2.3].
    fn stack_width(&self) -> Width {
        Width::Dword
    }

    /// A vector register, 0 to 15: YMM, whose low half is XMM.
    fn vector(&mut self, number: u8) -> Vector;

    /// Sets a vector register.
    fn set_vector(&mut self, number: u8, value: Vector);
}

/// The bytes of a vector register.
pub type Vector = [u8; 32];

/// The part of a general-purpose register that an operand refers to: AL, AH, AX, EAX or RAX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisterPart {
    pub gpr: Gpr,
    pub width: Width,
    /// True for AH, CH, DH and BH: bits 15 to 8 instead of 7 to 0.
    pub high: bool,
}

impl RegisterPart {
    /// The low `width` of a register.
    pub fn low(gpr: Gpr, width: Width) -> Self {
        Self { gpr, width, high: false }
    }

    /// The part that `register` stands for, or `None` when it is not a general-purpose register.
    pub fn of(register: Register) -> Option<Self> {
        Some(Self {
            gpr: Gpr::containing(register)?,
            width: Width::from_bytes(register.size())?,
            high: matches!(register, Register::AH | Register::CH | Register::DH | Register::BH),
        })
    }

    /// The value of this part.
    pub fn read(self, registers: &impl RegisterFile) -> u64 {
        let value = registers.get(self.gpr);
        (if self.high { value >> 8 } else { value }) & self.width.mask()
    }

    /// Sets this part. A 32-bit write clears the upper half of the register; narrower writes leave the other bits
    /// unchanged [SDM1 3.4.1.1].
    pub fn write(self, registers: &mut impl RegisterFile, value: u64) {
        let shift = if self.high { 8 } else { 0 };
        let mask = self.width.mask() << shift;
        let kept = match self.width {
            Width::Byte | Width::Word => registers.get(self.gpr) & !mask,
            Width::Dword | Width::Qword => 0,
        };
        registers.set(self.gpr, kept | value << shift & mask);
    }
}
