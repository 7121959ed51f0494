//! Leaf 0xd: the extended state that a guest may use, and the size of its save area [SDM1 13.2].

use super::{CpuidContext, CpuidPolicy, CpuidResult, features};
use base::bits::{high_u32, low_u32};

/// Legacy region and header of an XSAVE area [SDM1 13.4].
const LEGACY_AND_HEADER: u32 = 512 + 64;
/// Component numbers beyond x87 and SSE that a guest can be shown at all.
const COMPONENTS: core::ops::Range<u32> = 2..63;
/// In ECX of a component's subleaf: aligned to 64 bytes in the compacted form.
const ALIGNED: u32 = 1 << 1;
/// In EAX of subleaf 1.
const XSAVEC: u32 = 1 << 1;
const XSAVES: u32 = 1 << 3;

/// The components that the processor has and the policy allows.
pub(super) fn supported(host: &impl Fn(u32, u32) -> CpuidResult, policy: &CpuidPolicy) -> u64 {
    let leaf = host(0xd, 0);
    (u64::from(leaf.edx) << 32 | u64::from(leaf.eax)) & policy.xcr0_allowed
}

pub(super) fn leaf(
    host: &impl Fn(u32, u32) -> CpuidResult,
    subleaf: u32,
    policy: &CpuidPolicy,
    context: &CpuidContext,
) -> CpuidResult {
    let supported = supported(host, policy);
    if supported == 0 {
        return CpuidResult::default();
    }
    match subleaf {
        0 => CpuidResult {
            eax: low_u32(supported),
            ebx: standard_size(host, context.xcr0 & supported),
            ecx: standard_size(host, supported),
            edx: high_u32(supported),
        },
        1 => {
            let mut eax = features::apply(features::LEAF_D_1_EAX, host(0xd, 1).eax);
            super::keep_if(&mut eax, XSAVEC, policy.compaction);
            super::keep_if(&mut eax, XSAVES, policy.xsaves);
            // No supervisor component is shown, so IA32_XSS is zero and XCR0 alone counts.
            let compacts = eax & (XSAVEC | XSAVES) != 0;
            let ebx = if compacts { compacted_size(host, context.xcr0 & supported) } else { 0 };
            CpuidResult { eax, ebx, ecx: 0, edx: 0 }
        }
        component if component < 64 && supported & 1 << component != 0 => host(0xd, component),
        _ => CpuidResult::default(),
    }
}

/// Size of `components` in the standard form: up to the end of the last one.
fn standard_size(host: &impl Fn(u32, u32) -> CpuidResult, components: u64) -> u32 {
    COMPONENTS.filter(|component| components & 1 << component != 0).fold(
        LEGACY_AND_HEADER,
        |size, component| {
            let state = host(0xd, component);
            size.max(state.ebx.saturating_add(state.eax))
        },
    )
}

/// Size of `components` in the compacted form: one after the other [SDM1 13.4.3].
fn compacted_size(host: &impl Fn(u32, u32) -> CpuidResult, components: u64) -> u32 {
    COMPONENTS.filter(|component| components & 1 << component != 0).fold(
        LEGACY_AND_HEADER,
        |size, component| {
            let state = host(0xd, component);
            let start = if state.ecx & ALIGNED != 0 { size.saturating_add(63) & !63 } else { size };
            start.saturating_add(state.eax)
        },
    )
}
