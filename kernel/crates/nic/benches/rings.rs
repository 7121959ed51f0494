//! The drivers' part in the way of a frame, by the host's clock, against the simple NIC of the tests: frames are put into
//! the transmit ring (`put`, with the write of the tail) and come back (`reap`); received ones are lent out (`fetch`) and
//! their buffers given back (`settle`). A measurement is of 16 frames. Memory is that of the tests, copied byte by byte and
//! looked up in a list.

#[path = "../tests/support/mod.rs"]
mod support;

use base::frame::HEAD;
use base::{GuestPhysical, GuestSpans, Outbox, Port, Put, SlotId};
use divan::{Bencher, black_box, counter::ItemsCount};
use nic::Nic;
use std::cell::RefCell;
use support::fake_nic::{FakeFamily, FakeNic};
use support::{ID_82574L, TestMachine};
use testkit::frame::{mac, numbered};

const FRAMES: usize = 16;
/// Where the frames are that the NIC is lent: at the end of the machine's memory, which its rings do not reach.
const LENT: u64 = (2 << 20) - (64 << 10);

fn main() {
    divan::main();
}

/// A NIC that reaches all memory, and its driver.
struct Card {
    machine: TestMachine<FakeNic>,
    driver: Nic<TestMachine<FakeNic>>,
    outbox: Outbox,
    slots: Vec<SlotId>,
}

impl Card {
    fn new() -> Self {
        let mut nic = FakeNic { kind: FakeFamily::E1000e, ..FakeNic::default() };
        nic.set_receive_address(mac(7).0);
        let machine = TestMachine::new(nic);
        let driver = machine.start_as(ID_82574L).expect("the NIC starts");
        Self { machine, driver, outbox: Outbox::new(0), slots: Vec::new() }
    }

    /// A card that keeps what it is lent, and frames of this length for it.
    fn with_frames(length: usize) -> RefCell<Self> {
        let mut card = Self::new();
        card.machine.nic.borrow_mut().transmit_stuck = true;
        let frame = numbered(mac(1), mac(2), 7, length);
        let (head, rest) = frame.split_at(length.min(HEAD));
        let at = card.machine.memory.base() + LENT;
        card.machine.memory.put(at, rest);
        let span =
            card.machine.memory.span(GuestPhysical(at), rest.len().max(1)).expect("memory of the test");
        for cookie in 0..FRAMES as u32 {
            assert!(card.outbox.add(cookie, |new| {
                new.head(head.len()).copy_from_slice(head);
                rest.is_empty() || new.push(span)
            }));
        }
        card.slots = std::iter::from_fn(|| card.outbox.fetched()).collect();
        RefCell::new(card)
    }

    /// The same frames leave again and again: there is always one more copy than the NIC has.
    fn share(&mut self) {
        self.slots.iter().for_each(|slot| self.outbox.share(*slot, 2));
    }

    fn put(&mut self) {
        let now = self.machine.now();
        for slot in &self.slots {
            let put = self.driver.put(black_box(self.outbox.frame(*slot)), self.outbox.lend(*slot), now);
            assert!(matches!(put, Put::Kept));
        }
        self.driver.flush(now);
    }

    /// The NIC sends what is in its ring.
    fn send(&mut self) {
        let mut nic = self.machine.nic.borrow_mut();
        nic.transmit_stuck = false;
        nic.transmit(&self.machine.memory);
        nic.sent.clear();
        nic.transmit_stuck = true;
    }

    fn reap(&mut self) {
        self.driver.reap(&mut |ticket| self.outbox.give_back(ticket), self.machine.now());
    }

    fn receive(&mut self, frame: &[u8]) {
        for _ in 0..FRAMES {
            assert!(self.machine.nic.borrow_mut().receive(&self.machine.memory, frame, 0));
        }
    }

    fn fetch(&mut self) {
        let fetched = self.driver.fetch(&mut self.outbox, FRAMES, self.machine.now());
        assert_eq!(fetched, FRAMES);
    }

    /// Each frame has arrived.
    fn finish(&mut self) {
        while let Some(slot) = self.outbox.fetched() {
            self.outbox.share(slot, 0);
        }
    }

    fn settle(&mut self) {
        self.driver.settle(&mut self.outbox, self.machine.now());
    }
}

#[divan::bench(args = [60, 1514], sample_count = 2000, sample_size = 1)]
fn put(bencher: Bencher, length: usize) {
    let card = Card::with_frames(length);
    let prepare = || {
        let mut card = card.borrow_mut();
        card.send();
        card.reap();
        card.share();
    };
    bencher.counter(ItemsCount::new(FRAMES)).with_inputs(prepare).bench_local_values(|()| {
        card.borrow_mut().put();
    });
}

#[divan::bench(args = [60, 1514], sample_count = 2000, sample_size = 1)]
fn reap(bencher: Bencher, length: usize) {
    let card = Card::with_frames(length);
    let prepare = || {
        let mut card = card.borrow_mut();
        card.share();
        card.put();
        card.send();
    };
    bencher.counter(ItemsCount::new(FRAMES)).with_inputs(prepare).bench_local_values(|()| {
        card.borrow_mut().reap();
    });
}

#[divan::bench(args = [60, 1514], sample_count = 2000, sample_size = 1)]
fn fetch(bencher: Bencher, length: usize) {
    let (card, frame) = (RefCell::new(Card::new()), numbered(mac(7), mac(2), 7, length));
    let prepare = || {
        let mut card = card.borrow_mut();
        card.finish();
        card.settle();
        card.receive(&frame);
    };
    bencher.counter(ItemsCount::new(FRAMES)).with_inputs(prepare).bench_local_values(|()| {
        card.borrow_mut().fetch();
    });
}

#[divan::bench(args = [60, 1514], sample_count = 2000, sample_size = 1)]
fn settle(bencher: Bencher, length: usize) {
    let (card, frame) = (RefCell::new(Card::new()), numbered(mac(7), mac(2), 7, length));
    let prepare = || {
        let mut card = card.borrow_mut();
        card.receive(&frame);
        card.fetch();
        card.finish();
    };
    bencher.counter(ItemsCount::new(FRAMES)).with_inputs(prepare).bench_local_values(|()| {
        card.borrow_mut().settle();
    });
}
