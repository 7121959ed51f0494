//! Batches through the rings, against the simple NIC.

mod support;

use nic::{CHECK_INTERVAL, MAX_FRAME, TRANSMIT_HANG};
use proptest::prelude::*;
use support::fake_nic::{FakeNic, IMS, RDT, TDT, TXDW};
use support::{TestMachine, poll, send};
use testkit::frame::{mac, number_of, numbered};
use testkit::frames_of;

type Driver = nic::Nic<TestMachine<FakeNic>>;

fn frame(number: u32, length: usize) -> Vec<u8> {
    numbered(mac(1), mac(2), number, length)
}

fn frames(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|number| frame(number, 100)).collect()
}

fn started() -> (TestMachine<FakeNic>, Driver) {
    let machine = TestMachine::new(FakeNic::default());
    let driver = machine.start().expect("the NIC starts");
    (machine, driver)
}

fn receive(machine: &TestMachine<FakeNic>, frame: &[u8], errors: u8) {
    assert!(machine.nic.borrow_mut().receive(&machine.memory, frame, errors), "the ring has room");
}

fn numbers(frames: impl IntoIterator<Item = Vec<u8>>) -> Vec<u32> {
    frames.into_iter().map(|frame| number_of(&frame).expect("undamaged")).collect()
}

#[test]
fn a_batch_is_sent_with_one_tail_write() {
    let (machine, mut driver) = started();
    let before = machine.nic.borrow().written(TDT);
    assert_eq!(send(&mut driver, &frames(0..40), machine.now()), 40);
    assert_eq!(machine.nic.borrow().written(TDT), before + 1);
    assert_eq!(numbers(machine.nic.borrow_mut().sent.drain(..)), (0..40).collect::<Vec<_>>());
    assert_eq!(driver.queue_counters().tx_batches, 1);
}

#[test]
fn a_batch_is_received_with_one_tail_write_and_within_the_budget() {
    let (machine, mut driver) = started();
    frames(0..40).iter().for_each(|frame| receive(&machine, frame, 0));
    let before = machine.nic.borrow().written(RDT);
    let mut received = frames_of(&mut driver, 30, machine.now());
    assert_eq!((received.len(), machine.nic.borrow().written(RDT)), (30, before + 1));
    received.extend(frames_of(&mut driver, 30, machine.now()));
    assert_eq!(frames_of(&mut driver, 30, machine.now()), [[]; 0]);
    assert_eq!(machine.nic.borrow().written(RDT), before + 2);
    assert_eq!(numbers(received), (0..40).collect::<Vec<_>>());
}

#[test]
fn short_frames_are_padded_with_zeros_and_not_with_old_data() {
    let (machine, mut driver) = started();
    send(&mut driver, &vec![vec![0xee; 200]; 255], machine.now());
    send(&mut driver, &vec![vec![0xdd; 14]; 255], machine.now());
    let sent = machine.nic.borrow_mut().sent.split_off(255);
    assert!(sent.iter().all(|frame| frame[..14] == [0xdd; 14] && frame[14..] == [0; 46]));
    assert_eq!(driver.queue_counters().tx_bytes, 255 * (200 + 14));
}

#[test]
fn frames_of_every_short_length_are_sent_whole_and_padded_from_any_descriptor() {
    let (machine, mut driver) = started();
    let bytes: Vec<u8> = (1..=200).collect();
    let lengths = || (0..3).flat_map(|_| 14..=200);
    // Each way round the ring leaves other old data in the buffers.
    for offered in lengths().map(|length| [&bytes[..length]]) {
        send(&mut driver, &vec![vec![0xee; 200]; 3], machine.now());
        send(&mut driver, &offered.map(<[u8]>::to_vec), machine.now());
    }
    let sent: Vec<_> = machine.nic.borrow_mut().sent.drain(..).skip(3).step_by(4).collect();
    assert_eq!(sent.len(), lengths().count());
    for (frame, length) in sent.iter().zip(lengths()) {
        assert_eq!(frame[..length], bytes[..length]);
        assert_eq!(frame[length..], [0; 60][length.min(60)..]);
    }
    let counters = driver.queue_counters();
    assert_eq!((counters.tx_queued, counters.tx_ring_full), (4 * sent.len() as u64, 0));
}

#[test]
fn frames_that_no_wire_carries_are_counted_and_do_not_block_others() {
    let (machine, mut driver) = started();
    let offered = [vec![0; 13], frame(0, MAX_FRAME), vec![0; MAX_FRAME + 1], vec![], frame(1, 60)];
    assert_eq!(send(&mut driver, &offered, machine.now()), 5);
    assert_eq!(numbers(machine.nic.borrow_mut().sent.drain(..)), [0, 1]);
    let counters = driver.queue_counters();
    assert_eq!((counters.tx_runt, counters.tx_too_long, counters.tx_queued), (2, 1, 2));
}

#[test]
fn a_full_ring_accepts_a_prefix_and_asks_for_an_interrupt() {
    let (machine, mut driver) = started();
    driver.unmask();
    machine.nic.borrow_mut().transmit_credit = 0;
    assert_eq!(send(&mut driver, &frames(0..300), machine.now()), 255);
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, TXDW);
    assert_eq!(send(&mut driver, &frames(255..300), machine.now()), 0);

    machine.nic.borrow_mut().transmit_credit = 10;
    machine.nic.borrow_mut().transmit(&machine.memory);
    assert!(driver.interrupt().transmit);
    assert_eq!(send(&mut driver, &frames(255..300), machine.now()), 10);
    machine.nic.borrow_mut().transmit_credit = usize::MAX;
    machine.nic.borrow_mut().transmit(&machine.memory);
    assert!(driver.interrupt().transmit);
    assert_eq!(send(&mut driver, &frames(265..300), machine.now()), 35);
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, 0);
    assert_eq!(numbers(machine.nic.borrow_mut().sent.drain(..)), (0..300).collect::<Vec<_>>());
    assert_eq!(driver.queue_counters().tx_ring_full, 3);
}

#[test]
fn a_sender_whose_frames_find_room_does_not_end_the_wait_of_another() {
    let (machine, mut driver) = started();
    driver.unmask();
    machine.nic.borrow_mut().transmit_credit = 0;
    assert_eq!(send(&mut driver, &frames(0..300), machine.now()), 255);
    machine.nic.borrow_mut().transmit_credit = 10;
    machine.nic.borrow_mut().transmit(&machine.memory);
    assert_eq!(send(&mut driver, &frames(300..301), machine.now()), 1);
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, TXDW);

    // The interrupt that comes of it finds room for nine of the other's; the rest ask again.
    assert!(driver.interrupt().transmit);
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, 0, "whoever still waits asks again");
    assert_eq!(send(&mut driver, &frames(255..300), machine.now()), 9);
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, TXDW);
}

#[test]
fn an_interrupt_for_received_frames_alone_does_not_end_the_wait_for_room() {
    let (machine, mut driver) = started();
    driver.unmask();
    machine.nic.borrow_mut().transmit_credit = 0;
    send(&mut driver, &frames(0..300), machine.now());
    receive(&machine, &frame(0, 100), 0);
    assert!(!driver.interrupt().transmit);
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, TXDW);
}

#[test]
fn a_sender_that_waits_while_the_nic_is_polled_or_reset_leaves_no_cause_unmasked() {
    let (machine, mut driver) = started();
    machine.nic.borrow_mut().transmit_credit = 0;
    send(&mut driver, &frames(0..300), machine.now());
    assert_eq!(machine.nic.borrow().get(IMS), 0, "polled");
    driver.unmask();
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, TXDW, "it still waits");
    driver.mask();
    machine.nic.borrow_mut().transmit_credit = 1;
    machine.nic.borrow_mut().transmit(&machine.memory);
    assert!(driver.interrupt().transmit);
    driver.unmask();
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, 0, "it has been told");

    send(&mut driver, &frames(0..300), machine.now());
    assert_eq!(machine.nic.borrow().get(IMS) & TXDW, TXDW);
    machine.pass(&mut driver, TRANSMIT_HANG + CHECK_INTERVAL);
    machine.settle(&mut driver);
    assert_eq!((driver.counters().resets, machine.nic.borrow().get(IMS) & TXDW), (1, 0), "there is room");
}

#[test]
fn damaged_and_short_frames_are_dropped_and_counted() {
    let (machine, mut driver) = started();
    for errors in [0x01, 0x02, 0x04, 0x10, 0x80] {
        receive(&machine, &frame(9, 100), errors);
    }
    receive(&machine, &[0; 13], 0);
    receive(&machine, &[], 0);
    // A wrong TCP or IP checksum is left to the guest.
    receive(&machine, &frame(1, 100), 0x60);
    assert_eq!(numbers(poll(&mut driver, machine.now())), [1]);
    assert_eq!((driver.queue_counters().rx_errors, driver.queue_counters().rx_runt), (5, 2));
}

#[test]
fn frames_that_are_too_long_are_dropped_whole() {
    let (machine, mut driver) = started();
    for length in [MAX_FRAME + 1, 16384, 16385, 40_000] {
        receive(&machine, &vec![0x55; length], 0);
        receive(&machine, &frame(length as u32, MAX_FRAME), 0);
    }
    let expected = [MAX_FRAME as u32 + 1, 16384, 16385, 40_000];
    assert_eq!(numbers(poll(&mut driver, machine.now())), expected);
    assert_eq!(driver.queue_counters().rx_too_long, 4);
}

#[test]
fn a_frame_waits_in_the_ring_until_all_of_it_is_there() {
    let (machine, mut driver) = started();
    let jumbo = frame(5, 5000);
    receive(&machine, &jumbo, 0);
    // The NIC has not written its second descriptor yet.
    let ring = machine.nic.borrow().receive_ring();
    let second = machine.memory.read_u64(ring + 24);
    machine.memory.write_u64(ring + 24, 0);
    assert!(poll(&mut driver, machine.now()).is_empty());
    machine.memory.write_u64(ring + 24, second);
    assert_eq!(poll(&mut driver, machine.now()), [jumbo]);
}

#[test]
fn a_descriptor_longer_than_its_buffer_is_an_error_and_not_a_panic() {
    let (machine, mut driver) = started();
    receive(&machine, &frame(0, 100), 0);
    let ring = machine.nic.borrow().receive_ring();
    machine.memory.write_u16(ring + 8, 0xffff);
    assert!(poll(&mut driver, machine.now()).is_empty());
    assert_eq!(driver.queue_counters().rx_errors, 1);
}

#[test]
fn a_ring_of_descriptors_all_marked_done_does_not_keep_the_caller_busy() {
    let (machine, mut driver) = started();
    let ring = machine.nic.borrow().receive_ring();
    for index in 0..256 {
        machine.memory.write_u64(ring + 16 * index + 8, 0x01_0000_0000 | 2048);
    }
    assert!(poll(&mut driver, machine.now()).is_empty());
    assert_eq!(driver.queue_counters().rx_too_long, 1);
}

/// An event at the NIC or at the port.
#[derive(Clone, Debug)]
enum RingEvent {
    Send { count: usize, length: usize },
    Complete { frames: usize },
    Receive { count: usize, length: usize },
    Poll { budget: usize },
}

fn event() -> impl Strategy<Value = RingEvent> {
    let length = prop_oneof![60usize..200, 60usize..=MAX_FRAME];
    prop_oneof![
        (1usize..100, length.clone()).prop_map(|(count, length)| RingEvent::Send { count, length }),
        (0usize..200).prop_map(|frames| RingEvent::Complete { frames }),
        (1usize..100, length).prop_map(|(count, length)| RingEvent::Receive { count, length }),
        (1usize..65).prop_map(|budget| RingEvent::Poll { budget }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn both_directions_keep_order_and_lose_nothing(events in prop::collection::vec(event(), 1..80)) {
        let (machine, mut driver) = started();
        machine.nic.borrow_mut().transmit_credit = 0;
        let (mut sent, mut received) = (0, 0);
        let mut polled = Vec::new();
        for event in events {
            match event {
                RingEvent::Send { count, length } => {
                    let frames: Vec<_> = (sent..).take(count).map(|number| frame(number, length)).collect();
                    sent += send(&mut driver, &frames, machine.now()) as u32;
                }
                RingEvent::Complete { frames } => {
                    let mut nic = machine.nic.borrow_mut();
                    nic.transmit_credit = frames;
                    nic.transmit(&machine.memory);
                    nic.transmit_credit = 0;
                }
                RingEvent::Receive { count, length } => {
                    let mut nic = machine.nic.borrow_mut();
                    for _ in 0..count {
                        received += u32::from(nic.receive(&machine.memory, &frame(received, length), 0));
                    }
                }
                RingEvent::Poll { budget } => {
                    let frames = frames_of(&mut driver, budget, machine.now());
                    prop_assert!(frames.len() <= budget);
                    polled.extend(numbers(frames));
                }
            }
            let counters = driver.queue_counters();
            prop_assert!(counters.tx_done <= machine.nic.borrow().sent.len() as u64);
            prop_assert_eq!(counters.tx_queued, u64::from(sent));
        }
        loop {
            let more = poll(&mut driver, machine.now());
            if more.is_empty() {
                break;
            }
            polled.extend(numbers(more));
        }
        machine.nic.borrow_mut().transmit_credit = usize::MAX;
        machine.nic.borrow_mut().transmit(&machine.memory);
        let on_the_wire = numbers(machine.nic.borrow_mut().sent.drain(..));
        prop_assert_eq!(on_the_wire, (0..sent).collect::<Vec<_>>());
        prop_assert_eq!(polled, (0..received).collect::<Vec<_>>());
    }
}
