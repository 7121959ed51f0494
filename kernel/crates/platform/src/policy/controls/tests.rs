use super::*;
use crate::cpuid::{CpuidContext, CpuidPolicy, XCR0_AVX512, XCR0_PKRU, guest_cpuid};
use crate::msr::{HostMsrs, Msrs, ReadMsr, WriteMsr};
use alloc::vec::Vec;

const ALL: CpuidResult = CpuidResult { eax: u32::MAX, ebx: u32::MAX, ecx: u32::MAX, edx: u32::MAX };

/// A processor of this vendor with every bit of every leaf that holds features.
fn rich(intel: bool) -> impl Fn(u32, u32) -> CpuidResult {
    move |leaf, subleaf| match leaf {
        0 if intel => CpuidResult { eax: 0x20, ebx: 0x756e_6547, ecx: 0x6c65_746e, edx: 0x4965_6e69 },
        0 => CpuidResult { eax: 0x10, ebx: 0x6874_7541, ecx: 0x444d_4163, edx: 0x6974_6e65 },
        4 => CpuidResult { eax: if subleaf < 4 { 0xfc00_0141 + (subleaf << 5) } else { 0 }, ..ALL },
        0xd if subleaf == 0 => CpuidResult { eax: 0x2e7, ..CpuidResult::default() },
        0xd if subleaf > 1 => CpuidResult { eax: 64, ebx: 576, ..CpuidResult::default() },
        0x8000_0000 => CpuidResult { eax: 0x8000_0021, ..CpuidResult::default() },
        0x8000_0008 => CpuidResult { eax: 0x0030_3934, ..ALL },
        _ => ALL,
    }
}

fn policies() -> Vec<CpuidPolicy> {
    (0..32)
        .map(|choice: u8| CpuidPolicy {
            xcr0_allowed: if choice & 1 != 0 { XCR0_AVX512 | XCR0_PKRU } else { 0 },
            compaction: choice & 16 != 0,
            xsaves: choice & 3 == 3,
            rdtscp: choice & 4 != 0,
            invpcid: choice & 8 != 0,
            ..CpuidPolicy::default()
        })
        .collect()
}

/// Runs `check` with the CPUID of each guest that Weir can make of a processor that has everything, and of one
/// that has nothing.
fn for_each_guest(check: impl Fn(&dyn Fn(u32, u32) -> CpuidResult, Msrs)) {
    let context = CpuidContext { apic_enabled: true, xcr0: 1, ..CpuidContext::default() };
    for (policy, intel, poor) in policies()
        .into_iter()
        .flat_map(|policy| [(policy, true, false), (policy, false, false), (policy, false, true)])
    {
        let host = rich(intel);
        let poor_host = |leaf, subleaf| {
            if matches!(leaf, 0 | 0x8000_0000) { host(leaf, subleaf) } else { CpuidResult::default() }
        };
        let policy = if poor { policy.limited_to(poor_host) } else { policy.limited_to(&host) };
        let cpuid = |leaf, subleaf| {
            if poor {
                guest_cpuid(poor_host, leaf, subleaf, &policy, &context)
            } else {
                guest_cpuid(&host, leaf, subleaf, &policy, &context)
            }
        };
        let host_msrs =
            HostMsrs { efer: allowed_efer(cpuid), system_configuration: !intel, ..HostMsrs::default() };
        check(&cpuid, Msrs::new(policy, host_msrs));
    }
}

#[test]
fn a_bit_of_efer_is_taken_exactly_where_cpuid_shows_it() {
    for_each_guest(|cpuid, mut msrs| {
        for (announcement, control) in CONTROLS {
            let Efer(bit) = control else { continue };
            let taken = msrs.write(0xc000_0080, 1 << bit, 0) == WriteMsr::Processor;
            assert_eq!(taken, announcement.is_shown(cpuid), "EFER bit {bit}: {announcement:?}");
        }
        // Limits of segments in 64-bit mode (LMSLE) are announced by the absence of a bit [APM2 4.12.2].
        assert_eq!(msrs.write(0xc000_0080, 1 << 13, 0), WriteMsr::Refuse);
    });
    let amd = |leaf, subleaf| {
        guest_cpuid(rich(false), leaf, subleaf, &CpuidPolicy::default(), &CpuidContext::default())
    };
    assert_eq!(amd(0x8000_0008, 0).ebx >> 20 & 1, 1, "EferLmsleUnsupported");
}

#[test]
fn a_register_exists_exactly_where_cpuid_shows_it() {
    for_each_guest(|cpuid, mut msrs| {
        for (announcement, control) in CONTROLS {
            let Msr(msr) = *control else { continue };
            // What every processor with 64-bit mode has may be there without its bit.
            let basic = announcement.leaf == 1 || announcement.register == Edx && announcement.bit == 29;
            let read = msrs.read(msr) != ReadMsr::Refuse;
            let written = msrs.write(msr, 0, 0) != WriteMsr::Refuse;
            if announcement.is_shown(cpuid) {
                assert!(read, "{msr:#x} is announced by {announcement:?} and refused");
            } else if !basic {
                assert!(!read && !written, "{msr:#x} exists without {announcement:?}");
            }
        }
    });
}

#[test]
fn no_bit_of_a_control_register_belongs_to_a_feature_that_is_hidden() {
    for_each_guest(|cpuid, _| {
        let cr4 = allowed_cr4(cpuid);
        // LA57, VMXE, SMXE, key locker, CET, PKS, and all that have no name yet.
        assert_eq!(cr4 & !0x77_0fff | cr4 & (1 << 12 | 1 << 13 | 1 << 14 | 1 << 19), 0, "{cr4:#x}");
        assert_eq!(cr4 >> 18 & 1, u64::from(cpuid(1, 0).ecx >> 26 & 1), "OSXSAVE");
    });
}

#[test]
fn sizes_of_addresses_follow_from_what_else_is_shown() {
    for_each_guest(|cpuid, _| {
        let sizes = cpuid(0x8000_0008, 0).eax;
        let la57 = cpuid(7, 0).ecx >> 16 & 1 == 1;
        if sizes & 0xff != 0 {
            assert_eq!(sizes >> 8 & 0xff, if la57 { 57 } else { 48 });
            assert_eq!(sizes & 0xff, 52);
        }
        assert_eq!(sizes >> 16, 0, "the size for nesting is shown without nesting");
    });
}

#[test]
fn extended_state_agrees_in_all_leaves() {
    for_each_guest(|cpuid, _| {
        let components = cpuid(0xd, 0).eax;
        let (one, seven) = (cpuid(1, 0).ecx, cpuid(7, 0));
        assert_eq!(one >> 26 & 1 == 1, components & 3 == 3, "XSAVE and its components");
        assert!(one >> 28 & 1 == 0 || components & 4 != 0, "AVX and its component");
        assert!(seven.ebx >> 5 & 1 == 0 || components & 4 != 0, "AVX2 and its component");
        assert!(seven.ebx >> 16 & 1 == 0 || components & 0xe0 == 0xe0, "AVX-512 and its components");
        assert_eq!(seven.ecx >> 3 & 1 == 1, components & 1 << 9 != 0, "PKU and its component");
        assert_eq!(seven.ecx >> 22 & 1, cpuid(0x8000_0001, 0).edx >> 27 & 1, "RDPID and RDTSCP");
    });
}
