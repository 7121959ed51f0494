use super::*;
use crate::{AmdExtensions, AmdImmunity, AmdSpeculation, ArchCapabilities, LeafSevenEdx};
extern crate std;
use proptest::prelude::*;

/// A processor of family 6 with the microcode of its last year.
fn intel(model: u8, capabilities: ArchCapabilities) -> HostProcessor {
    let mut features = LeafSevenEdx::all();
    if capabilities.is_empty() {
        features -= LeafSevenEdx::ARCH_CAPABILITIES;
    }
    HostProcessor {
        vendor: Vendor::Intel,
        family: 6,
        model,
        structured: features,
        capabilities,
        microcode: u32::MAX,
        ..HostProcessor::default()
    }
}

fn amd(family: u16, model: u8, speculation: AmdSpeculation) -> HostProcessor {
    HostProcessor { vendor: Vendor::Amd, family, model, speculation, ..HostProcessor::default() }
}

fn measures(processor: &HostProcessor) -> Measures {
    Measures::new(processor, false)
}

/// Flaws that are closed, and those that are not.
fn flaws(measures: &Measures) -> (std::vec::Vec<&'static str>, std::vec::Vec<&'static str>) {
    let names = |closed| measures.notes(closed).map(|note| note.flaw).collect();
    (names(true), names(false))
}

const NONE: ArchCapabilities = ArchCapabilities::empty();

#[test]
fn processors_before_enhanced_ibrs_are_guarded_at_each_exit() {
    // Nehalem, Westmere, Sandy Bridge, Haswell, Skylake-SP.
    for (model, rtm) in [(0x1a, false), (0x2c, false), (0x2a, false), (0x3c, true), (0x55, true)] {
        let found = measures(&HostProcessor { rtm, ..intel(model, NONE) });
        assert!(found.small_pages && found.flush_l1d && found.clear_buffers, "{model:#x}");
        assert!(found.barrier_at_switch && found.ibrs_at_exit && !found.barrier_at_exit);
        assert_eq!((found.return_stack, found.spec_ctrl), (ReturnStack::Fill, 0));
        assert_eq!(found.guest_spec_ctrl, 0, "each entry and exit writes the register");
        assert!(found.guards_exits());
    }
    let skylake = measures(&HostProcessor { rtm: true, ..intel(0x55, NONE) });
    let (closed, open) = flaws(&skylake);
    assert_eq!(closed, ["iTLB multihit", "L1TF", "MDS", "TAA", "Spectre v2"]);
    assert_eq!(open, ["GDS"]);
}

#[test]
fn without_microcode_nothing_is_written_that_is_not_announced() {
    let old = HostProcessor { structured: LeafSevenEdx::empty(), ..intel(0x55, NONE) };
    let found = measures(&old);
    assert!(found.small_pages, "this one needs no microcode");
    assert!(!found.flush_l1d && !found.clear_buffers && !found.barrier_at_switch && !found.guards_exits());
    assert!(!found.has_spec_ctrl && found.changes.is_empty());
    assert_eq!(flaws(&found).1, ["L1TF", "MDS", "GDS", "Spectre v2"]);
}

#[test]
fn cascade_lake_has_multihit_taa_and_enhanced_ibrs() {
    let capabilities = ArchCapabilities::RDCL_NO
        | ArchCapabilities::IBRS_ALL
        | ArchCapabilities::SKIP_L1DFL_VMENTRY
        | ArchCapabilities::MDS_NO
        | ArchCapabilities::TSX_CTRL
        | ArchCapabilities::GDS_CTRL;
    let found = measures(&HostProcessor { rtm: true, stepping: 7, ..intel(0x55, capabilities) });
    assert!(found.small_pages && !found.flush_l1d && !found.clear_buffers && !found.ibrs_at_exit);
    assert_eq!((found.spec_ctrl, found.return_stack), (SPEC_CTRL_IBRS, ReturnStack::OneCall));
    assert_eq!(found.guest_spec_ctrl, SPEC_CTRL_IBRS | SPEC_CTRL_STIBP | SPEC_CTRL_SSBD);
    let changes: std::vec::Vec<_> =
        found.changes.iter().map(|change| (change.msr, change.clear, change.set)).collect();
    assert_eq!(changes, [(0x122, 0, 3), (0x123, 1 << 4, 0)], "TSX off, the remedy for GDS on");
    assert!(flaws(&found).1.is_empty(), "Weir's own retpolines close BHI");
    let returns = measures(&intel(0x55, capabilities | ArchCapabilities::RRSBA));
    assert_eq!(flaws(&returns).1, ["BHI"]);
}

#[test]
fn without_tsx_ctrl_verw_does_not_close_taa_where_there_is_no_mds() {
    let capabilities = ArchCapabilities::RDCL_NO | ArchCapabilities::IBRS_ALL | ArchCapabilities::MDS_NO;
    let cascade_lake = HostProcessor { rtm: true, stepping: 7, ..intel(0x55, capabilities) };
    assert_eq!(flaws(&measures(&cascade_lake)).1, ["TAA", "GDS"]);
    assert!(measures(&cascade_lake).clear_buffers, "VERW costs little, and may be better than announced");
    let updated = HostProcessor { capabilities: capabilities | ArchCapabilities::TSX_CTRL, ..cascade_lake };
    assert_eq!(flaws(&measures(&updated)).1, ["GDS"]);
    assert!(
        flaws(&measures(&HostProcessor { rtm: false, ..cascade_lake })).0.iter().all(|flaw| *flaw != "TAA")
    );
}

#[test]
fn clients_keep_random_numbers_from_other_cores_where_the_microcode_can() {
    let on = |found: &Measures| found.changes.iter().any(|change| (change.msr, change.clear) == (0x123, 1));
    // Ivy Bridge, Haswell, Broadwell, Skylake, Kaby Lake.
    for model in [0x3a, 0x3c, 0x45, 0x46, 0x3d, 0x47, 0x4e, 0x5e, 0x8e, 0x9e] {
        let found = measures(&intel(model, NONE));
        assert!(on(&found) && flaws(&found).0.contains(&"SRBDS"), "{model:#x}");
        let old = measures(&HostProcessor {
            structured: LeafSevenEdx::all() - LeafSevenEdx::SRBDS_CTRL - LeafSevenEdx::ARCH_CAPABILITIES,
            ..intel(model, NONE)
        });
        assert!(!on(&old) && flaws(&old).1.contains(&"SRBDS"), "{model:#x}");
    }
    let servers_and_new = [intel(0x3f, NONE), intel(0x55, NONE), intel(0x9e, ArchCapabilities::MDS_NO)];
    assert!(servers_and_new.iter().all(|processor| !on(&measures(processor))));
    let with_tsx = HostProcessor { rtm: true, ..intel(0x9e, ArchCapabilities::MDS_NO) };
    assert!(on(&measures(&with_tsx)));
}

#[test]
fn reptar_is_open_until_the_microcode_mends_it() {
    for (model, stepping, mended) in [
        (0x6a, 6, 0x0d00_03b9),
        (0x6c, 1, 0x0100_0268),
        (0x7e, 5, 0xc2),
        (0x8c, 1, 0xb4),
        (0x8c, 2, 0x34),
        (0x8d, 1, 0x4e),
        (0xa7, 1, 0x5d),
        (0x97, 2, 0x32),
        (0x9a, 3, 0x430),
        (0x9a, 4, 5),
        (0xb7, 1, 0x11d),
        (0xba, 2, 0x411c),
        (0xbf, 2, 0x32),
        (0x8f, 8, 0x2b00_04d0),
        (0x8f, 8, 0x2c00_0290),
    ] {
        let with = |microcode| HostProcessor { stepping, microcode, ..intel(model, ArchCapabilities::all()) };
        assert!(flaws(&measures(&with(mended))).0.contains(&"Reptar"), "{model:#x}");
        assert_eq!(flaws(&measures(&with(mended - 1))).1, ["Reptar"], "{model:#x}");
        let nested = HostProcessor { hypervisor: true, ..with(1) };
        assert!(flaws(&measures(&nested)).1.is_empty(), "the microcode is the hypervisor's affair");
    }
    let cascade_lake = measures(&HostProcessor { microcode: 1, ..intel(0x55, ArchCapabilities::all()) });
    assert!(!flaws(&cascade_lake).1.contains(&"Reptar"));
}

#[test]
fn ice_lake_needs_only_a_call_and_a_fence() {
    let capabilities = ArchCapabilities::RDCL_NO
        | ArchCapabilities::IBRS_ALL
        | ArchCapabilities::MDS_NO
        | ArchCapabilities::PSCHANGE_MC_NO
        | ArchCapabilities::TAA_NO
        | ArchCapabilities::GDS_CTRL;
    let found = measures(&intel(0x6a, capabilities));
    assert!(!found.small_pages && !found.flush_l1d && !found.clear_buffers);
    assert_eq!(found.return_stack, ReturnStack::OneCall);
}

#[test]
fn alder_lake_and_sapphire_rapids_pay_nothing_at_exits_but_the_fence() {
    let capabilities = ArchCapabilities::RDCL_NO
        | ArchCapabilities::IBRS_ALL
        | ArchCapabilities::MDS_NO
        | ArchCapabilities::PSCHANGE_MC_NO
        | ArchCapabilities::TAA_NO;
    let alder = HostProcessor { bhi_ctrl: true, ..intel(0x97, capabilities | ArchCapabilities::RFDS_CLEAR) };
    let found = measures(&alder);
    assert!(found.clear_buffers && !found.small_pages, "RFDS");
    assert_eq!(found.spec_ctrl, SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS_S);
    let sapphire = HostProcessor { bhi_ctrl: true, ..intel(0x8f, capabilities | ArchCapabilities::PBRSB_NO) };
    let found = measures(&sapphire);
    assert!(!found.clear_buffers && !found.guards_exits());
    assert_eq!(flaws(&found), (std::vec!["Reptar", "Spectre v2", "BHI"], std::vec![]));
}

#[test]
fn goldmont_has_register_file_sampling_but_neither_multihit_nor_l1tf() {
    let found = measures(&intel(0x5c, ArchCapabilities::RFDS_CLEAR));
    assert!(!found.small_pages && !found.flush_l1d && found.clear_buffers);
    assert_eq!(flaws(&found).0, ["RFDS", "Spectre v2"]);
}

#[test]
fn a_hypervisor_that_hides_its_immunity_gets_small_pages() {
    let nested = HostProcessor { hypervisor: true, ..intel(0x55, ArchCapabilities::SKIP_L1DFL_VMENTRY) };
    let found = measures(&nested);
    assert!(found.small_pages && !found.flush_l1d, "the flush is the hypervisor's");
    let kvm = HostProcessor {
        capabilities: ArchCapabilities::PSCHANGE_MC_NO | ArchCapabilities::SKIP_L1DFL_VMENTRY,
        ..nested
    };
    assert!(!measures(&kvm).small_pages);
}

#[test]
fn zen_1_to_3_pay_for_a_barrier_at_each_exit() {
    let speculation = AmdSpeculation::IBPB | AmdSpeculation::STIBP | AmdSpeculation::ERROR_POINTERS;
    // Zen 1, Zen+, Zen 2, Hygon.
    for (family, model) in [(0x17, 0x01), (0x17, 0x08), (0x17, 0x71), (0x18, 0x00)] {
        let found = measures(&amd(family, model, speculation));
        assert!(found.barrier_at_exit && found.barrier_at_switch && !found.ibrs_at_exit);
        assert_eq!(found.return_stack, ReturnStack::Fill, "IBPB leaves it there");
        assert!(
            !found.small_pages && !found.flush_l1d && !found.clear_buffers && !found.clear_error_pointers
        );
    }
    let zen_3 = HostProcessor {
        extensions: AmdExtensions::IBPB_BRTYPE | AmdExtensions::VERW_CLEAR,
        ..amd(0x19, 0x21, speculation | AmdSpeculation::BTC_NO | AmdSpeculation::IBRS)
    };
    let found = measures(&zen_3);
    assert!(found.barrier_at_exit && found.clear_buffers);
    assert_eq!(flaws(&found).0, ["SRSO", "Spectre v2", "TSA"]);
}

#[test]
fn zen_2_gets_the_bit_against_zenbleed_unless_its_microcode_or_a_hypervisor_cares() {
    let rome = amd(0x17, 0x31, AmdSpeculation::IBPB);
    let touched = |processor: &HostProcessor| {
        measures(processor).changes.iter().any(|change| (change.msr, change.set) == (0xc001_1029, 1 << 9))
    };
    assert!(touched(&rome));
    assert!(!touched(&HostProcessor { microcode: 0x0830_107b, ..rome }));
    assert!(!touched(&HostProcessor { hypervisor: true, ..rome }));
    // The first and last model of each range, and those between the ranges.
    for model in [0x30, 0x3f, 0x40, 0x47, 0x4f, 0x60, 0x68, 0x7f, 0x90, 0x91, 0xa0, 0xaf] {
        assert!(touched(&HostProcessor { model, ..rome }), "{model:#x}");
    }
    for model in [0x01, 0x08, 0x18, 0x2f, 0x50, 0x5f, 0x80, 0x92] {
        assert!(!touched(&HostProcessor { model, ..rome }), "{model:#x}: Zen, Zen+");
    }
}

#[test]
fn zen_1_divides_before_entries_after_work_for_other_guests() {
    let found = |family, model| measures(&amd(family, model, AmdSpeculation::IBPB));
    for (family, model) in [(0x17, 0x01), (0x17, 0x11), (0x17, 0x18), (0x17, 0x20), (0x17, 0x50), (0x18, 0)] {
        let found = found(family, model);
        assert!(found.guards().contains(Guards::CLEAR_DIVIDER), "{family:#x} {model:#x}");
        assert!(flaws(&found).0.contains(&"DIV0"));
    }
    for (family, model) in [(0x15, 0x02), (0x17, 0x31), (0x17, 0x71), (0x19, 0x01)] {
        assert!(!found(family, model).clear_divider, "{family:#x} {model:#x}");
    }
    assert!(Guards::FOREIGN.contains(Guards::CLEAR_DIVIDER), "Weir divides for others in between");
}

#[test]
fn zen_4_has_automatic_ibrs_and_zen_5_needs_no_barrier_at_exits() {
    let speculation = AmdSpeculation::all();
    let extensions = AmdExtensions::AUTOMATIC_IBRS | AmdExtensions::IBPB_BRTYPE | AmdExtensions::VERW_CLEAR;
    let zen_4 = HostProcessor { extensions, ..amd(0x19, 0x61, speculation) };
    let found = measures(&zen_4);
    assert!(found.barrier_at_exit, "SRSO");
    assert_eq!(found.return_stack, ReturnStack::Leave);
    assert_eq!(found.changes.first().map(|change| (change.msr, change.set)), Some((IA32_EFER, 1 << 21)));
    let zen_5 = HostProcessor {
        family: 0x1a,
        model: 0x44,
        extensions: extensions | AmdExtensions::BP_SPEC_REDUCE,
        immunity: AmdImmunity::all(),
        ..zen_4
    };
    let found = measures(&zen_5);
    assert!(!found.guards_exits() && !found.clear_buffers);
    assert!(found.changes.iter().any(|change| (change.msr, change.set) == (0xc001_102e, 1 << 4)));
    let below = measures(&HostProcessor { hypervisor: true, ..zen_5 });
    assert!(below.barrier_at_exit, "the register is the hypervisor's");
}

#[test]
fn bulldozer_with_new_microcode_is_guarded_and_older_families_are_named() {
    let found = measures(&amd(0x15, 0x02, AmdSpeculation::IBPB));
    assert!(found.barrier_at_exit && found.clear_error_pointers);
    let barcelona = measures(&amd(0x10, 0x02, AmdSpeculation::empty()));
    assert!(!barcelona.guards_exits() && !barcelona.barrier_at_switch && barcelona.clear_error_pointers);
    assert_eq!(flaws(&barcelona), (std::vec!["x87 error pointers"], std::vec!["Spectre v2"]));
}

#[test]
fn threads_that_share_a_core_are_kept_apart_by_stibp() {
    let ice_lake = intel(0x6a, ArchCapabilities::IBRS_ALL);
    assert_eq!(Measures::new(&ice_lake, true).spec_ctrl & SPEC_CTRL_STIBP, SPEC_CTRL_STIBP);
    let zen_3 = amd(0x19, 0x21, AmdSpeculation::all());
    assert_eq!(Measures::new(&zen_3, true).spec_ctrl, SPEC_CTRL_STIBP);
    assert_eq!(Measures::new(&zen_3, false).spec_ctrl, 0);
}

proptest! {
    #[test]
    fn each_processor_gets_all_notes_and_changes_and_only_announced_registers(
        vendor in 0..4, family in 0u16..0x20, model: u8, hypervisor: bool, rtm: bool, features: u32, capabilities: u64,
        bhi_ctrl: bool, speculation: u32, extensions: u32, immunity: u32, microcode: u32, smt: bool
    ) {
        let processor = HostProcessor {
            vendor: [Vendor::Intel, Vendor::Amd, Vendor::Hygon, Vendor::Other][vendor as usize],
            family, model, stepping: 0, hypervisor, rtm,
            structured: LeafSevenEdx::from_bits_retain(features),
            capabilities: ArchCapabilities::from_bits_retain(capabilities),
            bhi_ctrl,
            speculation: AmdSpeculation::from_bits_retain(speculation),
            extensions: AmdExtensions::from_bits_retain(extensions),
            immunity: AmdImmunity::from_bits_retain(immunity),
            microcode,
        };
        let found = Measures::new(&processor, smt);
        // One more would have been dropped.
        prop_assert!(found.notes.len() < found.notes.capacity() && found.changes.len() < found.changes.capacity());
        prop_assert!(found.has_spec_ctrl || (found.spec_ctrl | found.guest_spec_ctrl) == 0 && !found.ibrs_at_exit);
        prop_assert!(!found.barrier_at_exit || found.barrier_at_switch);
    }
}

#[test]
fn the_log_says_what_is_done_and_why() {
    use std::string::ToString;
    let zen_2 = measures(&amd(0x17, 0x31, AmdSpeculation::IBPB | AmdSpeculation::ERROR_POINTERS));
    let closed = zen_2.line(true).map(|line| line.to_string());
    assert_eq!(
        closed.as_deref(),
        Some(
            "flaws closed: branch type confusion: IBPB after exits; Spectre v2: IBPB after exits and between guests; \
             Zenbleed: bit 9 of DE_CFG"
        )
    );
    assert!(zen_2.line(false).is_none());
    assert_eq!(zen_2.guards(), Guards::BARRIER | Guards::FILL_RETURN_STACK);
}

#[test]
fn guests_see_what_the_processor_announces() {
    let shown = |processor: &HostProcessor| measures(processor).guest_controls(processor);
    let nothing = GuestControls { microcode: u32::MAX, ..GuestControls::default() };
    assert_eq!(shown(&intel(0x55, NONE)), nothing, "IBRS costs each exit there");
    let ice_lake = shown(&intel(0x6a, ArchCapabilities::RDCL_NO | ArchCapabilities::IBRS_ALL));
    assert_eq!((ice_lake.shown, ice_lake.arch_capabilities, ice_lake.spec_ctrl), (true, Some(0b11), 0b111));
    let zen_2 = shown(&amd(0x17, 0x31, AmdSpeculation::IBPB));
    assert_eq!((zen_2.shown, zen_2.arch_capabilities, zen_2.spec_ctrl), (true, None, 0));
}
