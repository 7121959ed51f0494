use super::*;
use base::Duration;
use base::Width::{Byte, Dword, Qword, Word};
use proptest::prelude::*;

const NOW: Instant = Instant(1000);
const EOI: u16 = 0xb0;
const LVT_LINT0: u16 = 0x350;

fn local(interrupts: &mut InterruptControllers, vcpu: u8, offset: u16, value: u32) -> Effects {
    let address = GuestPhysical(layout::LOCAL_APIC + u64::from(offset));
    interrupts.mmio_write(vcpu, address, Dword, value.into(), NOW).expect("the local APIC")
}

fn entry(interrupts: &mut InterruptControllers, pin: u8, low: u32, destination: u8) {
    for (register, value) in [(0x11 + 2 * pin, u32::from(destination) << 24), (0x10 + 2 * pin, low)] {
        let _ = interrupts.mmio_write(0, GuestPhysical(layout::IO_APIC), Dword, register.into(), NOW);
        let _ = interrupts.mmio_write(0, GuestPhysical(layout::IO_APIC + 0x10), Dword, value.into(), NOW);
    }
}

fn io_apic_low(interrupts: &mut InterruptControllers, pin: u8) -> u64 {
    let _ = interrupts.mmio_write(0, GuestPhysical(layout::IO_APIC), Dword, (0x10 + 2 * pin).into(), NOW);
    let window = GuestPhysical(layout::IO_APIC + 0x10);
    interrupts.mmio_read(0, window, Dword, NOW).expect("the I/O APIC").0
}

/// A board whose local APICs are enabled by software, and whose 8259As are masked.
fn board(vcpus: u8) -> InterruptControllers {
    let mut interrupts = InterruptControllers::new(vcpus, 1_000_000_000);
    for vcpu in 0..vcpus {
        let _ = local(&mut interrupts, vcpu, 0xf0, 0x1ff);
    }
    interrupts
}

fn open_pic(interrupts: &mut InterruptControllers) {
    for (port, value) in [(0x20, 0x11), (0x21, 0x30), (0x21, 4), (0x21, 1), (0x21, 0xfe)] {
        let _ = interrupts.port_write(port, value);
    }
}

#[test]
fn the_timer_arrives_at_input_2_of_the_io_apic() {
    let mut board = board(1);
    entry(&mut board, 2, 0x30, 0);
    assert!(board.set_line(0, true).contains(Effects::IRQ_CHANGED));
    assert!(board.pending(0));
    assert_eq!(board.acknowledge(0), Some(0x30));
    assert_eq!((board.pending(0), board.acknowledge(0)), (false, None));
    let _ = board.set_line(2, true);
    assert_eq!(board.acknowledge(0), None, "the cascade is no device's");
}

#[test]
fn virtual_wire_mode_brings_the_8259as_vector_through_lint0() {
    let mut board = InterruptControllers::new(1, 1_000_000_000);
    open_pic(&mut board);
    assert_eq!(board.set_line(0, true), Effects::IRQ_CHANGED);
    assert!(board.pending(0));
    assert_eq!(board.acknowledge(0), Some(0x30));
    assert!(!board.pending(0));
    let _ = board.set_line(0, false);
    let _ = board.set_line(0, true);
    assert!(!board.pending(0), "in service at the 8259A");
    let _ = board.port_write(0x20, 0x20);
    assert!(board.pending(0));
    let _ = local(&mut board, 0, LVT_LINT0, 0x1_0700);
    assert!(!board.pending(0), "LINT0 is masked");
}

#[test]
fn pci_interrupts_reach_the_8259as_as_levels_that_two_of_them_share() {
    let mut board = InterruptControllers::new(1, 1_000_000_000);
    open_pic(&mut board);
    // All inputs open; the slave's vectors from 0x38 on.
    for (port, value) in [(0x21, 0), (0xa0, 0x11), (0xa1, 0x38), (0xa1, 2), (0xa1, 1), (0xa1, 0)] {
        let _ = board.port_write(port, value);
    }
    assert_eq!((board.port_read(0x4d0).0, board.port_read(0x4d1).0), (0xa0, 0x0e), "5, 7, 9, 10, 11");
    for (gsi, vector) in [(16, 0x35), (17, 0x3a), (18, 0x37), (19, 0x3b), (20, 0x35), (23, 0x3b)] {
        let end = |board: &mut InterruptControllers| {
            for port in [0xa0, 0x20] {
                let _ = board.port_write(port, 0x20);
            }
        };
        let _ = board.set_line(gsi, true);
        assert_eq!(board.acknowledge(0), Some(vector), "{gsi}");
        end(&mut board);
        assert_eq!(board.acknowledge(0), Some(vector), "{gsi} is still asserted");
        // Another device at the same input holds it when the first one has been served.
        let _ = board.set_line(gsi ^ 4, true);
        let _ = board.set_line(gsi, false);
        end(&mut board);
        assert_eq!(board.acknowledge(0), Some(vector), "the line that shares with {gsi}");
        let _ = board.set_line(gsi ^ 4, false);
        end(&mut board);
        assert_eq!(board.acknowledge(0), None, "{gsi}");
    }
}

#[test]
fn a_disabled_local_apic_leaves_the_processor_to_the_8259as() {
    let mut board = board(1);
    let _ = local(&mut board, 0, LVT_LINT0, 0x1_0000);
    open_pic(&mut board);
    let _ = board.set_line(0, true);
    assert!(!board.pending(0));
    let _ = board.write_msr(0, 0x1b, 0xfee0_0100, NOW).expect("xAPIC to disabled");
    assert!(!board.enabled(0));
    assert_eq!(board.acknowledge(0), Some(0x30));
    assert_eq!(
        board.mmio_read(0, GuestPhysical(layout::LOCAL_APIC), Dword, NOW).map(|read| read.0),
        Some(0xffff_ffff)
    );
}

#[test]
fn the_8259as_output_may_arrive_as_a_fixed_vector_or_through_the_io_apic() {
    let mut board = board(1);
    open_pic(&mut board);
    let _ = local(&mut board, 0, LVT_LINT0, 0x55);
    let _ = board.set_line(0, true);
    assert_eq!(board.acknowledge(0), Some(0x55));
    let _ = local(&mut board, 0, EOI, 0);
    let _ = board.port_write(0x20, 0x0c);
    assert_eq!(board.port_read(0x20).0, 0x80, "polled, as such guests do");
    let _ = board.port_write(0x20, 0x20);

    let _ = local(&mut board, 0, LVT_LINT0, 0x1_0000);
    entry(&mut board, 0, 0x700, 0);
    let _ = board.set_line(0, false);
    let _ = board.set_line(0, true);
    assert_eq!(board.acknowledge(0), Some(0x30));
    assert!(!board.pending(0));
}

#[test]
fn a_level_interrupt_is_sent_again_at_its_end_until_it_is_released() {
    let mut board = board(1);
    entry(&mut board, 17, 0xa061, 0);
    let _ = board.set_line(17, true);
    assert_eq!(board.acknowledge(0), Some(0x61));
    assert!(!board.pending(0));
    assert!(local(&mut board, 0, EOI, 0).contains(Effects::IRQ_CHANGED));
    assert_eq!(board.acknowledge(0), Some(0x61));
    let _ = board.set_line(17, false);
    let _ = local(&mut board, 0, EOI, 0);
    assert!(!board.pending(0));
    let _ = board.set_line(17, true);
    assert_eq!(board.acknowledge(0), Some(0x61));
}

#[test]
fn the_io_apics_eoi_register_ends_a_level_interrupt() {
    let mut board = board(1);
    entry(&mut board, 17, 0x8061, 0);
    let _ = board.set_line(17, true);
    assert_eq!(board.acknowledge(0), Some(0x61));
    let _ = board.mmio_write(0, GuestPhysical(layout::IO_APIC + 0x40), Dword, 0x61, NOW);
    assert!(!board.pending(0), "of the same class as what is in service");
    let _ = local(&mut board, 0, EOI, 0);
    assert_eq!(board.acknowledge(0), Some(0x61));
}

#[test]
fn an_unaccepted_level_arrives_when_a_local_apic_is_enabled() {
    let mut board = board(2);
    let _ = local(&mut board, 1, 0xf0, 0xff);
    entry(&mut board, 17, 0x8061, 1);
    assert_eq!(board.set_line(17, true), Effects::empty());
    assert_eq!(io_apic_low(&mut board, 17), 0x8061, "no local APIC will end it: no remote IRR");
    assert!(local(&mut board, 1, 0xf0, 0x1ff).contains(Effects::IRQ_CHANGED));
    assert_eq!(io_apic_low(&mut board, 17), 0xc061);
    assert_eq!(board.acknowledge(1), Some(0x61));
    let _ = local(&mut board, 1, 0xf0, 0x1ff);
    let _ = board.set_line(17, false);
    let _ = local(&mut board, 1, EOI, 0);
    assert!(!board.pending(1), "once");

    let _ = board.write_msr(1, 0x1b, 0xfee0_0000, NOW).expect("disabled");
    let _ = board.set_line(17, true);
    let _ = board.write_msr(1, 0x1b, 0xfee0_0800, NOW).expect("enabled again");
    let _ = local(&mut board, 1, 0xf0, 0x1ff);
    assert_eq!(board.acknowledge(1), Some(0x61));
}

#[test]
fn a_level_for_an_absent_destination_arrives_when_its_entry_names_another() {
    let mut board = board(1);
    entry(&mut board, 17, 0x8061, 9);
    let _ = board.set_line(17, true);
    assert!(!board.pending(0));
    entry(&mut board, 17, 0x8061, 0);
    assert_eq!(board.acknowledge(0), Some(0x61));

    entry(&mut board, 18, 0x8071, 9);
    let _ = board.set_line(18, true);
    let _ = board.set_line(18, false);
    entry(&mut board, 18, 0x8071, 0);
    assert!(!board.pending(0), "released meanwhile");
    let _ = board.set_line(18, true);
    assert_eq!(board.acknowledge(0), Some(0x71));
}

#[test]
fn a_level_for_a_logical_destination_arrives_when_a_local_apic_joins_it() {
    let mut board = board(1);
    entry(&mut board, 17, 0x8961, 4);
    let _ = board.set_line(17, true);
    assert!(!board.pending(0));
    assert!(local(&mut board, 0, 0xd0, 4 << 24).contains(Effects::IRQ_CHANGED));
    assert_eq!(board.acknowledge(0), Some(0x61));
}

#[test]
fn messages_reach_the_processors_they_name() {
    let mut board = board(3);
    let _ = board.msi(0xfee0_1000, 0x71);
    assert_eq!([0, 1, 2].map(|vcpu| board.acknowledge(vcpu)), [None, Some(0x71), None]);
    let _ = board.msi(0xfeef_f000, 0x72);
    assert_eq!([0, 1, 2].map(|vcpu| board.pending(vcpu)), [true, false, true], "the second serves 0x71");
    assert_eq!(board.msi(0xfed0_0000, 0x71), Effects::empty());
}

#[test]
fn lowest_priority_mode_picks_the_processor_of_lowest_priority() {
    let mut board = board(2);
    for vcpu in 0..2 {
        let _ = local(&mut board, vcpu, 0xd0, 1 << (24 + vcpu));
    }
    let _ = board.set_task_priority(0, 5);
    let _ = board.msi(0xfee0_3004, 0x171);
    assert_eq!([0, 1].map(|vcpu| board.acknowledge(vcpu)), [None, Some(0x71)]);
    let _ = local(&mut board, 1, 0xf0, 0xff);
    let _ = board.set_task_priority(0, 15);
    let _ = board.msi(0xfee0_3004, 0x172);
    let _ = board.set_task_priority(0, 0);
    assert_eq!(board.acknowledge(0), Some(0x72), "the other is disabled by software");
}

#[test]
fn processors_start_and_interrupt_each_other() {
    let mut board = board(3);
    let _ = local(&mut board, 0, 0x300, 0x000c_4500);
    let _ = local(&mut board, 0, 0x300, 0x000c_4612);
    assert_eq!([0, 1, 2].map(|vcpu| board.take_init(vcpu)), [false, true, true]);
    assert_eq!([0, 1, 2].map(|vcpu| board.take_start_up(vcpu)), [None, Some(0x12), Some(0x12)]);
    let _ = local(&mut board, 1, 0x310, 0);
    let _ = local(&mut board, 1, 0x300, 0x4400);
    assert_eq!([0, 1, 2].map(|vcpu| board.nmi_pending(vcpu)), [true, false, false]);
    assert!(board.take_nmi(0) && !board.take_nmi(0));
    let _ = local(&mut board, 1, 0x300, 0x0008_4081);
    assert_eq!(board.acknowledge(0), Some(0x81));
    assert!(!board.pending(3) && board.acknowledge(3).is_none(), "there is no fourth");
}

#[test]
fn the_earliest_timer_is_the_boards() {
    let mut board = board(2);
    for (vcpu, deadline) in [(0, 9000), (1, 5000)] {
        let _ = local(&mut board, vcpu, 0x320, 0x4_0020);
        let _ = board.write_msr(vcpu, 0x6e0, deadline, NOW).expect("armed");
    }
    assert_eq!(board.next_deadline(), Some(Instant(5000)));
    assert!(board.advance(Instant(5000)).contains(Effects::IRQ_CHANGED));
    assert_eq!((board.pending(0), board.pending(1)), (false, true));
    assert_eq!(board.next_deadline(), Some(Instant(9000)));
}

#[test]
fn accesses_of_other_widths_read_parts_and_write_nothing() {
    let mut board = board(1);
    let version = GuestPhysical(layout::LOCAL_APIC + 0x30);
    for (offset, width, value) in [(0, Qword, 0x0005_0014), (0, Word, 0x14), (2, Byte, 5), (3, Word, 0)] {
        let at = GuestPhysical(version.0 + offset);
        assert_eq!(board.mmio_read(0, at, width, NOW), Some((value, Effects::empty())));
    }
    let tpr = GuestPhysical(layout::LOCAL_APIC + 0x80);
    let _ = board.mmio_write(0, tpr, Byte, 0xf0, NOW);
    assert_eq!(board.task_priority(0), 0);
    let _ = board.mmio_write(0, GuestPhysical(layout::IO_APIC), Byte, 1, NOW);
    let window = GuestPhysical(layout::IO_APIC + 0x10);
    assert_eq!(board.mmio_read(0, window, Dword, NOW).map(|read| read.0), Some(0x0017_0020));
    assert_eq!(board.mmio_read(0, GuestPhysical(layout::LOCAL_APIC + 0x1000), Dword, NOW), None);
    assert_eq!(board.mmio_write(0, GuestPhysical(layout::IO_APIC - 1), Byte, 0, NOW), None);
}

proptest! {
    #[test]
    fn any_traffic_leaves_pending_and_acknowledge_in_agreement(
        steps in prop::collection::vec((0u8..10, 0u8..3, any::<u16>(), any::<u32>()), 0..300)
    ) {
        let mut board = board(2);
        let mut now = NOW;
        for (what, vcpu, place, value) in steps {
            now = now + Duration::from_nanos(u64::from(place) * 7);
            let page = if place & 1 == 0 { layout::LOCAL_APIC } else { layout::IO_APIC };
            let address = GuestPhysical(page + u64::from(place & 0xff0));
            let port = [0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1][usize::from(place % 6)];
            match what {
                0 => { let _ = board.set_line(place as u8 & 31, value & 1 != 0); }
                1 => { let _ = board.mmio_read(vcpu, address, Dword, now); }
                2 | 3 => { let _ = board.mmio_write(vcpu, address, Dword, value.into(), now); }
                4 => { let _ = board.port_read(port); }
                5 => { let _ = board.port_write(port, value as u8); }
                6 => { let _ = board.msi(0xfee0_0000 | u64::from(place) << 4, value & 0xffff); }
                7 => { let _ = board.write_msr(vcpu, [0x1b, 0x6e0, 0x80b, 0x830][usize::from(place & 3)], value.into(), now); }
                8 => { let _ = board.advance(now); }
                _ => {
                    let asked = board.pending(vcpu);
                    prop_assert_eq!(board.acknowledge(vcpu).is_some(), asked);
                }
            }
            prop_assert_eq!(board.pic_output, board.pic.output());
        }
    }
}
