//! AMD's processors, and Hygon's.

use super::{IA32_EFER, Measures, ReturnStack, SPEC_CTRL_IBRS, SPEC_CTRL_SSBD, SPEC_CTRL_STIBP};
use crate::{AmdExtensions, AmdImmunity, AmdSpeculation, HostProcessor};

/// EFER: automatic IBRS [APM2 3.1.7].
const AUTOIBRS: u64 = 1 << 21;
/// DE_CFG, and in it the bit against Zenbleed [AMD bulletins, AMD-SB-7008].
const DE_CFG: u32 = 0xc001_1029;
const ZENBLEED: u64 = 1 << 9;
/// DE_CFG: LFENCE waits for all earlier instructions.
const LFENCE_SERIALIZES: u64 = 1 << 1;
/// BP_CFG: BP_SPEC_REDUCE keeps a guest's return predictions from Weir.
const BP_CFG: u32 = 0xc001_102e;
const BP_SPEC_REDUCE: u64 = 1 << 4;

/// Revisions of the microcode that mend Zenbleed, by the first and last model that each is for.
const ZENBLEED_MICROCODE: [(u8, u8, u32); 5] = [
    (0x30, 0x3f, 0x0830_107b),
    (0x60, 0x67, 0x0860_010c),
    (0x68, 0x6f, 0x0860_8107),
    (0x70, 0x7f, 0x0870_1033),
    (0xa0, 0xaf, 0x08a0_0009),
];

/// Families: Zen 1 and 2 (Zen 1 by Hygon), Zen 3 and 4, Zen 5.
const ZEN_1_2: u16 = 0x17;
const ZEN_HYGON: u16 = 0x18;
const ZEN_3_4: u16 = 0x19;
const ZEN_5: u16 = 0x1a;
/// The first family with branch type confusion: Bulldozer.
const BULLDOZER: u16 = 0x15;

pub(super) fn decide(measures: &mut Measures, processor: &HostProcessor, smt: bool) {
    predictors(measures, processor, smt);
    buffers(measures, processor);
    zenbleed(measures, processor);
    divider(measures, processor);
    if !processor.speculation.contains(AmdSpeculation::ERROR_POINTERS) {
        measures.clear_error_pointers = true;
        measures.note("x87 error pointers", true, "overwritten between guests");
    }
}

/// Spectre v2, branch type confusion (Retbleed) and Inception (SRSO).
fn predictors(measures: &mut Measures, processor: &HostProcessor, smt: bool) {
    let speculation = processor.speculation;
    let controls = [
        (AmdSpeculation::IBRS, SPEC_CTRL_IBRS),
        (AmdSpeculation::STIBP, SPEC_CTRL_STIBP),
        (AmdSpeculation::SSBD, SPEC_CTRL_SSBD),
    ];
    let bits = controls.iter().filter(|(feature, _)| speculation.contains(*feature));
    let bits = bits.fold(0, |bits, (_, bit)| bits | bit);
    measures.has_spec_ctrl = bits != 0;
    if smt {
        measures.spec_ctrl |= bits & SPEC_CTRL_STIBP;
    }
    let automatic = processor.extensions.contains(AmdExtensions::AUTOMATIC_IBRS);
    if automatic {
        measures.change(IA32_EFER, 0, AUTOIBRS);
    }
    if !speculation.contains(AmdSpeculation::IBPB) {
        measures.note(
            "Spectre v2",
            false,
            "no IBPB: needs newer microcode, or there is none for this processor",
        );
        return;
    }
    measures.barrier_at_switch = true;
    let confused =
        (BULLDOZER..=ZEN_HYGON).contains(&processor.family) && !speculation.contains(AmdSpeculation::BTC_NO);
    if confused {
        measures.barrier_at_exit = true;
        measures.note("branch type confusion", true, "IBPB after exits");
    }
    inception(measures, processor);
    if automatic {
        measures.note("Spectre v2", true, "automatic IBRS, IBPB between guests");
    } else if measures.barrier_at_exit {
        measures.note("Spectre v2", true, "IBPB after exits and between guests");
    } else if speculation.contains(AmdSpeculation::IBRS) {
        measures.ibrs_at_exit = true;
        measures.note("Spectre v2", true, "IBRS and filled return stack after exits, IBPB between guests");
    } else {
        measures.note("Spectre v2", false, "IBPB between guests only: no IBRS");
    }
    after_exits(measures, processor);
    // Where exits write the register, the guest's bits would have to be written again at each entry.
    if !measures.ibrs_at_exit {
        measures.guest_controls = true;
        measures.guest_spec_ctrl = bits;
    }
}

/// What the guards of an exit need beside the barrier or IBRS.
fn after_exits(measures: &mut Measures, processor: &HostProcessor) {
    let has = |bit| processor.extensions.contains(bit);
    // Neither IBRS nor, without that bit, IBPB clears the predictor of return addresses.
    let cleared = measures.barrier_at_exit && processor.speculation.contains(AmdSpeculation::IBPB_RET);
    if !has(AmdExtensions::AUTOMATIC_IBRS) && !cleared {
        measures.return_stack = ReturnStack::Fill;
    }
    // The LFENCE that ends what is done after exits must wait for the branches before it [APM2 3.2.5].
    if measures.guards_exits()
        && !has(AmdExtensions::LFENCE_SERIALIZES)
        && !matches!(processor.family, 0x0f | 0x11)
        && !processor.hypervisor
    {
        measures.change(DE_CFG, 0, LFENCE_SERIALIZES);
    }
}

/// Zen 1 and 2 suffer from it with two threads only, and IBPB after exits covers them then, too.
fn inception(measures: &mut Measures, processor: &HostProcessor) {
    const FLAW: &str = "SRSO";
    let has = |bit| processor.extensions.contains(bit);
    if !matches!(processor.family, ZEN_3_4 | ZEN_5) || has(AmdExtensions::SRSO_NO) {
        return;
    }
    if has(AmdExtensions::BP_SPEC_REDUCE) && !processor.hypervisor {
        measures.change(BP_CFG, 0, BP_SPEC_REDUCE);
        measures.note(FLAW, true, "BP_SPEC_REDUCE");
    } else if has(AmdExtensions::IBPB_BRTYPE) || processor.family == ZEN_5 {
        measures.barrier_at_exit = true;
        measures.note(FLAW, true, "IBPB after exits");
    } else {
        measures.note(FLAW, false, "IBPB leaves the types of branches: needs newer microcode");
    }
}

/// Transient scheduler attacks: Zen 3 and 4.
fn buffers(measures: &mut Measures, processor: &HostProcessor) {
    if processor.family != ZEN_3_4 || processor.immunity.contains(AmdImmunity::all()) {
        return;
    }
    if processor.extensions.contains(AmdExtensions::VERW_CLEAR) {
        measures.clear_buffers = true;
        measures.note("TSA", true, "VERW before entries after work for other guests");
    } else {
        measures.note("TSA", false, "VERW clears no buffers: needs newer microcode");
    }
}

/// Zen 2: VZEROUPPER can bring back what another guest had in the vector registers (CVE-2023-20593).
fn zenbleed(measures: &mut Measures, processor: &HostProcessor) {
    const FLAW: &str = "Zenbleed";
    let row = ZENBLEED_MICROCODE.iter().find(|row| (row.0..=row.1).contains(&processor.model));
    let zen_2 = processor.family == ZEN_1_2
        && (row.is_some() || matches!(processor.model, 0x40..=0x4f | 0x90..=0x91));
    if !zen_2 {
        return;
    }
    if processor.hypervisor {
        measures.note(FLAW, true, "left to the hypervisor below");
    } else if row.is_some_and(|row| processor.microcode >= row.2) {
        measures.note(FLAW, true, "mended by the microcode");
    } else {
        measures.change(DE_CFG, 0, ZENBLEED);
        measures.note(FLAW, true, "bit 9 of DE_CFG");
    }
}

/// Zen 1: a division by zero goes on for a while with the last quotient, which may be another guest's (CVE-2023-20588).
fn divider(measures: &mut Measures, processor: &HostProcessor) {
    let zen_1 = match processor.family {
        ZEN_1_2 => matches!(processor.model, 0x00..=0x2f | 0x50..=0x5f),
        family => family == ZEN_HYGON,
    };
    if zen_1 {
        measures.clear_divider = true;
        measures.note("DIV0", true, "a division before entries after work for other guests");
    }
}
