//! What the processor offers to guests: decided once, on the boot core, from what the vendor's extension can do.

use super::state::extended;
use crate::processor::{clock, cpu};
use platform::cpuid::{CpuidContext, CpuidPolicy, CpuidResult, guest_cpuid};
use platform::local_apic::APIC_TIMER_HZ;
use platform::msr::HostMsrs;
use spin::Once;

/// What the backend found that the processor lets guests use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer {
    /// XSAVES runs in a guest.
    pub xsaves: bool,
    /// RDTSCP runs in a guest.
    pub rdtscp: bool,
    /// INVPCID runs in a guest.
    pub invpcid: bool,
    /// The processor has SYSCFG, HWCR and NB_CFG, which guests of it look at.
    pub system_configuration: bool,
}

static POLICY: Once<CpuidPolicy> = Once::new();
static HOST: Once<HostMsrs> = Once::new();

/// Decides the policy; the same for all guests of one processor each.
pub fn decide(offer: Offer) {
    HOST.call_once(|| HostMsrs {
        physical_bits: physical_bits(),
        system_configuration: offer.system_configuration,
        ..HostMsrs::default()
    });
    POLICY.call_once(|| CpuidPolicy {
        vcpus: 1,
        tsc_hz: clock::hz(),
        crystal_hz: APIC_TIMER_HZ,
        xcr0_allowed: extended::offered(),
        xsaves: offer.xsaves,
        rdtscp: offer.rdtscp,
        invpcid: offer.invpcid,
        // Speculation controls: the exit path does not switch them.
        spec_ctrl: false,
        arch_capabilities: false,
    });
}

/// The policy that was decided; nothing optional before.
pub fn policy() -> CpuidPolicy {
    POLICY.get().copied().unwrap_or_default()
}

/// What guests may know of the processor's own MSRs.
pub fn host_msrs() -> HostMsrs {
    HOST.get().copied().unwrap_or_default()
}

/// Physical address bits of the processor [SDM2A CPUID, leaf 80000008h].
pub fn physical_bits() -> u8 {
    cpu::cpuid(0x8000_0008, 0).eax as u8
}

/// CPUID as a guest sees it in this context.
pub fn cpuid(leaf: u32, subleaf: u32, context: &CpuidContext) -> CpuidResult {
    guest_cpuid(host, leaf, subleaf, &policy(), context)
}

fn host(leaf: u32, subleaf: u32) -> CpuidResult {
    let core::arch::x86_64::CpuidResult { eax, ebx, ecx, edx } = cpu::cpuid(leaf, subleaf);
    CpuidResult { eax, ebx, ecx, edx }
}

/// Bits of CR4 that guests may set: those whose features they are shown [SDM3A 2.5].
pub fn offered_cr4() -> u64 {
    let seen = |leaf| cpuid(leaf, 0, &CpuidContext::default());
    let (basic, features) = (seen(1), seen(7));
    // VME, PVI, TSD, DE, PSE, PAE, MCE, PGE, PCE, OSFXSR, OSXMMEXCPT: every processor with 64-bit mode.
    let always = 0x7ff;
    let optional = [
        (features.ecx, 2, 11),  // UMIP
        (features.ebx, 0, 16),  // FSGSBASE
        (basic.ecx, 17, 17),    // PCIDE
        (basic.ecx, 26, 18),    // OSXSAVE
        (features.ebx, 7, 20),  // SMEP
        (features.ebx, 20, 21), // SMAP
        (features.ecx, 3, 22),  // PKE
        (features.ecx, 16, 12), // LA57
    ];
    optional.iter().fold(always, |bits, &(word, feature, bit)| bits | u64::from(word >> feature & 1) << bit)
}
