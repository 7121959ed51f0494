//! Frames that the path is lent: what is copied of them, and when their descriptors are done.

mod common;

use base::frame::HEAD;
use base::{Checksums, Effects, Outbox, Port, SlotId, UnfinishedChecksum};
use common::*;
use intel_regs::desc::{TxCommand, TxContext, TxContextCommand, TxData};
use intel_regs::{Ctrl, Interrupt, Tctl, reg};
use testkit::bytes_of;

const SIMPLE: TxCommand = TxCommand::EOP.union(TxCommand::IFCS);
const REPORTED: TxCommand = SIMPLE.union(TxCommand::RS);

/// Queues this frame, with a report of its end, and fetches it.
fn fetch_one(guest: &mut Guest, outbox: &mut Outbox, frame: &[u8]) -> SlotId {
    guest.queue_legacy(frame, REPORTED);
    let _ = guest.kick();
    assert_eq!(guest.nic.port(&guest.memory).fetch(outbox, 1, guest.now), 1);
    outbox.fetched().expect("it was fetched")
}

#[test]
fn frames_are_lent_from_the_guests_memory_but_for_their_heads() {
    let mut guest = Guest::new();
    let mut outbox = Outbox::new(0);
    let frame = frame_to(PEER, 1514);
    let slot = fetch_one(&mut guest, &mut outbox, &frame);
    assert_eq!(bytes_of(outbox.frame(slot)), frame);
    // What the guest does to it now reaches the payload, and no header.
    guest.memory.put(TX_BUFFERS, &[0xee; 1514]);
    let now = bytes_of(outbox.frame(slot));
    assert_eq!(now[..HEAD], frame[..HEAD]);
    assert!(now[HEAD..].iter().all(|byte| *byte == 0xee));
}

#[test]
fn a_frame_in_more_pieces_than_can_be_lent_is_copied() {
    let mut guest = Guest::new();
    let frame = frame_to(PEER, 1514);
    let (pieces, last) = frame.split_at(1500);
    for piece in pieces.chunks(50) {
        guest.queue_legacy(piece, TxCommand::empty());
    }
    guest.queue_legacy(last, SIMPLE);
    let _ = guest.kick();
    let mut outbox = Outbox::new(0);
    assert_eq!(guest.nic.port(&guest.memory).fetch(&mut outbox, 64, guest.now), 1);
    guest.memory.put(TX_BUFFERS, &[0xee; 1514]);
    let slot = outbox.fetched().expect("it was fetched");
    assert_eq!(bytes_of(outbox.frame(slot)), frame);
}

#[test]
fn descriptors_are_done_in_the_order_of_the_ring() {
    let mut guest = Guest::new();
    let mut outbox = Outbox::new(0);
    let frame = frame_to(PEER, 1514);
    let slots = [0; 3].map(|_| fetch_one(&mut guest, &mut outbox, &frame));
    for (number, done) in [(2, 0), (0, 1), (1, 3)] {
        outbox.share(slots[number], 0);
        guest.nic.port(&guest.memory).settle(&mut outbox, guest.now);
        let marked = (0..3).filter(|index| guest.tx_status(*index) == DD).count();
        assert_eq!((marked, guest.read(reg::TDH) as usize), (done, done));
    }
    assert!(guest.nic.take_effects().contains(Effects::IRQ_CHANGED));
}

#[test]
fn a_ring_to_which_the_guest_has_added_meanwhile_is_not_empty() {
    let mut guest = Guest::new();
    let mut outbox = Outbox::new(0);
    let frame = frame_to(PEER, 60);
    let slot = fetch_one(&mut guest, &mut outbox, &frame);
    guest.queue_legacy(&frame, REPORTED);
    let _ = guest.kick();
    outbox.share(slot, 0);
    guest.nic.port(&guest.memory).settle(&mut outbox, guest.now);
    assert_eq!(guest.read(reg::ICR), Interrupt::TXDW.bits());
    assert_eq!(guest.poll_all(64).len(), 1);
    assert_eq!(guest.read(reg::ICR), (Interrupt::TXDW | Interrupt::TXQE).bits());
}

#[test]
fn a_guest_that_has_many_descriptors_in_flight_waits_for_the_first() {
    let mut guest = Guest::bare();
    for (register, value) in [
        (reg::CTRL, Ctrl::SLU.bits()),
        (reg::TDBAL, TX_RING as u32),
        (reg::TDLEN, 4096 * 16),
        (reg::TCTL, Tctl::EN.bits()),
    ] {
        guest.set(register, value);
    }
    // Nine descriptors for each frame.
    for _ in 0..400 {
        for _ in 0..8 {
            guest.queue_legacy(&[0xff; 7], TxCommand::empty());
        }
        guest.queue_legacy(&[0xff; 4], SIMPLE);
    }
    let _ = guest.kick();
    let mut outbox = Outbox::new(0);
    let mut fetched = 0;
    while !outbox.is_full() {
        let _ = guest.nic.take_effects();
        fetched += guest.nic.port(&guest.memory).fetch(&mut outbox, 16, guest.now);
    }
    assert!((60..128).contains(&fetched), "{fetched}");
    assert!(!guest.nic.take_effects().contains(Effects::TX_KICK), "nothing can be done now");
    while let Some(slot) = outbox.fetched() {
        outbox.share(slot, 0);
    }
    guest.nic.port(&guest.memory).settle(&mut outbox, guest.now);
    assert!(!outbox.is_full());
    assert_eq!(guest.poll_all(64).len(), 400 - fetched);
}

#[test]
fn frames_in_flight_when_the_ring_is_set_up_anew_are_done_for_nobody() {
    let mut guest = Guest::new();
    let mut outbox = Outbox::new(0);
    let frame = frame_to(PEER, 1514);
    let life = guest.nic.port(&guest.memory).life();
    let slot = fetch_one(&mut guest, &mut outbox, &frame);
    assert!(guest.write(reg::TDH, 0).contains(Effects::FRAMES_LEFT));
    assert!(!guest.write(reg::TDT, 0).contains(Effects::FRAMES_LEFT), "told once");
    assert_ne!(guest.nic.port(&guest.memory).life(), life);
    outbox.share(slot, 0);
    guest.nic.port(&guest.memory).settle(&mut outbox, guest.now);
    assert_eq!((guest.tx_status(0), guest.read(reg::TDH)), (0, 0));
    // While the bus does not let the vNIC reach memory, the ring stays as it is.
    guest.set(reg::TDT, 1);
    let life = guest.nic.port(&guest.memory).life();
    assert_eq!(guest.nic.port(&guest.memory).fetch(&mut outbox, 1, guest.now), 1);
    let _ = guest.nic.take_effects();
    guest.nic.suspend();
    assert!(guest.nic.take_effects().contains(Effects::FRAMES_LEFT));
    assert_ne!(guest.nic.port(&guest.memory).life(), life);
    guest.nic.resume();
    // Not before the other one has arrived, which may still be read from the same memory.
    assert_eq!(guest.poll(1), [[]; 0]);
    let slot = outbox.fetched().expect("it was fetched");
    outbox.share(slot, 0);
    guest.nic.port(&guest.memory).settle(&mut outbox, guest.now);
    assert_eq!((guest.tx_status(0), guest.read(reg::TDH)), (0, 0));
    assert_eq!(guest.poll(1), [frame]);
    assert_eq!((guest.tx_status(0), guest.read(reg::TDH)), (DD, 1));
}

#[test]
fn padding_does_not_leak_an_earlier_frame() {
    let mut guest = Guest::new();
    let mut outbox = Outbox::new(0);
    for length in [128, 30] {
        let slot = fetch_one(&mut guest, &mut outbox, &frame_to(PEER, length));
        assert!(bytes_of(outbox.frame(slot))[length..].iter().all(|byte| *byte == 0));
        outbox.share(slot, 0);
        guest.nic.port(&guest.memory).settle(&mut outbox, guest.now);
    }
}

#[test]
fn the_payload_of_segments_stays_in_the_guests_memory() {
    let mut guest = Guest::new();
    guest.set(reg::CTRL, (Ctrl::SLU | Ctrl::FD | Ctrl::VME).bits());
    let context = TxContext {
        ip_checksum_start: 14,
        ip_checksum_offset: 24,
        ip_checksum_end: 33.into(),
        tu_checksum_start: 34,
        tu_checksum_offset: 50,
        header_length: 54,
        maximum_segment_size: 1000.into(),
        ..TxContext::default()
    };
    let command = TxContextCommand::TSE | TxContextCommand::IP | TxContextCommand::TCP;
    guest.queue_context(context.with_command(command, 2000));
    let at = guest.buffer(&frame_to(PEER, 2054));
    let data = TxData { address: at.into(), options: 3, special: 5.into(), ..TxData::default() };
    guest.queue(data.with_command(SIMPLE | TxCommand::TSE | TxCommand::VLE, 2054).to_bytes());
    let _ = guest.kick();
    let mut outbox = Outbox::new(0);
    assert_eq!(guest.nic.port(&guest.memory).fetch(&mut outbox, 4, guest.now), 2);
    let unfinished = UnfinishedChecksum::new(38, 54, false).unwrap();
    while let Some(slot) = outbox.fetched() {
        let frame = outbox.frame(slot);
        assert_eq!((frame.head.len(), frame.length), (HEAD, 1058));
        assert_eq!(frame.checksums, Checksums::Unfinished(unfinished));
        guest.memory.put(at, &[0xee; 2054]);
        assert!(bytes_of(frame)[HEAD..].iter().all(|byte| *byte == 0xee));
        outbox.share(slot, 0);
    }
}
