//! Intel's processors.

use super::{Measures, ReturnStack, SPEC_CTRL_BHI_DIS_S, SPEC_CTRL_IBRS, SPEC_CTRL_SSBD, SPEC_CTRL_STIBP};
use crate::{ArchCapabilities, HostProcessor, LeafSevenEdx};
use core::ops::RangeInclusive;

/// IA32_TSX_CTRL: RTM aborts at once, and CPUID does not show it.
const IA32_TSX_CTRL: u32 = 0x122;
const TSX_OFF: u64 = 3;
/// IA32_MCU_OPT_CTRL: RNGDS_MITG_DIS and GDS_MITG_DIS switch the microcode's remedies for SRBDS and GDS off.
const IA32_MCU_OPT_CTRL: u32 = 0x123;
const RNGDS_MITG_DIS: u64 = 1 << 0;
const GDS_MITG_DIS: u64 = 1 << 4;
/// What is said of a flaw that only microcode closes.
const NO_REMEDY: &str = "needs newer microcode, or the hypervisor below does not say";

/// The family that all of the models below belong to.
const FAMILY: u16 = 6;

/// Small cores before Tremont, and Xeon Phi: no iTLB multihit and no L1TF.
const SMALL: &[u8] = &[
    0x1c, 0x26, 0x27, 0x35, 0x36, // Bonnell, Saltwell
    0x37, 0x4a, 0x4d, 0x5d, // Silvermont
    0x4c, 0x5a, 0x75, // Airmont
    0x5c, 0x5f, 0x7a, // Goldmont, Goldmont Plus
    0x57, 0x85, // Knights Landing, Knights Mill
];
/// Snow Ridge, which has Tremont's cores, has no iTLB multihit either.
const TREMONT_D: u8 = 0x86;
/// Goldmont and Goldmont Plus: no MDS, although they do not announce it.
const NO_MDS: &[u8] = &[0x5c, 0x5f, 0x7a];
/// Register file data sampling: small cores from Goldmont on, and processors that have some beside large ones.
const RFDS: &[u8] = &[
    0x5c, 0x5f, 0x7a, // Goldmont, Goldmont Plus
    0x86, 0x96, 0x9c, // Tremont
    0x97, 0x9a, // Alder Lake
    0xb7, 0xba, 0xbf, // Raptor Lake
    0xbe, // Gracemont
];
/// Gather data sampling.
const GDS: &[u8] = &[
    0x4e, 0x5e, 0x55, // Skylake, Cascade Lake, Cooper Lake
    0x8e, 0x9e, // Kaby Lake, Coffee Lake
    0x6a, 0x6c, 0x7e, // Ice Lake
    0x8c, 0x8d, // Tiger Lake
    0xa5, 0xa6, 0xa7, // Comet Lake, Rocket Lake
];
/// Special register buffer data sampling.
const SRBDS: &[u8] = &[
    0x3a, // Ivy Bridge
    0x3c, 0x45, 0x46, // Haswell
    0x3d, 0x47, // Broadwell
    0x4e, 0x5e, // Skylake
    0x8e, 0x9e, // Kaby Lake, Coffee Lake
];
/// Reptar: model, its steppings, the revision with which this line of microcode begins, and the one that mends it
/// [Intel affected CPUs, CVE-2023-23583].
const REPTAR: &[(u8, RangeInclusive<u8>, u32, u32)] = &[
    (0x6a, 0..=15, 0, 0x0d00_03b9),           // Ice Lake-SP
    (0x6c, 0..=15, 0, 0x0100_0268),           // Ice Lake-D
    (0x7e, 0..=15, 0, 0xc2),                  // Ice Lake
    (0x8c, 0..=1, 0, 0xb4),                   // Tiger Lake
    (0x8c, 2..=15, 0, 0x34),                  // the same
    (0x8d, 0..=15, 0, 0x4e),                  // the same
    (0xa7, 0..=15, 0, 0x5d),                  // Rocket Lake
    (0x97, 0..=15, 0, 0x32),                  // Alder Lake
    (0x9a, 0..=15, 0, 0x05),                  // Arizona Beach
    (0x9a, 0..=15, 0x400, 0x430),             // Alder Lake
    (0xb7, 0..=15, 0, 0x11d),                 // Raptor Lake
    (0xba, 0..=15, 0, 0x411c),                // the same
    (0xbf, 0..=15, 0, 0x32),                  // the same
    (0x8f, 0..=15, 0, 0x2b00_04d0),           // Sapphire Rapids
    (0x8f, 0..=15, 0x2c00_0000, 0x2c00_0290), // the same, with HBM
];
/// No post-barrier return-stack prediction, although they do not announce it.
const NO_PBRSB: &[u8] = &[0x7a, 0x86, 0x96, 0x9c];

pub(super) fn decide(measures: &mut Measures, processor: &HostProcessor, smt: bool) {
    multihit(measures, processor);
    l1tf(measures, processor);
    buffers(measures, processor);
    gather(measures, processor);
    special_registers(measures, processor);
    reptar(measures, processor);
    predictors(measures, processor, smt);
}

fn is_one_of(processor: &HostProcessor, models: &[u8]) -> bool {
    processor.family == FAMILY && models.contains(&processor.model)
}

/// A guest that changes the page size of its code can raise a machine check (CVE-2018-12207), unless the second level
/// has small pages only: then the TLB holds small pages only.
fn multihit(measures: &mut Measures, processor: &HostProcessor) {
    let immune = processor.capabilities.contains(ArchCapabilities::PSCHANGE_MC_NO)
        || is_one_of(processor, SMALL)
        || is_one_of(processor, &[TREMONT_D]);
    if !immune {
        measures.small_pages = true;
        measures.note("iTLB multihit", true, "EPT pages of 4 KiB only");
    }
}

/// A guest's kernel reads what is in the L1D at any physical address (CVE-2018-3646).
fn l1tf(measures: &mut Measures, processor: &HostProcessor) {
    let has = |bit| processor.capabilities.contains(bit);
    if has(ArchCapabilities::RDCL_NO) || is_one_of(processor, SMALL) {
        return;
    }
    if has(ArchCapabilities::SKIP_L1DFL_VMENTRY) {
        measures.note("L1TF", true, "the hypervisor below flushes the L1D");
    } else if processor.structured.contains(LeafSevenEdx::L1D_FLUSH) {
        measures.flush_l1d = true;
        measures.note("L1TF", true, "L1D flush before entries after work for other guests");
    } else {
        measures.note("L1TF", false, "no IA32_FLUSH_CMD: needs newer microcode");
    }
}

/// Flaws that VERW closes: MDS, TAA and RFDS. Stale MMIO data needs a guest that reaches a device's registers, which
/// Weir's guests do not.
fn buffers(measures: &mut Measures, processor: &HostProcessor) {
    const VERW: &str = "VERW before entries after work for other guests";
    let has = |bit| processor.capabilities.contains(bit);
    let clears = processor.structured.contains(LeafSevenEdx::MD_CLEAR);
    let mut verw = |flaw, clears| {
        measures.clear_buffers |= clears;
        measures.note(
            flaw,
            clears,
            if clears { VERW } else { "VERW clears no buffers: needs newer microcode" },
        );
    };
    let mds = !has(ArchCapabilities::MDS_NO) && !is_one_of(processor, NO_MDS);
    if mds {
        verw("MDS", clears);
    }
    if is_one_of(processor, RFDS) && !has(ArchCapabilities::RFDS_NO) {
        verw("RFDS", has(ArchCapabilities::RFDS_CLEAR));
    }
    if has(ArchCapabilities::TAA_NO) || !processor.rtm && !has(ArchCapabilities::TSX_CTRL) {
        return;
    }
    // Guests are not shown TSX, so none misses it.
    if has(ArchCapabilities::TSX_CTRL) {
        measures.change(IA32_TSX_CTRL, 0, TSX_OFF);
        measures.note("TAA", true, "TSX off");
    } else {
        // Such a processor without the register has microcode whose VERW does not clear the buffers, whatever it
        // announces. It is executed all the same.
        verw("TAA", clears && !has(ArchCapabilities::MDS_NO));
        measures.clear_buffers |= clears;
    }
}

/// AVX gathers read what other guests left in vector registers (CVE-2022-40982): only microcode helps.
fn gather(measures: &mut Measures, processor: &HostProcessor) {
    let has = |bit| processor.capabilities.contains(bit);
    if !is_one_of(processor, GDS) || has(ArchCapabilities::GDS_NO) {
        return;
    }
    if has(ArchCapabilities::GDS_CTRL) {
        measures.change(IA32_MCU_OPT_CTRL, GDS_MITG_DIS, 0);
        measures.note("GDS", true, "the microcode's remedy is on");
    } else {
        measures.note("GDS", false, NO_REMEDY);
    }
}

/// RDRAND and RDSEED leave what they returned where other cores can read it (CVE-2020-0543), as MDS or TAA do.
fn special_registers(measures: &mut Measures, processor: &HostProcessor) {
    let immune = processor.capabilities.contains(ArchCapabilities::MDS_NO) && !processor.rtm;
    if !is_one_of(processor, SRBDS) || immune {
        return;
    }
    if processor.structured.contains(LeafSevenEdx::SRBDS_CTRL) {
        measures.change(IA32_MCU_OPT_CTRL, RNGDS_MITG_DIS, 0);
        measures.note("SRBDS", true, "the microcode's remedy is on");
    } else {
        measures.note("SRBDS", false, NO_REMEDY);
    }
}

/// Redundant prefixes of a string move make the processor stop or execute what the program does not contain
/// (CVE-2023-23583): a guest can take the machine down.
fn reptar(measures: &mut Measures, processor: &HostProcessor) {
    const FLAW: &str = "Reptar";
    let HostProcessor { model, stepping, microcode, .. } = processor;
    let mut rows = REPTAR.iter().filter(|row| row.0 == *model && row.1.contains(stepping));
    if processor.family != FAMILY {
        return;
    }
    let Some(row) = rows.rfind(|row| row.2 <= *microcode) else { return };
    if processor.hypervisor {
        measures.note(FLAW, true, "left to the hypervisor below");
    } else if *microcode >= row.3 {
        measures.note(FLAW, true, "mended by the microcode");
    } else {
        measures.note(FLAW, false, "a guest can stop the machine: needs newer microcode");
    }
}

/// Spectre v2 and what followed from it.
fn predictors(measures: &mut Measures, processor: &HostProcessor, smt: bool) {
    let has = |bit| processor.capabilities.contains(bit);
    if !processor.structured.contains(LeafSevenEdx::SPEC_CTRL) {
        measures.note("Spectre v2", false, "no IBRS and IBPB: needs newer microcode");
        return;
    }
    measures.has_spec_ctrl = true;
    measures.barrier_at_switch = true;
    if smt && processor.structured.contains(LeafSevenEdx::STIBP) {
        measures.spec_ctrl |= SPEC_CTRL_STIBP;
    }
    if !has(ArchCapabilities::IBRS_ALL) {
        measures.ibrs_at_exit = true;
        measures.return_stack = ReturnStack::Fill;
        measures.note("Spectre v2", true, "IBRS and filled return stack after exits, IBPB between guests");
        return;
    }
    measures.spec_ctrl |= SPEC_CTRL_IBRS;
    measures.note("Spectre v2", true, "enhanced IBRS, IBPB between guests");
    // A guest's bits are added to Weir's, so that no exit writes the register.
    measures.guest_controls = true;
    measures.guest_spec_ctrl = SPEC_CTRL_IBRS;
    for (feature, bit) in [(LeafSevenEdx::STIBP, SPEC_CTRL_STIBP), (LeafSevenEdx::SSBD, SPEC_CTRL_SSBD)] {
        if processor.structured.contains(feature) {
            measures.guest_spec_ctrl |= bit;
        }
    }
    if !has(ArchCapabilities::BHI_NO) {
        if processor.bhi_ctrl {
            measures.spec_ctrl |= SPEC_CTRL_BHI_DIS_S;
            measures.note("BHI", true, "BHI_DIS_S");
        } else if has(ArchCapabilities::RRSBA) {
            measures.note("BHI", false, "no BHI_DIS_S, and returns are predicted like indirect branches");
        } else {
            measures.note("BHI", true, "retpolines");
        }
    }
    if !has(ArchCapabilities::PBRSB_NO) && !is_one_of(processor, NO_PBRSB) {
        measures.return_stack = ReturnStack::OneCall;
        measures.note("PBRSB", true, "call and LFENCE after exits");
    }
}
