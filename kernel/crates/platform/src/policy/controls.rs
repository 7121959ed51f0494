//! The bits of CR4 and EFER, and the model-specific registers, that exist exactly where a bit of CPUID announces
//! them: one table, so that what a guest is shown and what it may use cannot differ.

use crate::cpuid::CpuidResult;

/// A register of CPUID's result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuidRegister {
    /// EAX.
    Eax,
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}

/// A bit of CPUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuidBit {
    /// Leaf.
    pub leaf: u32,
    /// Subleaf.
    pub subleaf: u32,
    /// Register.
    pub register: CpuidRegister,
    /// Number of the bit.
    pub bit: u8,
}

/// What a bit of CPUID announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// A bit of CR4.
    Cr4(u8),
    /// A bit of IA32_EFER.
    Efer(u8),
    /// A model-specific register.
    Msr(u32),
}

use Control::{Cr4, Efer, Msr};
use CpuidRegister::{Eax, Ebx, Ecx, Edx};

const fn when(leaf: u32, register: CpuidRegister, bit: u8, control: Control) -> (CpuidBit, Control) {
    (CpuidBit { leaf, subleaf: 0, register, bit }, control)
}

/// Each control with the bit that announces it [SDM2A table 3-8; SDM3A 2.5; APM2 3.1.3, 3.1.7].
pub const CONTROLS: &[(CpuidBit, Control)] = &[
    // VME, and PVI with it; TSD; DE; PSE; PAE; MCE; PGE; OSFXSR; OSXMMEXCPT.
    when(1, Edx, 1, Cr4(0)),
    when(1, Edx, 1, Cr4(1)),
    when(1, Edx, 4, Cr4(2)),
    when(1, Edx, 2, Cr4(3)),
    when(1, Edx, 3, Cr4(4)),
    when(1, Edx, 6, Cr4(5)),
    when(1, Edx, 7, Cr4(6)),
    when(1, Edx, 13, Cr4(7)),
    when(1, Edx, 24, Cr4(9)),
    when(1, Edx, 25, Cr4(10)),
    // UMIP, LA57, VMXE, SMXE, FSGSBASE, PCIDE, OSXSAVE, key locker.
    when(7, Ecx, 2, Cr4(11)),
    when(7, Ecx, 16, Cr4(12)),
    when(1, Ecx, 5, Cr4(13)),
    when(1, Ecx, 6, Cr4(14)),
    when(7, Ebx, 0, Cr4(16)),
    when(1, Ecx, 17, Cr4(17)),
    when(1, Ecx, 26, Cr4(18)),
    when(7, Ecx, 23, Cr4(19)),
    // SMEP, SMAP, PKE, CET, PKS.
    when(7, Ebx, 7, Cr4(20)),
    when(7, Ebx, 20, Cr4(21)),
    when(7, Ecx, 3, Cr4(22)),
    when(7, Ecx, 7, Cr4(23)),
    when(7, Ecx, 31, Cr4(24)),
    // SCE, LME, LMA, NXE, SVME, FFXSR, TCE, MCOMMIT, INTWB.
    when(0x8000_0001, Edx, 11, Efer(0)),
    when(0x8000_0001, Edx, 29, Efer(8)),
    when(0x8000_0001, Edx, 29, Efer(10)),
    when(0x8000_0001, Edx, 20, Efer(11)),
    when(0x8000_0001, Ecx, 2, Efer(12)),
    when(0x8000_0001, Edx, 25, Efer(14)),
    when(0x8000_0001, Ecx, 17, Efer(15)),
    when(0x8000_0008, Ebx, 8, Efer(17)),
    when(0x8000_0008, Ebx, 13, Efer(18)),
    // Time-stamp counter, IA32_APIC_BASE, SYSENTER, MTRRs, machine check, PAT.
    when(1, Edx, 4, Msr(0x10)),
    when(1, Edx, 11, Msr(0x174)),
    when(1, Edx, 12, Msr(0xfe)),
    when(1, Edx, 12, Msr(0x2ff)),
    when(1, Edx, 14, Msr(0x179)),
    when(1, Edx, 16, Msr(0x277)),
    // IA32_DEBUG_INTERFACE, IA32_PERF_CAPABILITIES, IA32_TSC_DEADLINE, IA32_VMX_BASIC.
    when(1, Ecx, 11, Msr(0xc80)),
    when(1, Ecx, 15, Msr(0x345)),
    when(1, Ecx, 24, Msr(0x6e0)),
    when(1, Ecx, 5, Msr(0x480)),
    // IA32_MPERF and IA32_APERF, IA32_PM_ENABLE, IA32_ENERGY_PERF_BIAS.
    when(6, Ecx, 0, Msr(0xe7)),
    when(6, Ecx, 0, Msr(0xe8)),
    when(6, Eax, 7, Msr(0x770)),
    when(6, Ecx, 3, Msr(0x1b0)),
    // IA32_TSC_ADJUST, IA32_BNDCFGS, IA32_RTIT_CTL, IA32_L3_QOS_CFG, IA32_UMWAIT_CONTROL, IA32_U_CET,
    // IA32_PKRS, IA32_TME_CAPABILITY.
    when(7, Ebx, 1, Msr(0x3b)),
    when(7, Ebx, 14, Msr(0xd90)),
    when(7, Ebx, 25, Msr(0x570)),
    when(7, Ebx, 15, Msr(0xc81)),
    when(7, Ecx, 5, Msr(0xe1)),
    when(7, Ecx, 7, Msr(0x6a0)),
    when(7, Ecx, 31, Msr(0x6e1)),
    when(7, Ecx, 13, Msr(0x981)),
    // IA32_XSS, IA32_XFD.
    (CpuidBit { leaf: 0xd, subleaf: 1, register: Eax, bit: 3 }, Msr(0xda0)),
    (CpuidBit { leaf: 0xd, subleaf: 1, register: Eax, bit: 4 }, Msr(0x1c4)),
    // STAR and EFER with long mode, TSC_AUX, VM_HSAVE_PA, OSVW, the six counters of AMD's family 15h, IBS.
    when(0x8000_0001, Edx, 29, Msr(0xc000_0081)),
    when(0x8000_0001, Edx, 27, Msr(0xc000_0103)),
    when(0x8000_0001, Ecx, 2, Msr(0xc001_0117)),
    when(0x8000_0001, Ecx, 9, Msr(0xc001_0140)),
    when(0x8000_0001, Ecx, 10, Msr(0xc001_1030)),
    when(0x8000_0001, Ecx, 23, Msr(0xc001_0200)),
];

/// CR4.PCE: every processor with 64-bit mode has it, and no bit announces it.
const PCE: u64 = 1 << 8;

impl CpuidBit {
    /// True when the bit is set in what `cpuid` shows.
    pub fn is_shown(self, cpuid: impl Fn(u32, u32) -> CpuidResult) -> bool {
        let result = cpuid(self.leaf, self.subleaf);
        let register = match self.register {
            Eax => result.eax,
            Ebx => result.ebx,
            Ecx => result.ecx,
            Edx => result.edx,
        };
        register >> self.bit & 1 == 1
    }
}

/// The bits of CR4 that a guest may set whose CPUID is `cpuid`.
#[must_use]
pub fn allowed_cr4(cpuid: impl Fn(u32, u32) -> CpuidResult) -> u64 {
    PCE | announced(cpuid, |control| if let Cr4(bit) = control { Some(bit) } else { None })
}

/// The bits of IA32_EFER that a guest may set whose CPUID is `cpuid`.
#[must_use]
pub fn allowed_efer(cpuid: impl Fn(u32, u32) -> CpuidResult) -> u64 {
    announced(cpuid, |control| if let Efer(bit) = control { Some(bit) } else { None })
}

fn announced(cpuid: impl Fn(u32, u32) -> CpuidResult, bit: impl Fn(Control) -> Option<u8>) -> u64 {
    CONTROLS
        .iter()
        .filter_map(|(announcement, control)| Some((announcement, bit(*control)?)))
        .filter(|(announcement, _)| announcement.is_shown(&cpuid))
        .fold(0, |bits, (_, bit)| bits | 1 << bit)
}

#[cfg(test)]
mod tests;
