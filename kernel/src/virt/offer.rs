//! The features that guests are offered: decided once, on the boot core, from what the vendor's extension
//! supports.

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
        // The exit path does not switch the speculation controls.
        spec_ctrl: false,
        arch_capabilities: false,
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
    let offered = |leaf| cpuid(leaf, 0, &CpuidContext::default());
    let (basic, features) = (offered(1), offered(7));
    // Every processor with 64-bit mode has these.
    let always = Cr4Flags::VIRTUAL_8086_MODE_EXTENSIONS
        | Cr4Flags::PROTECTED_MODE_VIRTUAL_INTERRUPTS
        | Cr4Flags::TIMESTAMP_DISABLE
        | Cr4Flags::DEBUGGING_EXTENSIONS
        | Cr4Flags::PAGE_SIZE_EXTENSION
        | Cr4Flags::PHYSICAL_ADDRESS_EXTENSION
        | Cr4Flags::MACHINE_CHECK_EXCEPTION
        | Cr4Flags::PAGE_GLOBAL
        | Cr4Flags::PERFORMANCE_MONITOR_COUNTER
        | Cr4Flags::OSFXSR
        | Cr4Flags::OSXMMEXCPT_ENABLE;
    let optional = [
        (features.ecx, 2, Cr4Flags::USER_MODE_INSTRUCTION_PREVENTION),
        (features.ebx, 0, Cr4Flags::FSGSBASE),
        (basic.ecx, 17, Cr4Flags::PCID),
        (basic.ecx, 26, Cr4Flags::OSXSAVE),
        (features.ebx, 7, Cr4Flags::SUPERVISOR_MODE_EXECUTION_PROTECTION),
        (features.ebx, 20, Cr4Flags::SUPERVISOR_MODE_ACCESS_PREVENTION),
        (features.ecx, 3, Cr4Flags::PROTECTION_KEY_USER),
        (features.ecx, 16, Cr4Flags::L5_PAGING),
    ];
    optional
        .into_iter()
        .filter(|(word, feature, _)| word >> feature & 1 == 1)
        .fold(always, |bits, (_, _, bit)| bits | bit)
}
