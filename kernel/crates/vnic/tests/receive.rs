//! Reception: buffers, filters, offloads, FIFO, interrupts.

mod common;

use base::{Effects, MacAddress};
use common::*;
use intel_regs::desc::{RxStatus, TxCommand};
use intel_regs::{Ctrl, Interrupt, Rctl, reg, stats};
use testkit::frame;

const PLAIN: Rctl = Rctl::BAM.union(Rctl::SECRC);

fn status(descriptor: &intel_regs::desc::RxDescriptor) -> RxStatus {
    RxStatus::from_bits_retain(descriptor.status)
}

#[test]
fn a_frame_arrives_whole_and_interrupts() {
    let mut guest = Guest::new();
    let frame = frame_to(MAC, 100);
    assert_eq!(guest.send(&[&frame]), 1);
    assert!(guest.nic.take_effects().contains(Effects::IRQ_CHANGED));
    assert_eq!(guest.receive().unwrap().0, frame);
    assert_eq!(guest.read(reg::ICR), Interrupt::RXT0.bits());
    assert_eq!(guest.read(reg::RDH), 1);
}

#[test]
fn payload_is_written_before_the_descriptor_is_done() {
    let mut guest = Guest::with(PLAIN | Rctl::for_buffer_size(256).unwrap(), RING);
    guest.memory.record();
    guest.send(&[&frame_to(MAC, 600)]);
    let writes: Vec<_> = guest.memory.recorded().into_iter().filter(|access| access.write).collect();
    let mut in_ring: Vec<_> = writes.iter().map(|write| write.at < RX_BUFFERS).collect();
    // A buffer is written in as many parts as the frame has.
    in_ring.dedup();
    assert_eq!(in_ring, [false, true, false, true, false, true]);
    assert!(writes.iter().filter(|write| write.at < RX_BUFFERS).all(|write| write.length == 8));
}

#[test]
fn every_buffer_size_and_length_round_trips() {
    for size in [256, 512, 1024, 2048, 4096, 8192, 16384] {
        let mut guest = Guest::with(PLAIN | Rctl::LPE | Rctl::for_buffer_size(size).unwrap(), RING);
        let size = size as usize;
        for length in [60, 255, 256, 257, size - 1, size, size + 1, 2 * size, 9014, 16380] {
            let length = length.clamp(60, 16380);
            if length > size * (RING as usize - 1) {
                continue;
            }
            let frame = frame_to(MAC, length);
            assert_eq!(guest.send(&[&frame]), 1);
            assert_eq!(guest.receive().unwrap().0, frame, "{length} in buffers of {size}");
            let _ = guest.recycle();
        }
    }
}

#[test]
fn the_frame_check_sequence_follows_the_frame_unless_stripped() {
    let mut guest = Guest::with(Rctl::BAM, RING);
    let frame = frame_to(MAC, 80);
    guest.send(&[&frame]);
    let (received, descriptor) = guest.receive().unwrap();
    assert_eq!((descriptor.length.get(), &received[..80]), (84, &frame[..]));
    // CRC-32, bit by bit: a frame followed by its own check sequence leaves 0x2144df1c.
    let mut remainder = u32::MAX;
    for byte in &received {
        for bit in 0..8 {
            let one = (remainder ^ u32::from(byte >> bit)) & 1;
            remainder = (remainder >> 1) ^ (0xedb8_8320 * one);
        }
    }
    assert_eq!(!remainder, 0x2144_df1c);
}

#[test]
fn short_frames_are_padded() {
    let mut guest = Guest::new();
    let frame = frame_to(MAC, 42);
    guest.send(&[&frame]);
    let (received, _) = guest.receive().unwrap();
    assert_eq!((received.len(), &received[..42], &received[42..]), (60, &frame[..], &[0; 18][..]));
}

#[test]
fn frames_that_cannot_be_delivered_are_dropped_and_counted() {
    let mut guest = Guest::new();
    let stranger = frame_to(MacAddress([2, 0, 0, 0, 0, 9]), 60);
    let long = frame_to(MAC, 1519);
    let pause = frame::ethernet(MAC, PEER, 0x8808, &[0, 2]);
    assert_eq!(guest.send(&[&stranger, &long, &[0; 13], &pause]), 4);
    let counters = *guest.nic.counters();
    assert_eq!(
        (
            counters.receive_filtered,
            counters.receive_oversized,
            counters.receive_runt,
            counters.receive_flow_control
        ),
        (1, 1, 1, 1)
    );
    assert_eq!((guest.read(stats::ROC), guest.read(stats::RUC), guest.read(stats::FCRUC)), (1, 1, 1));
    assert!(guest.receive().is_none());

    let now = guest.now;
    let _ = guest.nic.set_link(false, now);
    assert_eq!(guest.send(&[&frame_to(MAC, 60)]), 1);
    assert_eq!(guest.nic.counters().receive_link_down, 1);
    let _ = guest.nic.set_link(true, now);
    guest.set(reg::RCTL, 0);
    assert_eq!(guest.send(&[&frame_to(MAC, 60)]), 1);
    assert_eq!(guest.nic.counters().receive_disabled, 1);
    assert!(guest.receive().is_none());
}

#[test]
fn long_frames_need_long_packet_enable() {
    let mut guest = Guest::with(PLAIN, RING);
    assert_eq!(guest.send(&[&frame_to(MAC, 1518)]), 1);
    assert_eq!(guest.nic.counters().received, 1);
    let mut guest = Guest::with(PLAIN | Rctl::LPE, RING);
    assert_eq!(guest.send(&[&frame_to(MAC, 16380), &frame_to(MAC, 16381)]), 2);
    assert_eq!((guest.nic.counters().received, guest.nic.counters().receive_oversized), (1, 1));
}

#[test]
fn frames_wait_in_the_fifo_and_then_at_the_sender() {
    let mut guest = Guest::with(PLAIN, 8);
    let frames: Vec<_> = (0..100).map(|number| frame::numbered(MAC, PEER, number, 1000)).collect();
    let offered: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let mut accepted = guest.send(&offered);
    assert_eq!(accepted, 7 + 48 * 1024 / 1008);
    assert_eq!(guest.nic.waiting(), 48 * 1024 / 1008);
    assert_eq!(guest.send(&offered[accepted..]), 0);
    let mut received = Vec::new();
    while received.len() < frames.len() {
        while let Some((frame, _)) = guest.receive() {
            received.push(frame);
        }
        // The sender is told of room as long as a frame waits.
        let told = guest.recycle().contains(Effects::RX_SPACE);
        assert_eq!(told, received.len() < frames.len());
        accepted += guest.send(&offered[accepted..]);
    }
    assert_eq!(received, frames);
    assert!(guest.read(stats::RNBC) > 0);
}

#[test]
fn descriptors_that_no_frame_waits_for_cause_no_work() {
    let mut guest = Guest::with(PLAIN, 8);
    for _ in 0..20 {
        let frame = frame_to(MAC, 100);
        assert_eq!(guest.send(&[&frame, &frame]), 2);
        while guest.receive().is_some() {}
        assert_eq!(guest.recycle() & Effects::RX_SPACE, Effects::empty());
    }
}

#[test]
fn a_sender_that_was_refused_is_told_of_room_even_if_the_fifo_was_lost_meanwhile() {
    let mut guest = Guest::with(PLAIN, 8);
    let frames: Vec<_> = (0..100).map(|number| frame::numbered(MAC, PEER, number, 1000)).collect();
    let offered: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    assert!(guest.send(&offered) < offered.len());
    // A reset empties the FIFO; what the sender has kept still waits.
    guest.set(reg::CTRL, Ctrl::RST.bits());
    guest.set(reg::CTRL, Ctrl::SLU.bits());
    guest.set(reg::RDBAL, common::RX_RING as u32);
    guest.set(reg::RDLEN, 8 * 16);
    guest.set(reg::RDT, 7);
    assert!(guest.write(reg::RCTL, (PLAIN | Rctl::EN).bits()).contains(Effects::RX_SPACE));
    assert!(!guest.write(reg::RDT, 7).contains(Effects::RX_SPACE), "once");
}

#[test]
fn a_frame_longer_than_the_free_descriptors_is_delivered_in_parts() {
    let mut guest = Guest::with(PLAIN | Rctl::LPE | Rctl::for_buffer_size(256).unwrap(), 8);
    let frame = frame_to(MAC, 9000);
    let next = frame_to(MAC, 100);
    assert_eq!(guest.send(&[&frame, &next]), 2);
    let mut received = Vec::new();
    let mut index = 0;
    while received.len() < 9000 + 100 {
        let descriptor = guest.rx_descriptor(index);
        assert!(descriptor.status & DD != 0, "at {}", received.len());
        received.extend(guest.memory.bytes(descriptor.address.get(), descriptor.length.get().into()));
        let last = received.len() == 9000 || received.len() == 9100;
        assert_eq!(status(&descriptor).contains(RxStatus::EOP), last);
        guest.post(index, RX_BUFFERS + u64::from(index) * 256);
        guest.set(reg::RDT, index);
        guest.send(&[]);
        index = (index + 1) % 8;
    }
    assert_eq!(received, [frame, next].concat());
}

#[test]
fn missed_frames_reach_the_guests_counter() {
    let mut guest = Guest::with(PLAIN | Rctl::LBM_MAC, 8);
    guest.set(reg::IMC, !Interrupt::RXO.bits());
    let frame = frame_to(MAC, 1500);
    // As many frames as the free descriptors and the FIFO hold.
    for _ in 0..7 + 48 * 1024 / 1508 {
        guest.transmit(&frame);
    }
    assert_eq!((guest.nic.counters().receive_missed, guest.nic.interrupt_line()), (0, false));
    let _ = guest.read(reg::ICR); // clears the causes of the frames so far
    for _ in 0..3 {
        guest.queue_legacy(&frame, TxCommand::EOP | TxCommand::IFCS);
    }
    let _ = guest.kick();
    guest.poll(3);
    assert!(guest.nic.take_effects().contains(Effects::IRQ_CHANGED));
    assert_eq!(guest.read(stats::MPC), 3);
    // The frames were missed, and left the transmit ring empty: nothing else.
    assert_eq!(guest.read(reg::ICR), (Interrupt::RXO | Interrupt::TXQE).bits());
    assert_eq!(guest.nic.counters().receive_missed, 3);
}

#[test]
fn tags_are_stripped_in_vlan_mode_and_kept_otherwise() {
    let mut guest = Guest::new();
    let frame = frame_to(MAC, 100);
    let tagged = frame::tagged(&frame, 0x6123);
    guest.send(&[&tagged]);
    let (received, descriptor) = guest.receive().unwrap();
    assert_eq!(received, tagged);
    assert!(!status(&descriptor).contains(RxStatus::VP));
    guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::VME).bits());
    guest.send(&[&tagged, &frame]);
    let (received, descriptor) = guest.receive().unwrap();
    assert_eq!((received, descriptor.special.get()), (frame.clone(), 0x6123));
    assert!(status(&descriptor).contains(RxStatus::VP));
    let (received, descriptor) = guest.receive().unwrap();
    assert_eq!(received, frame);
    assert!(!status(&descriptor).contains(RxStatus::VP));
}

#[test]
fn vlan_filter_rejects_tags_not_in_its_table() {
    let mut guest = Guest::with(PLAIN | Rctl::VFE, RING);
    guest.set(reg::vfta(0x123 >> 5), 1 << (0x123 & 31));
    let frame = frame_to(MAC, 100);
    guest.send(&[&frame::tagged(&frame, 0x123), &frame::tagged(&frame, 0x124), &frame]);
    assert_eq!((guest.nic.counters().received, guest.nic.counters().receive_filtered), (2, 1));
}

#[test]
fn packet_checksum_starts_where_the_guest_requests() {
    let mut guest = Guest::new();
    let frame = frame_to(MAC, 101);
    for start in [0usize, 14, 33, 255] {
        guest.set(reg::RXCSUM, start as u32);
        guest.send(&[&frame]);
        let (_, descriptor) = guest.receive().unwrap();
        let expected = !frame::checksum(&frame[start.min(101)..]);
        assert_eq!(descriptor.checksum.get() % 0xffff, expected % 0xffff, "from {start}");
    }
}

#[test]
fn an_inexact_match_is_marked() {
    let mut guest = Guest::with(PLAIN | Rctl::MPE, RING);
    guest.send(&[&frame_to(MacAddress([1, 0, 0x5e, 0, 0, 1]), 60), &frame_to(MAC, 60)]);
    assert!(status(&guest.receive().unwrap().1).contains(RxStatus::PIF));
    assert!(!status(&guest.receive().unwrap().1).contains(RxStatus::PIF));
}

#[test]
fn the_receive_timers_coalesce_interrupts() {
    let mut guest = Guest::new();
    guest.set(reg::RDTR, 10);
    guest.set(reg::RADV, 25);
    let start = guest.now.0;
    let mut frames = 0;
    while !guest.nic.interrupt_line() {
        guest.send(&[&frame_to(MAC, 60)]);
        frames += 1;
        let _ = guest.pass(1024);
    }
    assert_eq!((guest.now.0 - start, frames), (25 * 1024, 25));
    assert_eq!(guest.read(reg::ICR), Interrupt::RXT0.bits());
    guest.send(&[&frame_to(MAC, 60)]);
    assert_eq!(guest.nic.next_deadline(), Some(base::Instant(guest.now.0 + 10 * 1024)));
    guest.set(reg::RDTR, 10 | reg::RDTR_FPD);
    assert!(guest.nic.interrupt_line(), "flushing ends the delay");
    assert_eq!(guest.read(reg::RDTR), 10);
}

#[test]
fn interrupts_are_throttled() {
    let mut guest = Guest::new();
    guest.set(reg::ITR, 488);
    guest.send(&[&frame_to(MAC, 60)]);
    assert!(guest.nic.interrupt_line());
    guest.read(reg::ICR);
    let _ = guest.pass(1000);
    guest.send(&[&frame_to(MAC, 60)]);
    assert!(!guest.nic.interrupt_line());
    let _ = guest.pass(488 * 256 - 1000 - 1);
    assert!(!guest.nic.interrupt_line());
    assert!(guest.pass(1).contains(Effects::IRQ_CHANGED));
    assert!(guest.nic.interrupt_line());
}

#[test]
fn small_packets_interrupt_at_once() {
    let mut guest = Guest::new();
    guest.set(reg::RDTR, 100);
    guest.set(reg::RSRPD, 128);
    guest.send(&[&frame_to(MAC, 129)]);
    assert_eq!(guest.read(reg::ICR), 0);
    guest.send(&[&frame_to(MAC, 128)]);
    assert_eq!(guest.read(reg::ICR), (Interrupt::SRPD | Interrupt::RXT0).bits());
}

#[test]
fn the_minimum_threshold_is_reported_when_reached() {
    for (bits, free) in [(Rctl::empty(), 32), (Rctl::RDMTS_LOW, 16), (Rctl::RDMTS_HIGH, 8)] {
        let mut guest = Guest::with(PLAIN | bits, 64);
        guest.set(reg::IMC, Interrupt::RXT0.bits());
        let mut left = 63;
        while !guest.nic.interrupt_line() {
            guest.send(&[&frame_to(MAC, 60)]);
            left -= 1;
        }
        assert_eq!(left, free);
    }
}

#[test]
fn a_descriptor_without_a_buffer_is_only_marked_done() {
    let mut guest = Guest::new();
    guest.post(0, 0);
    let frame = frame_to(MAC, 60);
    guest.send(&[&frame]);
    assert_eq!(guest.rx_descriptor(0).status, DD);
    assert_eq!(guest.rx_descriptor(0).length.get(), 0);
    let descriptor = guest.rx_descriptor(1);
    assert_eq!(guest.memory.bytes(descriptor.address.get(), 60), frame);
}

#[test]
fn reset_empties_the_fifo_and_counts_the_lost_frames() {
    let mut guest = Guest::with(PLAIN, 8);
    for _ in 0..10 {
        guest.send(&[&frame_to(MAC, 60)]);
    }
    assert_eq!(guest.nic.waiting(), 3);
    guest.set(reg::CTRL, Ctrl::RST.bits());
    assert_eq!((guest.nic.waiting(), guest.nic.counters().receive_lost_in_reset), (0, 3));
}

#[test]
fn statistics_count_received_frames() {
    let mut guest = Guest::new();
    guest.set(reg::RCTL, (PLAIN | Rctl::EN | Rctl::MPE).bits());
    guest.send(&[
        &frame_to(MAC, 60),
        &frame_to(MacAddress::BROADCAST, 600),
        &frame_to(MacAddress([1, 0, 0x5e, 0, 0, 1]), 1514),
    ]);
    for (offset, value) in [
        (stats::GPRC, 3),
        (stats::TPR, 3),
        (stats::GORCL, 64 + 604 + 1518),
        (stats::GORCH, 0),
        (stats::TORL, 64 + 604 + 1518),
        (stats::TORH, 0),
        (stats::PRC64, 1),
        (stats::PRC1023, 1),
        (stats::PRC1522, 1),
        (stats::BPRC, 1),
        (stats::MPRC, 1),
    ] {
        assert_eq!(guest.read(offset), value, "{offset:#x}");
    }
    assert_eq!((guest.read(stats::GORCL), guest.read(stats::TORL), guest.read(stats::GPRC)), (0, 0, 0));
}
