//! The mode in which the processor decodes code.

/// The default operand and address size of code [SDM1 3.6], determined by `IA32_EFER.LMA` and the D and L bits of
/// the code segment.
///
/// ```
/// use mmio::CpuMode;
///
/// assert_eq!(CpuMode::new(true, true, false), CpuMode::Bits64);
/// assert_eq!(CpuMode::new(true, false, true), CpuMode::Bits32, "compatibility mode");
/// assert_eq!(CpuMode::Bits32.wrap_linear(0x1_0000_0010), 0x10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CpuMode {
    /// Real mode, virtual-8086 mode, and protected or compatibility mode with CS.D clear.
    Bits16,
    /// Protected or compatibility mode with CS.D set.
    Bits32,
    /// 64-bit mode: long mode with CS.L set.
    Bits64,
}

impl CpuMode {
    /// The mode that follows from `IA32_EFER.LMA` and the L and D bits of the code segment.
    #[must_use]
    pub fn new(long_mode_active: bool, cs_l: bool, cs_d: bool) -> Self {
        match (long_mode_active && cs_l, cs_d) {
            (true, _) => Self::Bits64,
            (false, true) => Self::Bits32,
            (false, false) => Self::Bits16,
        }
    }

    /// The default size in bits.
    #[must_use]
    pub fn bits(self) -> u32 {
        match self {
            Self::Bits16 => 16,
            Self::Bits32 => 32,
            Self::Bits64 => 64,
        }
    }

    /// `rip` truncated to the width of the instruction pointer in this mode.
    #[must_use]
    pub fn wrap_instruction_pointer(self, rip: u64) -> u64 {
        rip & u64::MAX >> (64 - self.bits())
    }

    /// `linear` truncated to the width of linear addresses in this mode: 32 bits outside 64-bit mode [SDM3A 3.3].
    #[must_use]
    pub fn wrap_linear(self, linear: u64) -> u64 {
        if self == Self::Bits64 { linear } else { linear & 0xffff_ffff }
    }
}
