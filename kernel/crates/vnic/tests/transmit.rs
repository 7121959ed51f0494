//! Transmission: descriptors, write-back, interrupts.

mod common;

use base::{Effects, Span};
use common::*;
use intel_regs::desc::{TxCommand, TxContext, TxContextCommand, TxLegacy};
use intel_regs::{Ctrl, Interrupt, Tctl, reg, stats};
use vnic::{Vnic, VnicModelConfig};

const SIMPLE: TxCommand = TxCommand::EOP.union(TxCommand::IFCS);
const REPORTED: TxCommand = SIMPLE.union(TxCommand::RS);

#[test]
fn a_frame_goes_out_and_its_descriptor_is_marked_done() {
    let mut guest = Guest::new();
    let frame = frame_to(PEER, 100);
    let index = guest.queue_legacy(&frame, REPORTED);
    assert!(guest.kick().contains(Effects::TX_KICK));
    assert_eq!(guest.poll_all(64), [frame]);
    assert_eq!(guest.tx_status(index), DD);
    assert_eq!(guest.read(reg::TDH), 1);
    assert!(guest.nic.interrupt_line());
    assert_eq!(guest.read(reg::ICR), (Interrupt::TXDW | Interrupt::TXQE).bits());
    assert!(!guest.nic.interrupt_line());
}

#[test]
fn without_report_status_nothing_is_written_back() {
    let mut guest = Guest::new();
    let index = guest.queue_legacy(&frame_to(PEER, 100), SIMPLE);
    let _ = guest.kick();
    guest.poll_all(64);
    assert_eq!(guest.tx_status(index), 0);
    assert_eq!(guest.read(reg::ICR), Interrupt::TXQE.bits());
}

#[test]
fn a_packet_may_span_several_descriptors() {
    let mut guest = Guest::new();
    let frame = frame_to(PEER, 1514);
    guest.queue_legacy(&frame[..14], TxCommand::IFCS);
    guest.queue_legacy(&[], TxCommand::IFCS);
    guest.queue_legacy(&frame[14..1000], TxCommand::IFCS | TxCommand::RS);
    let last = guest.queue_legacy(&frame[1000..], REPORTED);
    let _ = guest.kick();
    assert_eq!(guest.poll_all(64), [frame]);
    assert_eq!((guest.tx_status(last - 1), guest.tx_status(last)), (DD, DD));
}

#[test]
fn half_a_packet_waits_for_the_rest_without_spinning() {
    let mut guest = Guest::new();
    let frame = frame_to(PEER, 200);
    let first = guest.queue_legacy(&frame[..50], TxCommand::IFCS | TxCommand::RS);
    let _ = guest.kick();
    assert!(guest.poll_all(64).is_empty());
    assert_eq!(guest.tx_status(first), 0);
    guest.queue_legacy(&frame[50..], REPORTED);
    let _ = guest.kick();
    assert_eq!(guest.poll_all(64), [frame]);
}

#[test]
fn the_ring_wraps() {
    let mut guest = Guest::new();
    for number in 0..3 * RING {
        let frame = testkit::frame::numbered(PEER, MAC, number, 60 + number as usize);
        assert_eq!(guest.transmit(&frame), [frame]);
    }
    assert_eq!(guest.read(stats::GPTC), 3 * RING);
}

#[test]
fn a_full_ring_goes_out_in_order_with_any_budget() {
    for budget in [1, 7, 64] {
        let mut guest = Guest::new();
        let frames: Vec<_> =
            (0..RING - 1).map(|number| testkit::frame::numbered(PEER, MAC, number, 300)).collect();
        for frame in &frames {
            guest.queue_legacy(frame, REPORTED);
        }
        let _ = guest.kick();
        assert_eq!(guest.poll_all(budget), frames);
    }
}

#[test]
fn short_frames_are_padded_only_on_request() {
    let mut guest = Guest::new();
    let sent = guest.transmit(&frame_to(PEER, 30));
    assert_eq!(sent[0].len(), 60);
    assert!(sent[0][30..].iter().all(|byte| *byte == 0));
    guest.set(reg::TCTL, Tctl::EN.bits());
    assert_eq!(guest.transmit(&frame_to(PEER, 30))[0].len(), 30);
}

#[test]
fn a_supplied_frame_check_sequence_is_verified_and_removed() {
    let mut guest = Guest::new();
    // On receive the NIC appends the check sequence, which another test verifies.
    guest.set(reg::RCTL, intel_regs::Rctl::EN.bits() | intel_regs::Rctl::BAM.bits());
    let frame = frame_to(MAC, 80);
    guest.send(&[&frame]);
    let (with_fcs, _) = guest.receive().unwrap();
    assert_eq!(with_fcs.len(), 84);
    guest.queue_legacy(&with_fcs, TxCommand::EOP);
    let _ = guest.kick();
    assert_eq!(guest.poll_all(64), [frame]);
    let mut wrong = with_fcs;
    wrong[83] ^= 1;
    guest.queue_legacy(&wrong, TxCommand::EOP);
    let _ = guest.kick();
    assert!(guest.poll_all(64).is_empty());
    assert_eq!(guest.nic.counters().transmit_bad_fcs, 1);
}

#[test]
fn legacy_checksum_is_inserted() {
    let mut guest = Guest::new();
    let (a, b) = (testkit::frame::Station::number(1), testkit::frame::Station::number(2));
    let good = testkit::frame::udp(&a, &b, b"some payload to sum up, odd length");
    let mut frame = good.clone();
    // The checksum field holds the sum of the pseudo header.
    let segment = good.len() - 34;
    let pseudo = [&good[26..34], &[0, 17], &(segment as u16).to_be_bytes()].concat();
    frame[40..42].copy_from_slice(&(!testkit::frame::checksum(&pseudo)).to_be_bytes());
    let descriptor = TxLegacy {
        address: guest.buffer(&frame).into(),
        length: (frame.len() as u16).into(),
        checksum_offset: 40,
        checksum_start: 34,
        command: (SIMPLE | TxCommand::IC).bits(),
        ..Default::default()
    };
    guest.queue(descriptor.to_bytes());
    let _ = guest.kick();
    assert_eq!(guest.poll_all(64)[0][..good.len()], good[..]);
}

#[test]
fn checksum_offsets_beyond_the_frame_change_nothing() {
    let mut guest = Guest::new();
    let frame = frame_to(PEER, 60);
    for (start, offset) in [(255, 10), (10, 255), (255, 255), (0, 59)] {
        let descriptor = TxLegacy {
            address: guest.buffer(&frame).into(),
            length: 60.into(),
            checksum_offset: offset,
            checksum_start: start,
            command: (SIMPLE | TxCommand::IC).bits(),
            ..Default::default()
        };
        guest.queue(descriptor.to_bytes());
        let _ = guest.kick();
        let sent = guest.poll_all(64);
        if offset == 10 {
            assert_eq!(sent[0], frame);
        }
        assert_eq!(sent[0].len(), 60);
    }
}

#[test]
fn tags_are_inserted_in_vlan_mode() {
    let mut guest = Guest::new();
    let frame = frame_to(PEER, 100);
    let descriptor = |guest: &mut Guest| TxLegacy {
        address: guest.buffer(&frame).into(),
        length: 100.into(),
        command: (SIMPLE | TxCommand::VLE).bits(),
        special: 0x6123.into(),
        ..Default::default()
    };
    let first = descriptor(&mut guest);
    guest.queue(first.to_bytes());
    let _ = guest.kick();
    assert_eq!(guest.poll_all(64)[0], frame);
    guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::VME).bits());
    let second = descriptor(&mut guest);
    guest.queue(second.to_bytes());
    let _ = guest.kick();
    assert_eq!(guest.poll_all(64), [testkit::frame::tagged(&frame, 0x6123)]);
}

#[test]
fn a_lone_context_is_done_at_once() {
    let mut guest = Guest::new();
    let context = TxContext::default().with_command(TxContextCommand::RS, 0);
    let index = guest.queue_context(context);
    let _ = guest.kick();
    assert!(guest.poll_all(64).is_empty());
    assert_eq!(guest.tx_status(index), DD);
    assert_eq!(guest.read(reg::TDH), 1);
}

#[test]
fn delayed_completion_interrupts_after_the_packet_timer() {
    let mut guest = Guest::new();
    guest.set(reg::TIDV, 8);
    guest.set(reg::TADV, 32);
    guest.queue_legacy(&frame_to(PEER, 60), REPORTED | TxCommand::IDE);
    guest.queue_legacy(&frame_to(PEER, 60), REPORTED | TxCommand::IDE);
    let _ = guest.kick();
    guest.set(reg::IMC, Interrupt::TXQE.bits());
    guest.poll_all(64);
    assert!(!guest.nic.interrupt_line());
    assert_eq!(guest.nic.next_deadline(), Some(base::Instant(guest.now.0 + 8 * 1024)));
    assert!(guest.pass(8 * 1024 - 1).is_empty());
    let effects = guest.pass(1);
    assert_eq!(effects, Effects::IRQ_CHANGED | Effects::TIMER_CHANGED);
    assert!(guest.nic.interrupt_line());
}

#[test]
fn continuous_completions_are_reported_by_the_absolute_timer() {
    let mut guest = Guest::new();
    guest.set(reg::TIDV, 8);
    guest.set(reg::TADV, 20);
    guest.set(reg::IMC, Interrupt::TXQE.bits());
    let start = guest.now.0;
    while !guest.nic.interrupt_line() {
        guest.queue_legacy(&frame_to(PEER, 60), REPORTED | TxCommand::IDE);
        let _ = guest.kick();
        guest.poll_all(64);
        let _ = guest.pass(1024);
    }
    assert_eq!(guest.now.0 - start, 20 * 1024);
}

#[test]
fn low_threshold_is_reported_when_crossed() {
    let mut guest = Guest::new();
    guest.set(reg::TXDCTL, 1 << reg::dctl::LWTHRESH_SHIFT);
    for _ in 0..10 {
        guest.queue_legacy(&frame_to(PEER, 60), SIMPLE);
    }
    let _ = guest.kick();
    guest.poll(1);
    assert_eq!(guest.read(reg::ICR), 0);
    guest.poll(1);
    assert_eq!(guest.read(reg::ICR), Interrupt::TXD_LOW.bits());
}

#[test]
fn frames_wait_while_transmission_is_disabled_or_the_link_is_down() {
    let mut guest = Guest::new();
    guest.set(reg::TCTL, 0);
    let frame = frame_to(PEER, 60);
    guest.queue_legacy(&frame, SIMPLE);
    assert!(guest.kick().is_empty());
    assert!(guest.poll_all(64).is_empty());
    let now = guest.now;
    let _ = guest.nic.set_link(false, now);
    assert!(guest.write(reg::TCTL, Tctl::EN.bits()).contains(Effects::TX_KICK));
    assert!(guest.poll_all(64).is_empty());
    assert!(guest.nic.set_link(true, now).contains(Effects::TX_KICK));
    assert_eq!(guest.poll_all(64), [frame]);
}

#[test]
fn a_frame_that_there_is_no_memory_to_build_does_not_block_the_ring() {
    let mut guest = Guest::new();
    guest.nic = Vnic::new(VnicModelConfig::new(MAC), Span::EMPTY);
    for (register, value) in [
        (reg::CTRL, (Ctrl::SLU | Ctrl::FD).bits()),
        (reg::TDBAL, TX_RING as u32),
        (reg::TDLEN, RING * 16),
        (reg::TCTL, Tctl::EN.bits()),
    ] {
        guest.set(register, value);
    }
    // Its frame check sequence, which the guest supplies, is of all its bytes.
    guest.queue_legacy(&frame_to(PEER, 1000), TxCommand::EOP);
    let small = frame_to(PEER, 60);
    guest.queue_legacy(&small, SIMPLE);
    let _ = guest.kick();
    assert_eq!(guest.poll(64), [small]);
    assert_eq!(guest.nic.counters().transmit_oversized, 1);
}

#[test]
fn reset_during_a_packet_abandons_and_counts_it() {
    let mut guest = Guest::new();
    let context = TxContext { header_length: 54, maximum_segment_size: 100.into(), ..TxContext::default() };
    guest.queue_context(context.with_command(TxContextCommand::TSE, 946));
    guest.queue_data(&frame_to(PEER, 1000), REPORTED | TxCommand::TSE, 0);
    let _ = guest.kick();
    assert_eq!(guest.poll(1).len(), 1);
    assert!(guest.nic.take_effects().contains(Effects::TX_KICK), "work is left");
    assert!(guest.write(reg::CTRL, Ctrl::RST.bits()).contains(Effects::RESET));
    assert_eq!(guest.nic.counters().transmit_abandoned, 1);
    assert!(guest.poll_all(64).is_empty());
    assert_eq!(guest.tx_status(1), 0);
}

#[test]
fn statistics_count_transmitted_frames() {
    let mut guest = Guest::new();
    guest.transmit(&frame_to(PEER, 60));
    guest.transmit(&frame_to(base::MacAddress::BROADCAST, 100));
    guest.transmit(&frame_to(base::MacAddress([1, 0, 0x5e, 0, 0, 1]), 1514));
    let expected = [
        (stats::GPTC, 3),
        (stats::TPT, 3),
        (stats::GOTCL, 64 + 104 + 1518),
        (stats::GOTCH, 0),
        (stats::PTC64, 1),
        (stats::PTC127, 1),
        (stats::PTC1522, 1),
        (stats::BPTC, 1),
        (stats::MPTC, 1),
    ];
    for (offset, value) in expected {
        assert_eq!(guest.read(offset), value, "{offset:#x}");
    }
    for (offset, _) in expected {
        assert_eq!(guest.read(offset), 0, "{offset:#x} was cleared, by reading it or its high half");
    }
}
