//! Faults of the guest's driver: what the model drops, counts and reports.

mod common;

use base::Effects;
use common::*;
use intel_regs::desc::{TxCommand, TxData, TxLegacy};
use intel_regs::reg;
use vnic::{GuestFault, RingKind, Vnic, VnicModelConfig};

const SIMPLE: TxCommand = TxCommand::EOP.union(TxCommand::IFCS);
const REPORTED: TxCommand = SIMPLE.union(TxCommand::RS);

#[test]
fn a_transmit_tail_beyond_the_ring_is_ignored_and_reported_once() {
    let mut guest = Guest::new();
    for _ in 0..3 {
        assert!(!guest.write(reg::TDT, RING).contains(Effects::TX_KICK));
        assert!(guest.poll_all(64).is_empty());
    }
    let fault = GuestFault::TailBeyondRing { ring: RingKind::Transmit, tail: RING, descriptors: RING };
    assert_eq!((guest.nic.faults(), guest.nic.faults()), (Some(fault), None));
    assert_eq!(guest.nic.counters().tail_beyond_ring, 3);
    let frame = frame_to(PEER, 60);
    assert_eq!(guest.transmit(&frame), [frame], "a valid tail resumes transmission");
}

#[test]
fn a_transmit_descriptor_outside_memory_stops_the_ring_until_it_is_set_up_again() {
    let mut guest = Guest::new();
    guest.set(reg::TDBAL, MEMORY as u32);
    let _ = guest.kick();
    guest.set(reg::TDT, 1);
    assert!(guest.poll_all(64).is_empty());
    assert!(matches!(
        guest.nic.faults(),
        Some(GuestFault::DescriptorOutsideMemory { ring: RingKind::Transmit, index: 0, .. })
    ));
    assert_eq!(guest.read(reg::TDH), 0);
    guest.set(reg::TDT, 0);
    guest.set(reg::TDBAL, TX_RING as u32);
    let frame = frame_to(PEER, 60);
    assert_eq!(guest.transmit(&frame), [frame]);
}

#[test]
fn the_same_tail_again_starts_a_ring_that_has_been_mended() {
    let mut guest = Guest::new();
    guest.set(reg::TDBAL, MEMORY as u32);
    guest.set(reg::TDT, 1);
    assert!(guest.poll_all(64).is_empty());
    guest.set(reg::TDBAL, TX_RING as u32);
    let frame = frame_to(PEER, 60);
    guest.queue_legacy(&frame, REPORTED);
    assert!(guest.kick().contains(Effects::TX_KICK));
    assert_eq!(guest.poll_all(64), [frame]);
}

#[test]
fn a_transmit_buffer_outside_memory_drops_only_its_packet() {
    let mut guest = Guest::new();
    for address in [MEMORY as u64 - 10, u64::MAX - 5, 1 << 40] {
        let descriptor = TxLegacy {
            address: address.into(),
            length: 60.into(),
            command: REPORTED.bits(),
            ..Default::default()
        };
        guest.queue(descriptor.to_bytes());
    }
    let frame = frame_to(PEER, 60);
    assert_eq!(guest.transmit(&frame), [frame]);
    assert_eq!(guest.nic.counters().transmit_buffer_outside_memory, 3);
    assert!(matches!(guest.nic.faults(), Some(GuestFault::BufferOutsideMemory { .. })));
    assert_eq!(guest.nic.faults(), None);
    assert_eq!(guest.tx_status(0), DD);
}

#[test]
fn packets_too_short_or_too_long_are_dropped_and_counted() {
    let mut guest = Guest::new();
    guest.queue_legacy(&[], REPORTED);
    guest.queue_legacy(&[0; 13], REPORTED);
    guest.queue_data(&vec![0; 16289], REPORTED, 0);
    let frame = frame_to(PEER, 16288);
    guest.queue_data(&frame, REPORTED, 0);
    let _ = guest.kick();
    assert_eq!(guest.poll_all(64), [frame]);
    assert_eq!(guest.nic.counters().transmit_runt, 2);
    assert_eq!(guest.nic.counters().transmit_oversized, 1);
    assert_eq!(guest.nic.faults(), Some(GuestFault::PacketTooLong { length: 16289 }));
}

#[test]
fn a_packet_of_too_many_descriptors_is_skipped_to_its_end() {
    let mut guest = Guest::with(intel_regs::Rctl::empty(), 512);
    for _ in 0..300 {
        guest.queue_legacy(b"x", TxCommand::IFCS | TxCommand::RS);
    }
    guest.queue_legacy(b"x", REPORTED);
    let frame = frame_to(PEER, 60);
    assert_eq!(guest.transmit(&frame), [frame]);
    assert_eq!(guest.nic.counters().transmit_too_many_descriptors, 1);
    assert!((0..302).all(|index| guest.tx_status(index) == DD));
}

#[test]
fn a_ring_full_of_one_endless_packet_does_not_block() {
    let mut guest = Guest::with(intel_regs::Rctl::empty(), 8);
    for _ in 0..7 {
        guest.queue_legacy(b"x", TxCommand::IFCS);
    }
    let _ = guest.kick();
    assert!(guest.poll_all(64).is_empty());
    assert_eq!(guest.read(reg::TDH), 7);
    guest.queue_legacy(b"x", SIMPLE);
    let frame = frame_to(PEER, 60);
    assert_eq!(guest.transmit(&frame), [frame]);
}

#[test]
fn reserved_descriptor_types_carry_no_data() {
    let mut guest = Guest::new();
    let mut reserved = TxData::default().with_command(REPORTED, 60).to_bytes();
    reserved[10] |= 0x30;
    guest.queue(reserved);
    let frame = frame_to(PEER, 60);
    assert_eq!(guest.transmit(&frame), [frame]);
    assert_eq!(guest.nic.counters().transmit_reserved_descriptor, 1);
}

#[test]
fn a_receive_buffer_outside_memory_stops_the_ring_and_frames_are_counted() {
    let mut guest = Guest::new();
    guest.post(1, MEMORY as u64 - 10);
    let frame = frame_to(MAC, 60);
    assert_eq!(guest.send(&[&frame, &frame, &frame]), 3);
    assert!(matches!(
        guest.nic.faults(),
        Some(GuestFault::BufferOutsideMemory { ring: RingKind::Receive, length: 60, .. })
    ));
    assert_eq!(guest.nic.counters().receive_ring_stopped, 2);
    guest.post(1, RX_BUFFERS);
    guest.set(reg::RDH, 1);
    guest.send(&[&frame]);
    assert_eq!(guest.rx_descriptor(1).status & DD, DD);
}

#[test]
fn a_receive_descriptor_outside_memory_stops_the_ring() {
    let mut guest = Guest::new();
    guest.set(reg::RDBAL, MEMORY as u32);
    assert_eq!(guest.send(&[&frame_to(MAC, 60)]), 1);
    assert!(matches!(
        guest.nic.faults(),
        Some(GuestFault::DescriptorOutsideMemory { ring: RingKind::Receive, index: 0, .. })
    ));
}

#[test]
fn a_receive_tail_beyond_the_ring_is_ignored() {
    let mut guest = Guest::new();
    assert!(!guest.write(reg::RDT, RING + 5).contains(Effects::RX_SPACE));
    assert!(matches!(guest.nic.faults(), Some(GuestFault::TailBeyondRing { ring: RingKind::Receive, .. })));
    assert_eq!(guest.send(&[&frame_to(MAC, 60)]), 1);
    assert_eq!(guest.nic.waiting(), 1);
    assert!(guest.write(reg::RDT, RING - 1).contains(Effects::RX_SPACE));
    guest.send(&[]);
    assert_eq!(guest.nic.waiting(), 0);
}

/// The way of drivers that were only run on lenient models: EOP and RS, and no IFCS.
#[test]
fn a_packet_without_ifcs_is_dropped_and_explained_or_sent_if_the_vnic_always_inserts_it() {
    let frame = frame_to(PEER, 60);
    for always_insert_fcs in [false, true] {
        let mut guest = Guest::new();
        let config = VnicModelConfig { always_insert_fcs, ..VnicModelConfig::new(MAC) };
        guest.nic = Vnic::new(config, testkit::bounce_memory());
        guest.set(reg::CTRL, intel_regs::Ctrl::SLU.bits());
        guest.set(reg::TDBAL, TX_RING as u32);
        guest.set(reg::TDLEN, RING * 16);
        guest.set(reg::TCTL, intel_regs::Tctl::EN.bits());
        let index = guest.queue_legacy(&frame, TxCommand::EOP | TxCommand::RS);
        let _ = guest.kick();
        let sent = guest.poll_all(64);
        assert_eq!(guest.tx_status(index) & DD, DD);
        if always_insert_fcs {
            assert_eq!((sent, guest.nic.faults()), (vec![frame.clone()], None));
        } else {
            assert_eq!((sent.len(), guest.nic.counters().transmit_bad_fcs), (0, 1));
            let fault = guest.nic.faults().unwrap();
            assert_eq!(fault, GuestFault::BadFrameCheck { length: 60 });
            assert!(fault.to_string().contains("always_insert_fcs = true"));
        }
    }
}

#[test]
fn the_tail_of_a_ring_that_is_too_short_to_exist_is_reported() {
    let mut guest = Guest::new();
    guest.set(reg::TDLEN, 16);
    guest.set(reg::TDT, 1);
    assert_eq!(guest.nic.faults(), Some(GuestFault::EmptyRing { ring: RingKind::Transmit }));
    assert!(guest.poll_all(64).is_empty());
}
