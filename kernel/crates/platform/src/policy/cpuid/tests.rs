use super::*;
use proptest::prelude::*;

const POLICY: CpuidPolicy = CpuidPolicy {
    vcpus: 1,
    tsc_hz: 3_000_000_000,
    crystal_hz: 25_000_000,
    xcr0_allowed: XCR0_AVX512,
    compaction: true,
    xsaves: false,
    rdtscp: true,
    invpcid: true,
    spec_ctrl: true,
    arch_capabilities: true,
};

/// An Intel processor that has everything.
fn rich(leaf: u32, subleaf: u32) -> CpuidResult {
    let all = CpuidResult { eax: u32::MAX, ebx: u32::MAX, ecx: u32::MAX, edx: u32::MAX };
    match (leaf, subleaf) {
        (0, _) => CpuidResult { eax: 0x20, ebx: 0x756e_6547, ecx: 0x6c65_746e, edx: 0x4965_6e69 },
        (4, 0) => CpuidResult { eax: 0xffff_c021, ebx: 1, ecx: 2, edx: 3 },
        (4, 3) => CpuidResult { eax: 0xffff_c063, ebx: 1, ecx: 2, edx: 3 },
        (4, _) => CpuidResult::default(),
        (7, 0) => CpuidResult { eax: 2, ..all },
        (0xd, 0) => CpuidResult { eax: 0x6_02ff, ebx: 0, ecx: 0, edx: 0 },
        // Component: size, offset in the standard form; all aligned.
        (0xd, 2) => CpuidResult { eax: 256, ebx: 576, ecx: 2, edx: 0 },
        (0xd, 5) => CpuidResult { eax: 64, ebx: 1088, ecx: 0, edx: 0 },
        (0xd, 6) => CpuidResult { eax: 512, ebx: 1152, ecx: 2, edx: 0 },
        (0xd, 7) => CpuidResult { eax: 1024, ebx: 1664, ecx: 2, edx: 0 },
        (0xd, 9) => CpuidResult { eax: 8, ebx: 2688, ecx: 0, edx: 0 },
        (0x8000_0000, _) => CpuidResult { eax: 0x8000_0021, ..CpuidResult::default() },
        (0x8000_0008, _) => CpuidResult { eax: 0x0026_302e, ..all },
        _ => all,
    }
}

fn cpuid(leaf: u32, subleaf: u32, context: &CpuidContext) -> CpuidResult {
    guest_cpuid(rich, leaf, subleaf, &POLICY, context)
}

const PLAIN: CpuidContext = CpuidContext { apic_id: 0, apic_enabled: true, xcr0: 1, cr4: 0 };

#[test]
fn groups_of_a_table_do_not_overlap() {
    for (name, table) in features::TABLES {
        let mut seen = 0;
        for group in *table {
            assert_eq!(seen & group.mask, 0, "{name}: {}", group.why);
            assert!(group.mask != 0 && !group.why.is_empty());
            seen |= group.mask;
        }
    }
}

#[test]
fn virtualization_monitor_and_counters_are_hidden_and_modelled_features_provided() {
    let leaf = cpuid(1, 0, &PLAIN);
    for hidden in [3, 5, 6, 7, 8, 15] {
        assert_eq!(leaf.ecx >> hidden & 1, 0, "ECX bit {hidden}");
    }
    let poor = |leaf, subleaf| if leaf == 1 { CpuidResult::default() } else { rich(leaf, subleaf) };
    let provided = guest_cpuid(poor, 1, 0, &POLICY, &PLAIN);
    assert_eq!(provided.ecx, 1 << 21 | 1 << 24 | 1 << 31);
    assert_eq!(provided.edx, 1 << 7 | 1 << 9 | 1 << 12 | 1 << 14);
    for leaf in [3, 5, 9, 0xa, 0xf, 0x10, 0x12, 0x14, 0x17, 0x1f, 0x4000_0001, 0x8000_0009, u32::MAX] {
        assert_eq!(cpuid(leaf, 0, &PLAIN), CpuidResult::default(), "{leaf:#x}");
    }
    assert_eq!(cpuid(6, 0, &PLAIN), CpuidResult { eax: 4, ..CpuidResult::default() });
    assert_eq!(cpuid(0, 0, &PLAIN).eax, 0x16);
}

#[test]
fn the_hypervisor_says_its_name() {
    let leaf = cpuid(0x4000_0000, 0, &PLAIN);
    let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).concat();
    assert_eq!(name, b"WeirWeirWeir");
    assert_eq!(leaf.eax, 0x4000_0010);
    assert_eq!(cpuid(0x4000_0010, 0, &PLAIN), CpuidResult { eax: 3_000_000, ebx: 25_000, ecx: 0, edx: 0 });
}

#[test]
fn the_clock_is_announced_beside_the_name_and_nothing_else_of_that_interface() {
    let leaf = cpuid(0x4000_0100, 0, &PLAIN);
    let name = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes).concat();
    assert_eq!((leaf.eax, &name[..]), (0x4000_0101, &b"KVMKVMKVM\0\0\0"[..]));
    let features = CpuidResult { eax: 0x0100_000a, ..CpuidResult::default() };
    assert_eq!(cpuid(0x4000_0101, 0, &PLAIN), features);
    assert_eq!(cpuid(0x4000_0102, 0, &PLAIN), CpuidResult::default());
    assert_eq!(cpuid(0x8000_0007, 0, &PLAIN).edx, 1 << 8, "constant on every processor");
}

#[test]
fn mirrored_bits_follow_the_guest() {
    let context = CpuidContext { apic_id: 5, apic_enabled: false, xcr0: 1, cr4: 1 << 18 | 1 << 22 };
    let leaf = cpuid(1, 0, &context);
    assert_eq!((leaf.ecx >> 27 & 1, leaf.edx >> 9 & 1, leaf.ebx >> 24), (1, 0, 5));
    assert_eq!(cpuid(1, 0, &PLAIN).ecx >> 27 & 1, 0);
    // PKU is not shown while PKRU is not switched, whatever CR4 says.
    assert_eq!(cpuid(7, 0, &context).ecx & (1 << 3 | 1 << 4), 0);
    let policy = CpuidPolicy { xcr0_allowed: XCR0_AVX512 | XCR0_PKRU, ..POLICY };
    assert_eq!(guest_cpuid(rich, 7, 0, &policy, &context).ecx & (1 << 3 | 1 << 4), 1 << 3 | 1 << 4);
}

#[test]
fn extended_state_is_limited_and_its_sizes_fit() {
    let context = CpuidContext { xcr0: 7, ..PLAIN };
    let leaf = cpuid(0xd, 0, &context);
    assert_eq!(leaf, CpuidResult { eax: 0xe7, ebx: 832, ecx: 2688, edx: 0 });
    assert_eq!(cpuid(0xd, 1, &context), CpuidResult { eax: 7, ebx: 832, ecx: 0, edx: 0 });
    let all = CpuidContext { xcr0: 0xe7, ..PLAIN };
    assert_eq!(cpuid(0xd, 1, &all).ebx, 576 + 256 + 64 + 512 + 1024);
    assert_eq!(cpuid(0xd, 9, &context), CpuidResult::default());
    assert_eq!(cpuid(0xd, 2, &context).eax, 256);
    assert_eq!(cpuid(0xd, u32::MAX, &context), CpuidResult::default());
}

#[test]
fn a_processor_that_compacts_wrongly_is_shown_with_the_standard_form() {
    let shown = |compaction| {
        let policy = CpuidPolicy { compaction, xsaves: true, ..POLICY }.limited_to(rich);
        guest_cpuid(rich, 0xd, 1, &policy, &CpuidContext { xcr0: 7, ..PLAIN })
    };
    assert_eq!(shown(true), CpuidResult { eax: 0b1111, ebx: 832, ecx: 0, edx: 0 });
    assert_eq!(shown(false), CpuidResult { eax: 0b0101, ebx: 0, ecx: 0, edx: 0 }, "XSAVEOPT and XGETBV");
}

#[test]
fn without_switched_state_nothing_that_needs_it_is_shown() {
    let policy = CpuidPolicy { vcpus: 1, ..CpuidPolicy::default() };
    let leaf = |leaf, subleaf| guest_cpuid(rich, leaf, subleaf, &policy, &PLAIN);
    assert_eq!(leaf(1, 0).ecx & (1 << 26 | 1 << 28 | 1 << 12 | 1 << 29), 0);
    assert_eq!(leaf(7, 0).ebx & (AVX2 | AVX512_EBX | 1 << 10), 0);
    assert_eq!(leaf(7, 0).edx & (1 << 26 | 1 << 27 | 1 << 29 | 1 << 31), 0);
    assert_eq!(leaf(0x8000_0001, 0).edx >> 27 & 1, 0);
    assert_eq!(leaf(0xd, 0), CpuidResult::default());
}

#[test]
fn topology_leaves_agree() {
    for (vcpus, shift) in [(1, 0), (2, 1), (3, 2), (4, 2), (8, 3)] {
        let policy = CpuidPolicy { vcpus, ..POLICY };
        let context = CpuidContext { apic_id: vcpus - 1, ..PLAIN };
        let leaf = |leaf, subleaf| guest_cpuid(rich, leaf, subleaf, &policy, &context);
        assert_eq!(leaf(1, 0).ebx >> 16 & 0xff, vcpus.into());
        assert_eq!(leaf(1, 0).edx >> 28 & 1, u32::from(vcpus > 1));
        assert_eq!(leaf(0xb, 0).eax, 0);
        assert_eq!((leaf(0xb, 1).eax, leaf(0xb, 1).ebx), (shift, vcpus.into()));
        assert_eq!((leaf(0xb, 2).ebx, leaf(0xb, 2).ecx, leaf(0xb, 2).edx), (0, 2, u32::from(vcpus) - 1));
        assert_eq!(leaf(4, 0).eax >> 26, (1 << shift) - 1);
        assert_eq!((leaf(4, 0).eax >> 14 & 0xfff, leaf(4, 3).eax >> 14 & 0xfff), (0, (1 << shift) - 1));
    }
}

#[test]
fn physical_address_size_is_shown_and_the_nested_one_is_not() {
    assert_eq!(cpuid(0x8000_0008, 0, &PLAIN).eax, 0x302e);
    assert_eq!(cpuid(0x8000_0007, 0, &PLAIN), CpuidResult { edx: 1 << 8, ..CpuidResult::default() });
}

proptest! {
    #[test]
    fn no_leaf_of_any_processor_panics_or_shows_nesting(
        leaf: u32, subleaf in 0u32..80, seed: u32, vcpus: u8, xcr0: u64
    ) {
        let host = |leaf: u32, subleaf: u32| {
            let mix = |n: u32| (leaf ^ subleaf.rotate_left(7) ^ seed).wrapping_mul(0x9e37_79b9 + n).rotate_left(n);
            CpuidResult { eax: mix(1), ebx: mix(5), ecx: mix(9), edx: mix(13) }
        };
        let policy = CpuidPolicy { vcpus, xcr0_allowed: XCR0_AVX512 | XCR0_PKRU, ..POLICY };
        let context = CpuidContext { xcr0, ..PLAIN };
        for leaf in [leaf, leaf & 0x1f, leaf & 0x1f | 0x8000_0000] {
            let _ = guest_cpuid(host, leaf, subleaf, &policy, &context);
        }
        prop_assert_eq!(guest_cpuid(host, 1, 0, &policy, &context).ecx & 1 << 5, 0);
        prop_assert_eq!(guest_cpuid(host, 0x8000_0001, 0, &policy, &context).ecx & 1 << 2, 0);
    }
}
