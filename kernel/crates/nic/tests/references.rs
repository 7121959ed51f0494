//! Frames by reference: those that a NIC lends out, and those that it is lent.

mod support;

use base::frame::HEAD;
use base::{GuestPhysical, GuestSpans, Outbox, Port, Put, SlotId};
use nic::{CHECK_INTERVAL, Nic, NicState};
use path::PortConfig;
use support::fake_nic::{FakeFamily, FakeNic, TDT};
use support::{ID_82574L, TestMachine, poll};
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, QueuePort, bytes_of};

type Driver = Nic<TestMachine<FakeNic>>;

fn frame(number: u32, length: usize) -> Vec<u8> {
    numbered(mac(1), mac(2), number, length)
}

fn frames(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|number| frame(number, 100)).collect()
}

/// A NIC that reaches all memory.
fn started() -> (TestMachine<FakeNic>, Driver) {
    let mut nic = FakeNic { kind: FakeFamily::E1000e, ..FakeNic::default() };
    nic.set_receive_address(mac(7).0);
    let machine = TestMachine::new(nic);
    let driver = machine.start_as(ID_82574L).expect("the NIC starts");
    (machine, driver)
}

fn receive(machine: &TestMachine<FakeNic>, frame: &[u8], errors: u8) {
    assert!(machine.nic.borrow_mut().receive(&machine.memory, frame, errors), "the ring has room");
}

#[test]
fn frames_that_are_lent_out_take_no_descriptor_from_the_nic() {
    let (machine, mut driver) = started();
    let mut outbox = Outbox::new(0);
    let fetch = |driver: &mut Driver, outbox: &mut Outbox| {
        let fetched = driver.fetch(outbox, 256, machine.now());
        let slots: Vec<_> = std::iter::from_fn(|| outbox.fetched()).collect();
        slots.iter().for_each(|slot| outbox.share(*slot, 1));
        assert_eq!(slots.len(), fetched);
        slots
    };
    // More than there are spare buffers: the rest waits in the ring, which is as long as ever.
    frames(0..255).iter().for_each(|frame| receive(&machine, frame, 0));
    let first = fetch(&mut driver, &mut outbox);
    assert_eq!((first.len(), outbox.is_full()), (128, true));
    frames(255..383).iter().for_each(|frame| receive(&machine, frame, 0));
    assert_eq!(fetch(&mut driver, &mut outbox).len(), 0);
    let numbers = first.iter().map(|slot| number_of(&bytes_of(outbox.frame(*slot))));
    assert!(numbers.eq((0..128).map(Some)), "nothing has overwritten them");
    // The last ones come back first.
    for slot in first.iter().rev().take(28) {
        outbox.drop_copy(*slot);
    }
    driver.settle(&mut outbox, machine.now());
    let second = fetch(&mut driver, &mut outbox);
    let numbers = second.iter().map(|slot| number_of(&bytes_of(outbox.frame(*slot))));
    assert!(numbers.eq((128..156).map(Some)));
    first[..100].iter().chain(&second).for_each(|slot| outbox.drop_copy(*slot));
    driver.settle(&mut outbox, machine.now());
    let rest: Vec<_> =
        poll(&mut driver, machine.now()).into_iter().chain(poll(&mut driver, machine.now())).collect();
    assert_eq!(rest.len(), 128);
    assert!(outbox.is_empty());
}

/// An outbox with frames in the machine's memory, which the NIC reaches, and their places.
fn lent(machine: &TestMachine<FakeNic>, frames: &[Vec<u8>], piece: usize) -> (Outbox, Vec<SlotId>) {
    let mut outbox = Outbox::new(7);
    let mut at = machine.memory.base() + (1 << 21) - (1 << 18);
    for frame in frames {
        let (head, rest) = frame.split_at(frame.len().min(HEAD));
        machine.memory.put(at, rest);
        let memory = machine.memory.span(GuestPhysical(at), rest.len()).expect("memory of the machine");
        assert!(outbox.add(0, |new| {
            new.head(head.len()).copy_from_slice(head);
            (0..rest.len()).step_by(piece).all(|start| new.push(memory.part(start, piece)))
        }));
        at += rest.len() as u64;
    }
    let slots: Vec<_> = std::iter::from_fn(|| outbox.fetched()).collect();
    slots.iter().for_each(|slot| outbox.share(*slot, 1));
    (outbox, slots)
}

/// Gives back what the NIC has made use of, and returns the places.
fn reap(driver: &mut Driver, outbox: &mut Outbox, machine: &TestMachine<FakeNic>) -> Vec<SlotId> {
    let mut slots = Vec::new();
    driver.reap(
        &mut |ticket| {
            assert_eq!(ticket.source(), 7);
            slots.push(ticket.slot());
            outbox.give_back(ticket);
        },
        machine.now(),
    );
    slots
}

/// Takes back what the NIC has not sent, and returns the places.
fn take_back(driver: &mut Driver, outbox: &mut Outbox) -> Vec<SlotId> {
    let mut slots = Vec::new();
    driver.take_back(&mut |ticket| {
        slots.push(ticket.slot());
        outbox.give_back(ticket);
    });
    slots
}

#[test]
fn frames_go_by_reference_and_come_back_when_they_were_sent() {
    let (machine, mut driver) = started();
    machine.nic.borrow_mut().transmit_credit = 0;
    let frames = [frame(0, 1514), frame(1, 60), frame(2, 9000), frame(3, 129), frame(4, HEAD + 64)];
    let (mut outbox, slots) = lent(&machine, &frames, 2000);
    for slot in &slots {
        let put = driver.put(outbox.frame(*slot), outbox.lend(*slot), machine.now());
        assert!(matches!(put, Put::Kept));
    }
    driver.flush(machine.now());
    assert_eq!(reap(&mut driver, &mut outbox, &machine), []);
    // Two descriptors; one; six; one, since one byte is not worth a descriptor; two. And what the memory holds is sent.
    let tail = machine.nic.borrow().get(TDT);
    assert_eq!(tail, 2 + 1 + 6 + 1 + 2);
    let body = machine.memory.base() + (1 << 21) - (1 << 18);
    machine.memory.write_u8(body, 0xee);
    machine.nic.borrow_mut().transmit_credit = 2;
    machine.nic.borrow_mut().transmit(&machine.memory);
    assert_eq!(reap(&mut driver, &mut outbox, &machine), slots[..2]);
    machine.nic.borrow_mut().transmit_credit = usize::MAX;
    machine.nic.borrow_mut().transmit(&machine.memory);
    assert_eq!(reap(&mut driver, &mut outbox, &machine), slots[2..]);
    let sent: Vec<_> = machine.nic.borrow_mut().sent.drain(..).collect();
    assert_eq!(sent[1..], frames[1..]);
    assert_eq!(
        (&sent[0][..HEAD], sent[0][HEAD], &sent[0][HEAD + 1..]),
        (&frames[0][..HEAD], 0xee, &frames[0][HEAD + 1..])
    );
}

#[test]
fn frames_of_a_nic_that_is_reset_come_back_when_it_reads_no_memory_any_more() {
    let (machine, mut driver) = started();
    machine.nic.borrow_mut().transmit_credit = 0;
    let (mut outbox, slots) = lent(&machine, &[frame(0, 1514), frame(1, 1514)], 2000);
    for slot in &slots {
        let put = driver.put(outbox.frame(*slot), outbox.lend(*slot), machine.now());
        assert!(matches!(put, Put::Kept));
    }
    driver.flush(machine.now());
    // It hangs.
    while driver.state() == NicState::Running {
        machine.pass(&mut driver, CHECK_INTERVAL);
        assert_eq!(reap(&mut driver, &mut outbox, &machine), []);
    }
    machine.settle(&mut driver);
    assert_eq!(reap(&mut driver, &mut outbox, &machine), []);
    assert_eq!(take_back(&mut driver, &mut outbox), slots);
    assert_eq!(driver.queue_counters().tx_returned, 2);
    // The same if it fails for good.
    slots.iter().for_each(|slot| outbox.share(*slot, 1));
    for slot in &slots {
        let put = driver.put(outbox.frame(*slot), outbox.lend(*slot), machine.now());
        assert!(matches!(put, Put::Kept));
    }
    machine.nic.borrow_mut().gone = true;
    machine.pass(&mut driver, CHECK_INTERVAL);
    assert!(matches!(driver.state(), NicState::Failed(_)));
    assert_eq!(take_back(&mut driver, &mut outbox), slots);
}

#[test]
fn long_frames_are_lent_out_in_pieces_and_their_buffers_come_back() {
    let (machine, mut driver) = started();
    for round in 0..20 {
        for number in 0..30 {
            receive(&machine, &frame(round * 30 + number, 9000), 0);
        }
        // 25 times five buffers are all the spare ones.
        let mut outbox = Outbox::new(0);
        assert_eq!(driver.fetch(&mut outbox, 64, machine.now()), 25);
        assert!(outbox.is_full());
        while let Some(slot) = outbox.fetched() {
            outbox.share(slot, 0);
        }
        driver.settle(&mut outbox, machine.now());
        assert_eq!(poll(&mut driver, machine.now()).len(), 5);
    }
}

#[test]
fn vnics_that_take_nothing_leave_receive_buffers_for_another() {
    let (machine, mut driver) = started();
    let configs: Vec<_> =
        (0..15).map(|number| PortConfig::guest(mac(number))).chain([PortConfig::uplink()]).collect();
    let mut lan = Lan::new(&configs, 1).unwrap();
    let mut guests: Vec<_> = (0..15).map(|_| QueuePort::with_space(0)).collect();
    guests.iter_mut().for_each(|guest| guest.capabilities.max_frame = 9018);
    guests[0].space = usize::MAX;
    // As many buffers as frames for them may hold: four frames for each, and two buffers for each frame.
    for number in 0..14 * 4 {
        receive(&machine, &numbered(mac(1 + number as u8 % 14), mac(99), number, 2049), 0);
    }
    // These need five buffers each, of which sixteen are left.
    for number in 100..120 {
        receive(&machine, &numbered(mac(0), mac(99), number, 9000), 0);
    }
    lan.interrupt();
    let mut ports: Vec<_> = guests.iter_mut().map(|guest| guest as &mut dyn Port).collect();
    ports.push(&mut driver);
    assert_eq!(lan.run(&mut ports, machine.now()).pending, 14 * 4);
    let numbers = guests[0].take_sent().iter().map(|frame| number_of(frame)).collect::<Vec<_>>();
    assert_eq!(numbers, (100..120).map(Some).collect::<Vec<_>>());
}
