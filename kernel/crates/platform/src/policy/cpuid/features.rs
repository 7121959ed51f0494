//! Which feature bits of CPUID a guest sees, and why. A bit without a rule is hidden: Weir announces nothing
//! that it does not know.

/// The treatment of a group of bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureRule {
    /// Shown when the processor has it.
    Show,
    /// Always zero.
    Hide,
    /// Shown whether or not the processor has it, because Weir provides it.
    Provide,
    /// Depends on the guest's state or on the configuration; decided in code.
    Decide,
}

/// A group of bits of one register that share a rule and its reason.
#[derive(Clone, Copy, Debug)]
pub struct FeatureGroup {
    /// The bits.
    pub mask: u32,
    /// Their treatment.
    pub rule: FeatureRule,
    /// The reason.
    pub why: &'static str,
}

const fn group(rule: FeatureRule, bits: &[u8], why: &'static str) -> FeatureGroup {
    let (mut mask, mut i) = (0, 0);
    while i < bits.len() {
        mask |= 1 << bits[i];
        i += 1;
    }
    FeatureGroup { mask, rule, why }
}

/// Applies a table to what the processor reports. Bits under [`FeatureRule::Decide`] pass like shown ones;
/// code then decides.
#[must_use]
pub fn apply(groups: &[FeatureGroup], host: u32) -> u32 {
    groups.iter().fold(0, |value, group| match group.rule {
        FeatureRule::Show | FeatureRule::Decide => value | host & group.mask,
        FeatureRule::Provide => value | group.mask,
        FeatureRule::Hide => value,
    })
}

use FeatureRule::{Decide, Hide, Provide, Show};

/// Leaf 1, ECX [SDM2A table 3-10].
pub const LEAF_1_ECX: &[FeatureGroup] = &[
    group(Show, &[0, 1, 9, 12, 13, 19, 20, 22, 23, 25, 29, 30], "instructions without state of their own"),
    group(Show, &[26, 28], "XSAVE and AVX: extended state is switched as far as leaf 0xd shows it"),
    group(Show, &[17], "PCID: linear tags belong to the guest, VPID or ASID keeps guests apart"),
    group(Provide, &[21], "x2APIC: the local APIC is a model and has both modes"),
    group(Provide, &[24], "TSC-deadline: the local APIC is a model and has the mode"),
    group(Provide, &[31], "hypervisor present"),
    group(Decide, &[27], "OSXSAVE mirrors CR4.OSXSAVE of the guest"),
    group(Hide, &[5, 6], "VMX, SMX: there is no nesting"),
    group(Hide, &[3], "MONITOR/MWAIT: HLT is how a guest gives its processor back"),
    group(Hide, &[7, 8], "EST, TM2: frequency and heat are the host's"),
    group(Hide, &[2, 4, 15], "DS area and PDCM: no performance counters"),
    group(
        Hide,
        &[10, 11, 14, 18],
        "CNXT-ID, SDBG, xTPR, DCA: chipset and debug interfaces that are not here",
    ),
];

/// Leaf 1, EDX.
pub const LEAF_1_EDX: &[FeatureGroup] = &[
    group(Show, &[0, 1, 2, 3, 4, 5, 6, 8, 11, 13, 15, 16, 17, 19, 23, 24, 25, 26, 27], "basic processor"),
    group(Provide, &[7, 14], "MCE, MCA: MCG_CAP names no bank, so there is nothing to report"),
    group(Provide, &[12], "MTRR: kept by Weir"),
    group(Decide, &[9], "APIC mirrors the enable bit of IA32_APIC_BASE"),
    group(Decide, &[28], "HTT: more than one logical processor in the package"),
    group(Hide, &[18], "processor serial number: identifies the host"),
    group(Hide, &[21, 31], "DS, PBE: no performance counters"),
    group(Hide, &[22, 29], "ACPI thermal control, TM: heat is the host's"),
];

/// Leaf 7, subleaf 0, EBX [SDM2A table 3-8].
pub const LEAF_7_EBX: &[FeatureGroup] = &[
    group(Show, &[0, 3, 6, 8, 9, 13, 18, 19, 23, 24, 29], "instructions without state of their own"),
    group(Show, &[5, 16, 17, 21, 26, 27, 28, 30, 31], "AVX2, AVX-512: state is in leaf 0xd"),
    group(Show, &[7, 20], "SMEP, SMAP: bits of CR4 that the processor enforces"),
    group(Show, &[10], "INVPCID: acts on the guest's own tags"),
    group(Provide, &[1], "TSC_ADJUST: kept by Weir with the TSC offset"),
    group(Hide, &[2], "SGX: enclave memory is not given to guests"),
    group(Hide, &[4, 11], "HLE, RTM: transactions abort when the processor is taken away, and leak"),
    group(Hide, &[12, 15], "RDT: cache and bandwidth are the host's to allot"),
    group(Hide, &[14], "MPX: withdrawn by Intel, and its state is not switched"),
    group(Hide, &[25], "processor trace: sees the host's addresses"),
];

/// Leaf 7, subleaf 0, ECX.
pub const LEAF_7_ECX: &[FeatureGroup] = &[
    group(Show, &[0, 1, 6, 8, 9, 10, 11, 12, 14, 25, 27, 28], "instructions without state of their own"),
    group(Show, &[2], "UMIP: a bit of CR4 that the processor enforces"),
    group(Decide, &[3, 4], "PKU, OSPKE: shown where its state is switched, OSPKE mirrors CR4.PKE"),
    group(Decide, &[22], "RDPID: reads IA32_TSC_AUX, shown together with RDTSCP"),
    group(Hide, &[5], "WAITPKG: needs a control that is not used"),
    group(Hide, &[7], "CET shadow stacks: state is not switched"),
    group(Hide, &[13, 23], "TME, key locker: key management is the host's"),
    group(Hide, &[16, 17, 18, 19, 20, 21], "LA57, MAWAU: guests have four-level paging"),
    group(
        Hide,
        &[24, 30, 31],
        "bus lock detection, SGX launch control, PKS: need controls that are not used",
    ),
    group(Hide, &[29], "ENQCMD: needs PASIDs"),
];

/// Leaf 7, subleaf 0, EDX.
pub const LEAF_7_EDX: &[FeatureGroup] = &[
    group(Show, &[2, 3, 4, 8, 14, 23], "instructions without state of their own"),
    group(Show, &[10], "MD_CLEAR: VERW clears buffers in a guest, too"),
    group(Decide, &[26, 27, 31], "IBRS/IBPB, STIBP, SSBD: IA32_SPEC_CTRL where it is switched"),
    group(Decide, &[29], "ARCH_CAPABILITIES: what the processor does not suffer from"),
    group(Hide, &[9, 11, 13, 16], "SRBDS control and TSX details: microcode controls are the host's"),
    group(Hide, &[15], "hybrid: a guest's processor may move between kinds"),
    group(Hide, &[18, 19], "PCONFIG, LBR: host resources"),
    group(Hide, &[20], "CET indirect branch tracking: state is not switched"),
    group(Hide, &[22, 24, 25], "AMX: state is not switched"),
    group(Hide, &[28, 30], "L1D flush and core capabilities: controls of the host"),
];

/// Leaf 7, subleaf 1, EAX.
pub const LEAF_7_1_EAX: &[FeatureGroup] = &[
    group(Show, &[4, 5, 10, 11, 12], "AVX-VNNI, AVX512-BF16, fast string operations"),
    group(
        Hide,
        &[3, 7, 8, 17, 18, 19, 21, 22, 26],
        "RAO-INT, CMPCCXADD, FRED, LKGS, WRMSRNS, AMX, HRESET, LAM",
    ),
];

/// Leaf 0xd, subleaf 1, EAX [SDM2A table 3-8].
pub const LEAF_D_1_EAX: &[FeatureGroup] = &[
    group(Show, &[0, 1, 2], "XSAVEOPT, XSAVEC, XGETBV with ECX = 1"),
    group(Decide, &[3], "XSAVES and IA32_XSS: shown where supervisor state is switched"),
    group(Hide, &[4], "XFD: only for AMX"),
];

/// Leaf 0x8000_0001, ECX [SDM2A table 3-8; APM3 E.4.2].
pub const LEAF_80000001_ECX: &[FeatureGroup] = &[
    group(Show, &[0, 4, 5, 6, 7, 8, 11, 16, 21], "instructions, and CR8 without prefix"),
    group(Hide, &[2], "SVM: there is no nesting"),
    group(
        Hide,
        &[1, 3, 9, 10, 12, 13, 15, 17, 19, 22, 23, 24, 26, 28, 29],
        "AMD topology, tracing, counters",
    ),
];

/// Leaf 0x8000_0001, EDX: bits that AMD repeats from leaf 1, and its own.
pub const LEAF_80000001_EDX: &[FeatureGroup] = &[
    group(Show, &[0, 1, 2, 3, 4, 5, 6, 8, 13, 15, 16, 17, 23, 24], "as in leaf 1, where AMD repeats it"),
    group(Show, &[11, 20, 22, 26, 29, 30, 31], "SYSCALL, NX, 1 GiB pages, long mode and AMD extensions"),
    group(Hide, &[25], "FFXSR: a bit of EFER that guests are not given"),
    group(Decide, &[27], "RDTSCP: shown where IA32_TSC_AUX is switched"),
];

/// Leaf 0x8000_0007, EDX.
pub const LEAF_80000007_EDX: &[FeatureGroup] = &[
    group(
        Provide,
        &[8],
        "invariant TSC: every clock of the board is derived from the counter, so none is steadier",
    ),
    group(Hide, &[0, 1, 2, 3, 4, 5, 6, 7, 9, 10], "power management of the host"),
];

/// Leaf 0x8000_0008, EBX [APM3 E.4.7].
pub const LEAF_80000008_EBX: &[FeatureGroup] = &[
    group(Show, &[0, 2, 9], "CLZERO, error pointers, WBNOINVD"),
    group(Decide, &[20], "EferLmsleUnsupported: EFER.LMSLE is refused on AMD's processors"),
    group(Decide, &[12, 14, 15, 24], "IBPB, IBRS, STIBP, SSBD: where IA32_SPEC_CTRL is switched"),
];

/// Every table with its register, for a report at boot and for tests.
pub const TABLES: &[(&str, &[FeatureGroup])] = &[
    ("1.ecx", LEAF_1_ECX),
    ("1.edx", LEAF_1_EDX),
    ("7.0.ebx", LEAF_7_EBX),
    ("7.0.ecx", LEAF_7_ECX),
    ("7.0.edx", LEAF_7_EDX),
    ("7.1.eax", LEAF_7_1_EAX),
    ("d.1.eax", LEAF_D_1_EAX),
    ("80000001.ecx", LEAF_80000001_ECX),
    ("80000001.edx", LEAF_80000001_EDX),
    ("80000007.edx", LEAF_80000007_EDX),
    ("80000008.ebx", LEAF_80000008_EBX),
];
