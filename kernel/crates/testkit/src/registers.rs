//! The registers of a virtual processor, as the instruction decoder accesses them.

use mmio::{Gpr, RegisterFile, SegmentRegister, Vector};

/// All registers as public fields.
///
/// ```
/// use mmio::{Gpr, RegisterFile};
/// use testkit::FakeRegisters;
///
/// let mut registers = FakeRegisters::numbered().with(&[(Gpr::Rbx, 0x1000)]);
/// assert_eq!(registers.get(Gpr::Rcx), 0x0101_0101_0101_0101);
/// registers.set(Gpr::Rcx, registers.get(Gpr::Rbx) + 4);
/// assert_eq!(registers.gprs[1], 0x1004);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FakeRegisters {
    /// General-purpose registers in the order of their numbers in instructions.
    pub gprs: [u64; 16],
    /// Instruction pointer.
    pub rip: u64,
    /// Flags.
    pub rflags: u64,
    /// Base addresses of the segments, in the order of [`SegmentRegister`].
    pub bases: [u64; 6],
    /// Vector registers.
    pub vectors: [Vector; 16],
}

impl FakeRegisters {
    /// Registers in which number n holds n in every byte, and all segment bases are zero.
    #[must_use]
    pub fn numbered() -> Self {
        Self {
            gprs: core::array::from_fn(|n| n as u64 * 0x0101_0101_0101_0101),
            rip: 0x1000,
            rflags: 2,
            bases: [0; 6],
            vectors: core::array::from_fn(|n| core::array::from_fn(|byte| (16 * n + byte).to_le_bytes()[0])),
        }
    }

    /// Replaces the values of some registers.
    #[must_use]
    pub fn with(mut self, values: &[(Gpr, u64)]) -> Self {
        for (register, value) in values {
            self.set(*register, *value);
        }
        self
    }
}

impl RegisterFile for FakeRegisters {
    fn get(&self, register: Gpr) -> u64 {
        self.gprs[register.index()]
    }

    fn set(&mut self, register: Gpr, value: u64) {
        self.gprs[register.index()] = value;
    }

    fn rip(&self) -> u64 {
        self.rip
    }

    fn set_rip(&mut self, rip: u64) {
        self.rip = rip;
    }

    fn rflags(&self) -> u64 {
        self.rflags
    }

    fn set_rflags(&mut self, rflags: u64) {
        self.rflags = rflags;
    }

    fn segment_base(&self, segment: SegmentRegister) -> u64 {
        self.bases[segment as usize]
    }

    fn vector(&mut self, number: u8) -> Vector {
        self.vectors[usize::from(number)]
    }

    fn set_vector(&mut self, number: u8, value: Vector) {
        self.vectors[usize::from(number)] = value;
    }
}
