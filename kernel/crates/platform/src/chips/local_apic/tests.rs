mod timer;

use super::*;
use crate::message::TRIGGER_LEVEL;
use base::Duration;
use proptest::prelude::*;

const TSC_HZ: u64 = 2_500_000_000;
const NOW: Instant = Instant(1_000_000);

const ID: u16 = 0x20;
const TPR: u16 = 0x80;
const PPR: u16 = 0xa0;
const EOI: u16 = 0xb0;
const LDR: u16 = 0xd0;
const DFR: u16 = 0xe0;
const SVR: u16 = 0xf0;
const ISR: u16 = 0x100;
const TMR: u16 = 0x180;
const IRR: u16 = 0x200;
const ESR: u16 = 0x280;
const ICR: u16 = 0x300;
const ICR_HIGH: u16 = 0x310;
const LVT_TIMER: u16 = 0x320;
const LVT_LINT0: u16 = 0x350;
const LVT_LINT1: u16 = 0x360;
const LVT_ERROR: u16 = 0x370;

const APIC_BASE: u32 = 0x1b;
const TSC_DEADLINE: u32 = 0x6e0;
const XAPIC: u64 = 0xfee0_0900;
const X2APIC: u64 = 0xfee0_0d00;

/// Enabled by software, as a guest has it.
fn apic() -> LocalApic {
    let mut apic = LocalApic::new(0, TSC_HZ, true);
    let _ = apic.write(SVR, 0x1ff, NOW);
    apic
}

fn x2apic(id: u32) -> LocalApic {
    let mut apic = LocalApic::new(id, TSC_HZ, true);
    let _ = apic.write_msr(APIC_BASE, X2APIC, NOW).expect("from xAPIC mode");
    let _ = apic.write_msr(0x80f, 0x1ff, NOW).expect("SVR");
    apic
}

fn fixed(destination: u32, logical: bool) -> InterruptMessage {
    InterruptMessage { destination, logical, mode: DeliveryMode::Fixed, vector: 0x40, level: false }
}

fn after(duration: Duration) -> Instant {
    NOW + duration
}

#[test]
fn registers_after_power_up_are_as_the_manual_says() {
    let mut apic = LocalApic::new(3, TSC_HZ, false);
    assert_eq!(apic.read(ID, NOW), 3 << 24);
    assert_eq!(apic.read(0x30, NOW), 0x0005_0014);
    assert_eq!((apic.read(SVR, NOW), apic.read(DFR, NOW)), (0xff, u32::MAX));
    for lvt in (LVT_TIMER..=LVT_ERROR).step_by(16) {
        assert_eq!(apic.read(lvt, NOW), 1 << 16);
    }
    assert_eq!(apic.read_msr(APIC_BASE, NOW), Ok(0xfee0_0800));
    assert_eq!(LocalApic::new(0, TSC_HZ, true).read_msr(APIC_BASE, NOW), Ok(XAPIC));
}

#[test]
fn a_vector_is_served_from_request_to_end() {
    let mut apic = apic();
    assert_eq!(apic.accept(0x41, false), Effects::IRQ_CHANGED);
    assert_eq!(apic.pending(), Some(0x41));
    assert_eq!(apic.read(IRR + 0x20, NOW), 2);
    assert_eq!(apic.begin_service(), 0x41);
    assert_eq!((apic.read(IRR + 0x20, NOW), apic.read(ISR + 0x20, NOW)), (0, 2));
    assert_eq!((apic.pending(), apic.read(PPR, NOW)), (None, 0x40));
    assert_eq!(apic.write(EOI, 0, NOW).eoi, None);
    assert_eq!((apic.read(ISR + 0x20, NOW), apic.read(PPR, NOW)), (0, 0));
}

#[test]
fn only_a_higher_priority_class_interrupts_what_is_in_service() {
    let mut apic = apic();
    let _ = apic.accept(0x45, false);
    apic.begin_service();
    let _ = apic.accept(0x4f, false);
    assert_eq!(apic.pending(), None, "same class");
    let _ = apic.accept(0x51, false);
    assert_eq!(apic.begin_service(), 0x51);
    assert_eq!(apic.write(EOI, 0, NOW).effects, Effects::empty(), "0x45 is in service still");
    assert_eq!(apic.write(EOI, 0, NOW).effects, Effects::IRQ_CHANGED);
    assert_eq!(apic.pending(), Some(0x4f));
}

#[test]
fn the_task_priority_blocks_vectors() {
    let mut apic = apic();
    let _ = apic.accept(0x41, false);
    assert_eq!(apic.write(TPR, 0x4f, NOW).effects, Effects::IRQ_CHANGED);
    assert_eq!((apic.pending(), apic.task_priority(), apic.read(PPR, NOW)), (None, 4, 0x4f));
    assert_eq!(apic.begin_service(), 0xff, "spurious");
    assert_eq!(apic.read(ISR + 0x20, NOW), 0);
    assert_eq!(apic.set_task_priority(3), Effects::IRQ_CHANGED);
    assert_eq!((apic.read(TPR, NOW), apic.pending()), (0x30, Some(0x41)));
}

#[test]
fn the_end_of_a_level_interrupt_is_reported() {
    let mut apic = apic();
    let _ = apic.accept(0x51, true);
    assert_eq!(apic.read(TMR + 0x20, NOW), 1 << 17);
    apic.begin_service();
    assert_eq!(apic.write(EOI, 0, NOW).eoi, Some(0x51));
    let _ = apic.accept(0x51, false);
    assert_eq!(apic.read(TMR + 0x20, NOW), 0);
    assert_eq!(apic.write(EOI, 0, NOW), ApicAccess::default(), "nothing in service");
}

#[test]
fn disabling_by_software_masks_the_table_and_refuses_vectors() {
    let mut apic = apic();
    let _ = apic.write(LVT_TIMER, 0x20, NOW);
    let _ = apic.accept(0x31, false);
    let _ = apic.write(SVR, 0xff, NOW);
    assert_eq!(apic.read(LVT_TIMER, NOW), 0x1_0020);
    let _ = apic.write(LVT_TIMER, 0x20, NOW);
    assert_eq!(apic.read(LVT_TIMER, NOW), 0x1_0020, "the mask stays");
    assert_eq!(apic.accept(0x61, false), Effects::empty());
    assert_eq!(apic.pending(), Some(0x31), "what was accepted stays");
    let _ = apic.deliver(&InterruptMessage { mode: DeliveryMode::Nmi, ..fixed(0, false) });
    assert!(apic.take_nmi() && !apic.take_nmi());
}

#[test]
fn illegal_vectors_and_registers_show_in_esr_after_it_is_written() {
    let mut apic = apic();
    let _ = apic.write(LVT_ERROR, 0xfe, NOW);
    assert_eq!(apic.accept(0x0f, false), Effects::IRQ_CHANGED);
    assert_eq!(apic.pending(), Some(0xfe), "the error interrupt");
    assert_eq!(apic.read(ESR, NOW), 0);
    let _ = apic.write(ESR, 0, NOW);
    assert_eq!(apic.read(ESR, NOW), 0x40);
    assert_eq!(apic.write(ICR, 0x0000_4005, NOW).ipi, None);
    let _ = apic.write(ESR, 0, NOW);
    assert_eq!(apic.read(ESR, NOW), 0x20);
    assert_eq!(apic.read(0x2f0, NOW), 0);
    let _ = apic.write(0x3f0, 0, NOW);
    let _ = apic.write(ESR, 0, NOW);
    assert_eq!(apic.read(ESR, NOW), 0x80);
    let _ = apic.write(ESR, 0, NOW);
    assert_eq!(apic.read(ESR, NOW), 0);
    let _ = apic.write(LVT_ERROR, 0x05, NOW);
    let _ = apic.accept(0x05, false);
}

#[test]
fn interprocessor_interrupts_are_returned_with_destination_and_shorthand() {
    let mut apic = apic();
    let _ = apic.write(ICR_HIGH, 2 << 24, NOW);
    let ipi = apic.write(ICR, 0x4540, NOW).ipi.expect("INIT");
    assert_eq!(
        (ipi.shorthand, ipi.message.mode, ipi.message.destination),
        (Shorthand::Destination, DeliveryMode::Init, 2)
    );
    assert_eq!(apic.write(ICR, 0x8500, NOW).ipi, None, "INIT level de-assert");
    let ipi = apic.write(ICR, 0x000c_4612, NOW).ipi.expect("start-up");
    assert_eq!(
        (ipi.shorthand, ipi.message.mode, ipi.message.vector),
        (Shorthand::Others, DeliveryMode::StartUp, 0x12)
    );
    let _ = apic.write(ICR_HIGH, 0xff << 24, NOW);
    let ipi = apic.write(ICR, 0x4840, NOW).ipi.expect("logical");
    assert!(ipi.message.logical && ipi.message.destination == InterruptMessage::BROADCAST);
    assert_eq!(apic.read(ICR, NOW), 0x4840);
}

#[test]
fn an_interrupt_to_itself_is_accepted_at_once() {
    let mut apic = apic();
    let access = apic.write(ICR, 0x0004_4061, NOW);
    assert_eq!((access.ipi, access.effects), (None, Effects::IRQ_CHANGED));
    assert_eq!(apic.pending(), Some(0x61));
}

#[test]
fn destinations_are_matched_in_flat_cluster_and_physical_mode() {
    let mut apic = LocalApic::new(2, TSC_HZ, false);
    assert!(apic.is_destination(&fixed(2, false)) && !apic.is_destination(&fixed(3, false)));
    assert!(apic.is_destination(&fixed(InterruptMessage::BROADCAST, false)));
    let _ = apic.write(LDR, 0x2400_0000, NOW);
    assert!(apic.is_destination(&fixed(0x04, true)) && !apic.is_destination(&fixed(0x03, true)));
    let _ = apic.write(DFR, 0, NOW);
    assert!(apic.is_destination(&fixed(0x2c, true)));
    assert!(!apic.is_destination(&fixed(0x14, true)), "another cluster");
    let _ = apic.write(DFR, 0x5000_0000, NOW);
    assert!(!apic.is_destination(&fixed(0x2c, true)), "a reserved model");
}

#[test]
fn init_resets_registers_and_start_up_follows() {
    let mut apic = apic();
    let _ = apic.accept(0x41, false);
    let _ = apic.deliver(&InterruptMessage { mode: DeliveryMode::Init, ..fixed(0, false) });
    assert_eq!((apic.pending(), apic.read(SVR, NOW)), (None, 0xff));
    assert!(apic.take_init() && !apic.take_init());
    let _ = apic.deliver(&InterruptMessage { mode: DeliveryMode::StartUp, vector: 0x9a, ..fixed(0, false) });
    assert_eq!((apic.take_start_up(), apic.take_start_up()), (Some(0x9a), None));
}

#[test]
fn lint0_carries_the_8259as_output_as_its_entry_says() {
    let mut apic = LocalApic::new(0, TSC_HZ, true);
    assert!(!apic.takes_external_interrupts(), "masked after power-up");
    apic.enter_virtual_wire_mode();
    assert!(apic.takes_external_interrupts());
    assert_eq!((apic.read(LVT_LINT0, NOW), apic.read(LVT_LINT1, NOW)), (0x700, 0x400));
    let _ = apic.write(LVT_LINT0, 0x1_0700, NOW);
    assert!(!apic.takes_external_interrupts());
    let _ = apic.write(LVT_LINT0, 0x31, NOW);
    assert_eq!(apic.set_lint0(true), Effects::IRQ_CHANGED);
    apic.begin_service();
    let _ = apic.write(EOI, 0, NOW);
    assert_eq!(apic.set_lint0(true), Effects::empty(), "no edge");
    let _ = apic.write(LVT_LINT0, 0x400, NOW);
    let _ = apic.set_lint0(false);
    assert_eq!(apic.set_lint0(true), Effects::IRQ_CHANGED);
    assert!(apic.take_nmi());
}

#[test]
fn mode_transitions_are_those_of_the_manual() {
    let disabled = 0xfee0_0100;
    let mut apic = apic();
    assert!(apic.write_msr(APIC_BASE, 0xfee0_0500, NOW).is_err(), "x2APIC without enable");
    assert!(apic.write_msr(APIC_BASE, 0xfed0_0900, NOW).is_err(), "another address");
    assert!(apic.write_msr(APIC_BASE, XAPIC | 1, NOW).is_err(), "a reserved bit");
    let _ = apic.write_msr(APIC_BASE, X2APIC, NOW).expect("xAPIC to x2APIC");
    assert!(apic.write_msr(APIC_BASE, XAPIC, NOW).is_err(), "x2APIC to xAPIC");
    assert_eq!(apic.read(SVR, NOW), u32::MAX, "memory no longer answers");
    assert_eq!(apic.read_msr(0x80f, NOW), Ok(0x1ff), "state survives");
    let _ = apic.write_msr(APIC_BASE, disabled, NOW).expect("x2APIC to disabled");
    assert!(!apic.enabled() && apic.takes_external_interrupts());
    assert!(apic.write_msr(APIC_BASE, X2APIC, NOW).is_err(), "disabled to x2APIC");
    let _ = apic.write_msr(APIC_BASE, XAPIC & !0x100, NOW).expect("disabled to xAPIC");
    assert_eq!(apic.read_msr(APIC_BASE, NOW), Ok(XAPIC), "the bootstrap flag stays");
    assert_eq!(apic.read(SVR, NOW), 0xff, "as after power-up");
}

#[test]
fn x2apic_registers_refuse_what_the_manual_reserves() {
    let mut apic = x2apic(0x123);
    assert_eq!(apic.read_msr(0x802, NOW), Ok(0x123));
    assert_eq!(apic.read_msr(0x80d, NOW), Ok(0x12_0008));
    for (msr, value) in [
        (0x802, 0),
        (0x803, 0),
        (0x808, 0x100),
        (0x80b, 1),
        (0x80d, 0),
        (0x80e, 0),
        (0x80f, 0x1000),
        (0x828, 1),
        (0x830, 1 << 12),
        (0x831, 0),
        (0x832, 1 << 20),
        (0x839, 0),
        (0x83e, 4),
        (0x83f, 0x100),
        (0x840, 0),
        (0x838, 1 << 32),
    ] {
        assert_eq!(apic.write_msr(msr, value, NOW), Err(GeneralProtection { msr }), "{msr:#x} {value:#x}");
    }
    for msr in [0x800, 0x80b, 0x80e, 0x831, 0x83f, 0x840] {
        assert_eq!(apic.read_msr(msr, NOW), Err(GeneralProtection { msr }), "{msr:#x}");
    }
    assert!(LocalApic::new(0, TSC_HZ, true).read_msr(0x802, NOW).is_err(), "xAPIC mode");
}

/// Table 11-6 of the manual, entry by entry: the numbers of all other registers are reserved.
#[test]
fn x2apic_has_the_registers_of_the_manuals_table_and_no_other() {
    let read_only = |register| matches!(register, 0x02 | 0x03 | 0x0a | 0x0d | 0x10..=0x27 | 0x39);
    // The entry for corrected machine checks (2Fh) exists where the version register counts seven entries.
    let both = |register| matches!(register, 0x08 | 0x0f | 0x28 | 0x30 | 0x32..=0x38 | 0x3e);
    let write_only = |register| matches!(register, 0x0b | 0x3f);
    for register in 0..=0x3f {
        let (mut apic, msr) = (x2apic(0x123), 0x800 + register);
        let (read, write) = (apic.read_msr(msr, NOW).is_ok(), apic.write_msr(msr, 0, NOW).is_ok());
        assert_eq!(read, read_only(register) || both(register), "RDMSR {msr:#x}");
        assert_eq!(write, write_only(register) || both(register), "WRMSR {msr:#x}");
    }
    // Remote IRR is a bit of the two pins only; delivery status is one of all entries.
    for (msr, remote_irr) in (0x832..=0x837).zip([false, false, false, true, true, false]) {
        assert!(x2apic(0x123).write_msr(msr, 1 << 12 | 1 << 16, NOW).is_ok(), "{msr:#x}");
        assert_eq!(x2apic(0x123).write_msr(msr, 1 << 14 | 1 << 16, NOW).is_ok(), remote_irr, "{msr:#x}");
    }
}

#[test]
fn x2apic_sends_with_one_write_and_matches_logical_clusters() {
    let mut apic = x2apic(0x123);
    let access = apic.write_msr(0x830, 0x0000_0007_0000_4840, NOW).expect("ICR");
    assert_eq!(access.ipi.map(|ipi| ipi.message.destination), Some(7));
    let _ = apic.write_msr(0x83f, 0x71, NOW).expect("SELF IPI");
    assert_eq!(apic.pending(), Some(0x71));
    apic.begin_service();
    let _ = apic.write_msr(0x80b, 0, NOW).expect("EOI");
    assert!(apic.is_destination(&fixed(0x12_000c, true)));
    assert!(!apic.is_destination(&fixed(0x13_0008, true)) && !apic.is_destination(&fixed(0x12_0004, true)));
}

proptest! {
    #[test]
    fn any_register_traffic_keeps_priorities_in_order(
        steps in prop::collection::vec((0u8..8, any::<u16>(), any::<u32>(), 0u64..2_000_000), 0..300)
    ) {
        let mut apic = apic();
        let mut now = NOW;
        for (what, place, value, wait) in steps {
            now = now + Duration::from_nanos(wait);
            match what {
                0 => { let _ = apic.accept(value as u8, value & TRIGGER_LEVEL != 0); }
                1 => { let _ = apic.read(place & 0x3ff, now); }
                2 | 3 => { let _ = apic.write(place & 0x3f0, value, now); }
                4 => { let _ = apic.write_msr(0x800 + u32::from(place & 0x3f), value.into(), now); }
                5 => {
                    let _ = apic.write_msr(TSC_DEADLINE, now.0 * 5 / 2 + u64::from(value), now);
                    let _ = apic.write_msr(APIC_BASE, [XAPIC, X2APIC][usize::from(place & 0x1f == 0)], now);
                }
                6 => { let _ = apic.advance(now); }
                _ => {
                    let before = apic.processor_priority();
                    if let Some(vector) = apic.pending() {
                        prop_assert!(vector >> 4 > before >> 4);
                        prop_assert_eq!(apic.begin_service(), vector);
                        prop_assert!(apic.processor_priority() >= vector & 0xf0);
                        prop_assert!(apic.pending().is_none_or(|next| next >> 4 > vector >> 4));
                    }
                }
            }
            let mut copy = apic.clone();
            let _ = copy.refresh();
            prop_assert_eq!(copy.pending(), apic.pending(), "what is kept is what would be computed");
            if what == 6 {
                prop_assert!(apic.next_deadline().is_none_or(|at| at > now), "progress");
            }
        }
    }
}
