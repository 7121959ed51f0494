//! The features that guests are offered: decided once, on the boot core, from what the vendor's extension
//! supports.

use super::guards;
use super::state::control_registers::Cr4Flags;
use super::state::extended;
use crate::processor::{clock, cpu};
use platform::cpuid::{CpuidContext, CpuidPolicy, CpuidResult, guest_cpuid};
use platform::local_apic::APIC_TIMER_HZ;
use platform::msr::HostMsrs;
use spin::Once;

/// The features that the vendor's extension lets guests use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offer {
    /// XSAVES runs in a guest.
    pub xsaves: bool,
    /// RDTSCP runs in a guest.
    pub rdtscp: bool,
    /// INVPCID runs in a guest.
    pub invpcid: bool,
    /// The processor has the MSRs SYSCFG, HWCR and NB_CFG, which guests on such a processor read.
    pub system_configuration: bool,
}

static POLICY: Once<CpuidPolicy> = Once::new();
static HOST: Once<HostMsrs> = Once::new();

/// Decides the policy. It is the same for all guests, each of which has one processor.
pub fn decide(offer: Offer) {
    let controls = guards::guest_controls();
    let wanted = CpuidPolicy {
        vcpus: 1,
        tsc_hz: clock::hz(),
        crystal_hz: APIC_TIMER_HZ,
        xcr0_allowed: extended::offered(),
        compaction: extended::compacts(),
        xsaves: offer.xsaves,
        rdtscp: offer.rdtscp,
        invpcid: offer.invpcid,
        spec_ctrl: controls.shown,
        arch_capabilities: controls.arch_capabilities.is_some(),
    };
    POLICY.call_once(|| wanted.limited_to(host));
    // The policy decides what CPUID shows, and that what these registers hold.
    HOST.call_once(|| HostMsrs {
        physical_bits: physical_bits(),
        efer: platform::controls::allowed_efer(offered),
        system_configuration: offer.system_configuration,
        arch_capabilities: controls.arch_capabilities.unwrap_or(0),
        spec_ctrl: controls.spec_ctrl,
        microcode: controls.microcode,
    });
}

/// The policy that was decided; before that, one without optional features.
pub fn policy() -> CpuidPolicy {
    POLICY.get().copied().unwrap_or_default()
}

/// What guests may know about the processor's own MSRs.
pub fn host_msrs() -> HostMsrs {
    HOST.get().copied().unwrap_or_default()
}

/// Physical address bits of the processor [SDM2A CPUID, leaf 80000008h].
pub fn physical_bits() -> u8 {
    let [bits, ..] = cpu::cpuid(0x8000_0008, 0).eax.to_le_bytes();
    bits
}

/// CPUID as a guest sees it in this context.
pub fn cpuid(leaf: u32, subleaf: u32, context: &CpuidContext) -> CpuidResult {
    guest_cpuid(host, leaf, subleaf, &policy(), context)
}

fn host(leaf: u32, subleaf: u32) -> CpuidResult {
    let core::arch::x86_64::CpuidResult { eax, ebx, ecx, edx } = cpu::cpuid(leaf, subleaf);
    CpuidResult { eax, ebx, ecx, edx }
}

/// Bits of CR4 that guests may set: those whose features they are offered [SDM3A 2.5].
pub fn offered_cr4() -> Cr4Flags {
    Cr4Flags::from_bits_retain(platform::controls::allowed_cr4(offered))
}

/// CPUID as a guest sees it before its first instruction.
fn offered(leaf: u32, subleaf: u32) -> CpuidResult {
    cpuid(leaf, subleaf, &CpuidContext::default())
}
