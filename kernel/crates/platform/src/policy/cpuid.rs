//! CPUID as a guest sees it: a pure function of the processor's own values, the configuration, and the
//! guest's state. The tables with reasons are in [`features`].

pub mod features;
mod frequency;
mod topology;
mod xsave;

use super::clock;

/// The four registers that CPUID returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CpuidResult {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// x87, SSE, AVX and the three AVX-512 components of XCR0 [SDM1 13.1].
pub const XCR0_AVX512: u64 = 0b1110_0111;
/// The PKRU component of XCR0.
pub const XCR0_PKRU: u64 = 1 << 9;

/// The configured part: the same for all processors of a guest and for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuidPolicy {
    /// Processors of the guest.
    pub vcpus: u8,
    /// Frequency of the time stamp counter in Hz.
    pub tsc_hz: u64,
    /// Frequency of the local APIC's timer in Hz.
    pub crystal_hz: u32,
    /// Components of XCR0 that the hypervisor switches: at most [`XCR0_AVX512`] and [`XCR0_PKRU`].
    pub xcr0_allowed: u64,
    /// The processor's XSAVEC can be used.
    pub compaction: bool,
    /// The hypervisor allows XSAVES and switches IA32_XSS. Only with [`compaction`](Self::compaction).
    pub xsaves: bool,
    /// The hypervisor switches IA32_TSC_AUX and allows RDTSCP.
    pub rdtscp: bool,
    /// The hypervisor allows INVPCID.
    pub invpcid: bool,
    /// The hypervisor switches IA32_SPEC_CTRL and allows IA32_PRED_CMD.
    pub spec_ctrl: bool,
    /// IA32_ARCH_CAPABILITIES can be shown: see [`crate::msr`].
    pub arch_capabilities: bool,
}

impl Default for CpuidPolicy {
    /// One processor of 1 GHz with every option disabled.
    fn default() -> Self {
        Self {
            vcpus: 1,
            tsc_hz: 1_000_000_000,
            crystal_hz: 25_000_000,
            xcr0_allowed: 0,
            compaction: false,
            xsaves: false,
            rdtscp: false,
            invpcid: false,
            spec_ctrl: false,
            arch_capabilities: false,
        }
    }
}

impl CpuidPolicy {
    /// The policy without the options that the processor `host` does not have: registers that depend on them
    /// must not exist either.
    #[must_use]
    pub fn limited_to(self, host: impl Fn(u32, u32) -> CpuidResult) -> Self {
        let has = |leaf, subleaf| {
            if leaf & 0xffff <= host(leaf & 0x8000_0000, 0).eax & 0xffff {
                host(leaf, subleaf)
            } else {
                CpuidResult::default()
            }
        };
        let xsave = has(1, 0).ecx >> 26 & 1 == 1;
        let compaction = self.compaction && xsave && self.xcr0_allowed != 0 && has(0xd, 1).eax >> 1 & 1 == 1;
        Self {
            xcr0_allowed: if xsave { self.xcr0_allowed } else { 0 },
            compaction,
            xsaves: self.xsaves && compaction && has(0xd, 1).eax >> 3 & 1 == 1,
            rdtscp: self.rdtscp && has(0x8000_0001, 0).edx >> 27 & 1 == 1,
            invpcid: self.invpcid && has(7, 0).ebx >> 10 & 1 == 1,
            ..self
        }
    }
}

/// State of the processor that executes CPUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct CpuidContext {
    /// Initial APIC identifier.
    pub apic_id: u8,
    /// IA32_APIC_BASE has the local APIC enabled.
    pub apic_enabled: bool,
    /// The guest's XCR0.
    pub xcr0: u64,
    /// The guest's CR4.
    pub cr4: u64,
}

/// CR4.OSXSAVE and CR4.PKE [SDM3A 2.5].
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_PKE: u64 = 1 << 22;

/// Highest basic leaf shown on Intel: frequencies. Above are trace, key locker, AMX and future leaves.
const MAX_LEAF_INTEL: u32 = 0x16;
/// Highest basic leaf shown otherwise: extended state.
const MAX_LEAF_OTHER: u32 = 0x0d;
/// Highest extended leaf: address sizes.
const MAX_EXTENDED: u32 = 0x8000_0008;
/// The leaf in which hypervisors identify themselves.
const HYPERVISOR: u32 = 0x4000_0000;
/// The last leaf under that name, and the only other one that holds anything: frequencies in kHz of the
/// time-stamp counter and of the local APIC's bus.
const TIMING: u32 = 0x4000_0010;
/// EBX, ECX and EDX of the first leaf. The one interface that is announced has leaves of its own: see
/// [`crate::clock`].
pub const SIGNATURE: [u8; 12] = *b"WeirWeirWeir";

/// The guest's values for `leaf` and `subleaf`, given `host`, which executes CPUID on the processor.
///
/// ```
/// use platform::cpuid::{CpuidContext, CpuidPolicy, CpuidResult, guest_cpuid};
///
/// /// A processor with every feature.
/// fn host(_leaf: u32, _subleaf: u32) -> CpuidResult {
///     CpuidResult { eax: u32::MAX, ebx: u32::MAX, ecx: u32::MAX, edx: u32::MAX }
/// }
/// let leaf_1 = guest_cpuid(host, 1, 0, &CpuidPolicy::default(), &CpuidContext::default());
/// assert_eq!(leaf_1.ecx >> 5 & 1, 0, "VMX is hidden");
/// assert_eq!(leaf_1.ecx >> 31, 1, "a hypervisor is present");
/// ```
pub fn guest_cpuid(
    host: impl Fn(u32, u32) -> CpuidResult,
    leaf: u32,
    subleaf: u32,
    policy: &CpuidPolicy,
    context: &CpuidContext,
) -> CpuidResult {
    let identity = host(0, 0);
    let max_basic = if is_intel(&identity) { MAX_LEAF_INTEL } else { identity.eax.min(MAX_LEAF_OTHER) };
    match leaf {
        HYPERVISOR => signature(TIMING, SIGNATURE),
        TIMING => frequency::timing(policy),
        clock::LEAF => signature(clock::LEAF + 1, clock::SIGNATURE),
        0x4000_0101 => CpuidResult { eax: clock::FEATURES, ..CpuidResult::default() },
        0x4000_0001..=0x4fff_ffff => CpuidResult::default(),
        0..=0x3fff_ffff if leaf <= max_basic => basic(&host, leaf, subleaf, max_basic, policy, context),
        0x8000_0000..=MAX_EXTENDED => extended(&host, leaf, policy),
        _ => CpuidResult::default(),
    }
}

fn basic(
    host: &impl Fn(u32, u32) -> CpuidResult,
    leaf: u32,
    subleaf: u32,
    max_basic: u32,
    policy: &CpuidPolicy,
    context: &CpuidContext,
) -> CpuidResult {
    // A leaf beyond the processor's own would return another leaf's data.
    let raw = if leaf <= host(0, 0).eax { host(leaf, subleaf) } else { CpuidResult::default() };
    match leaf {
        0 => CpuidResult { eax: max_basic, ..raw },
        1 => leaf_1(&raw, policy, context),
        // Cache and TLB descriptors describe the processor as it is.
        2 => raw,
        4 => topology::caches(raw, policy),
        // ARAT: the local APIC's timer, a model, never stops. The rest is thermal and frequency management.
        6 => CpuidResult { eax: 1 << 2, ..CpuidResult::default() },
        7 => leaf_7(host, subleaf, policy, context),
        0xb => topology::extended(subleaf, policy, context),
        0xd if host(1, 0).ecx & 1 << 26 != 0 => xsave::leaf(host, subleaf, policy, context),
        0x15 => frequency::time_stamp_counter(policy),
        0x16 => frequency::processor(policy),
        // Serial number (3), MONITOR (5), DCA (9), performance counters (0xa), RDT (0xf, 0x10), SGX (0x12),
        // trace (0x14), and reserved leaves.
        _ => CpuidResult::default(),
    }
}

fn extended(host: &impl Fn(u32, u32) -> CpuidResult, leaf: u32, policy: &CpuidPolicy) -> CpuidResult {
    let max = host(0x8000_0000, 0).eax.min(MAX_EXTENDED);
    if leaf > max {
        return CpuidResult::default();
    }
    let raw = host(leaf, 0);
    match leaf {
        0x8000_0000 => CpuidResult { eax: max, ..raw },
        0x8000_0001 => {
            let mut edx = features::apply(features::LEAF_80000001_EDX, raw.edx);
            keep_if(&mut edx, 1 << 27, policy.rdtscp);
            CpuidResult { ecx: features::apply(features::LEAF_80000001_ECX, raw.ecx), edx, ..raw }
        }
        0x8000_0007 => CpuidResult {
            edx: features::apply(features::LEAF_80000007_EDX, raw.edx),
            ..CpuidResult::default()
        },
        0x8000_0008 => {
            let speculation = if policy.spec_ctrl { 0 } else { 1 << 12 | 1 << 14 | 1 << 15 | 1 << 24 };
            let mut ebx = features::apply(features::LEAF_80000008_EBX, raw.ebx) & !speculation;
            let intel = is_intel(&host(0, 0));
            set(&mut ebx, EFER_LMSLE_UNSUPPORTED, !intel);
            let cores = u32::from(policy.vcpus.max(1)) - 1;
            let ecx = if intel { 0 } else { cores };
            // Physical and linear address sizes; the guest-physical size is for nesting.
            CpuidResult { eax: raw.eax & 0xff | linear_bits(host) << 8, ebx, ecx, edx: 0 }
        }
        // Brand string and caches.
        _ => raw,
    }
}

/// Bits of a linear address: as many as the paging translates that the guest can enable [SDM3A 4.1.1].
fn linear_bits(host: &impl Fn(u32, u32) -> CpuidResult) -> u32 {
    const LA57: u32 = 1 << 16;
    let has_leaf_7 = host(0, 0).eax >= 7;
    let shown = if has_leaf_7 { features::apply(features::LEAF_7_ECX, host(7, 0).ecx) } else { 0 };
    if shown & LA57 != 0 { 57 } else { 48 }
}

fn leaf_1(raw: &CpuidResult, policy: &CpuidPolicy, context: &CpuidContext) -> CpuidResult {
    let mut ecx = features::apply(features::LEAF_1_ECX, raw.ecx);
    let mut edx = features::apply(features::LEAF_1_EDX, raw.edx);
    let xsave = ecx & 1 << 26 != 0 && policy.xcr0_allowed != 0;
    const AVX: u64 = 1 << 2;
    set(&mut ecx, 26, xsave);
    // AVX, FMA and F16C need YMM state.
    for bit in [28, 12, 29] {
        let shown = ecx & 1 << bit != 0 && xsave && policy.xcr0_allowed & AVX != 0;
        set(&mut ecx, bit, shown);
    }
    set(&mut ecx, 27, xsave && context.cr4 & CR4_OSXSAVE != 0);
    set(&mut edx, 9, context.apic_enabled);
    set(&mut edx, 28, policy.vcpus > 1);
    CpuidResult { eax: raw.eax, ebx: topology::leaf_1_ebx(raw.ebx, policy, context), ecx, edx }
}

fn leaf_7(
    host: &impl Fn(u32, u32) -> CpuidResult,
    subleaf: u32,
    policy: &CpuidPolicy,
    context: &CpuidContext,
) -> CpuidResult {
    let has_leaf = host(0, 0).eax >= 7;
    let raw = if has_leaf { host(7, subleaf) } else { CpuidResult::default() };
    let state = xsave::supported(host, policy);
    match subleaf {
        0 => {
            let mut ebx = features::apply(features::LEAF_7_EBX, raw.ebx);
            let mut ecx = features::apply(features::LEAF_7_ECX, raw.ecx);
            let mut edx = features::apply(features::LEAF_7_EDX, raw.edx);
            keep_if(&mut ebx, 1 << 10, policy.invpcid);
            keep_if(&mut ebx, AVX2, state & 1 << 2 != 0);
            let avx512 = state & XCR0_AVX512 == XCR0_AVX512;
            keep_if(&mut ebx, AVX512_EBX, avx512);
            keep_if(&mut ecx, AVX512_ECX, avx512);
            keep_if(&mut edx, AVX512_EDX, avx512);
            // VAES and VPCLMULQDQ also work on YMM registers.
            keep_if(&mut ecx, 1 << 9 | 1 << 10, state & 1 << 2 != 0);
            let pku = ecx & 1 << 3 != 0 && state & XCR0_PKRU != 0;
            set(&mut ecx, 3, pku);
            set(&mut ecx, 4, pku && context.cr4 & CR4_PKE != 0);
            keep_if(&mut ecx, 1 << 22, policy.rdtscp);
            keep_if(&mut edx, 1 << 26 | 1 << 27 | 1 << 31, policy.spec_ctrl);
            keep_if(&mut edx, 1 << 29, policy.arch_capabilities);
            CpuidResult { eax: raw.eax.min(1), ebx, ecx, edx }
        }
        1 if has_leaf && host(7, 0).eax >= 1 => {
            let mut eax = features::apply(features::LEAF_7_1_EAX, raw.eax);
            keep_if(&mut eax, 1 << 4, state & 1 << 2 != 0);
            keep_if(&mut eax, 1 << 5, state & XCR0_AVX512 == XCR0_AVX512);
            CpuidResult { eax, ..CpuidResult::default() }
        }
        _ => CpuidResult::default(),
    }
}

/// Leaf 0x8000_0008, EBX: EFER.LMSLE is reserved. AMD only [APM3 E.4.7].
const EFER_LMSLE_UNSUPPORTED: u32 = 20;

/// Features of leaf 7 whose registers are part of AVX and AVX-512 state.
const AVX2: u32 = 1 << 5;
const AVX512_EBX: u32 = 1 << 16 | 1 << 17 | 1 << 21 | 1 << 26 | 1 << 27 | 1 << 28 | 1 << 30 | 1 << 31;
const AVX512_ECX: u32 = 1 << 1 | 1 << 6 | 1 << 11 | 1 << 12 | 1 << 14;
const AVX512_EDX: u32 = 1 << 2 | 1 << 3 | 1 << 8 | 1 << 23;

fn signature(last_leaf: u32, name: [u8; 12]) -> CpuidResult {
    let part = |at: usize| u32::from_le_bytes(core::array::from_fn(|i| name[at + i]));
    CpuidResult { eax: last_leaf, ebx: part(0), ecx: part(4), edx: part(8) }
}

fn is_intel(leaf_0: &CpuidResult) -> bool {
    (leaf_0.ebx, leaf_0.edx, leaf_0.ecx) == (0x756e_6547, 0x4965_6e69, 0x6c65_746e)
}

fn set(register: &mut u32, bit: u32, value: bool) {
    *register = *register & !(1 << bit) | u32::from(value) << bit;
}

fn keep_if(register: &mut u32, mask: u32, condition: bool) {
    if !condition {
        *register &= !mask;
    }
}

#[cfg(test)]
mod tests;
