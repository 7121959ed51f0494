//! Leaves on shared resources: one package of single-threaded cores with a common
//! last-level cache [SDM3A 9.9.3].

use super::{CpuidContext, CpuidPolicy, CpuidResult};

/// The number of bits of the APIC identifier that number the cores of the package.
fn core_bits(policy: &CpuidPolicy) -> u32 {
    u32::from(policy.vcpus.max(1)).next_power_of_two().trailing_zeros()
}

/// EBX of leaf 1: brand index and cache line from the host, processors per package and APIC identifier.
pub(super) fn leaf_1_ebx(host: u32, policy: &CpuidPolicy, context: &CpuidContext) -> u32 {
    host & 0xffff | u32::from(policy.vcpus.max(1)) << 16 | u32::from(context.apic_id) << 24
}

/// Leaf 4: the host's caches, shared within this package at most [SDM2A table 3-8].
pub(super) fn caches(host: CpuidResult, policy: &CpuidPolicy) -> CpuidResult {
    const TYPE: u32 = 0x1f;
    const LAST_LEVEL: u32 = 3;
    if host.eax & TYPE == 0 {
        return CpuidResult::default();
    }
    let last_core = (1 << core_bits(policy)) - 1;
    let level = host.eax >> 5 & 7;
    let shared = if level >= LAST_LEVEL { last_core } else { 0 };
    CpuidResult { eax: host.eax & 0x3fff | shared << 14 | last_core << 26, ..host }
}

/// Leaf 0xb: one thread per core, all cores in one package.
pub(super) fn extended(subleaf: u32, policy: &CpuidPolicy, context: &CpuidContext) -> CpuidResult {
    const THREAD: u32 = 1;
    const CORE: u32 = 2;
    let (shift, processors, kind) = match subleaf {
        0 => (0, 1, THREAD),
        1 => (core_bits(policy), u32::from(policy.vcpus.max(1)), CORE),
        _ => (0, 0, 0),
    };
    CpuidResult { eax: shift, ebx: processors, ecx: kind << 8 | subleaf & 0xff, edx: context.apic_id.into() }
}
