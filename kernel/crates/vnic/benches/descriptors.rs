//! The vNIC's part in the way of a frame, by the host's clock: descriptors become frames (`fetch`) and are marked done
//! (`settle`); frames are written into the guest's buffers (`deliver`). A measurement is of 16 frames. Memory is that of the
//! tests, copied byte by byte: compare lengths by what is spent beside the copy.

#[path = "../tests/common/mod.rs"]
mod common;

use base::{Outbox, Port, Put, SlotId};
use common::{Guest, MAC, PEER, frame_to};
use divan::{Bencher, black_box, counter::ItemsCount};
use intel_regs::desc::TxCommand;
use std::cell::RefCell;
use testkit::QueuePort;

const FRAMES: usize = 16;
const SIMPLE: TxCommand = TxCommand::EOP.union(TxCommand::IFCS).union(TxCommand::RS);

fn main() {
    divan::main();
}

/// A guest, and the frames that its vNIC has lent out.
struct Sender {
    guest: Guest,
    outbox: Outbox,
}

impl Sender {
    fn new() -> RefCell<Self> {
        RefCell::new(Self { guest: Guest::new(), outbox: Outbox::new(0) })
    }

    /// Queues frames, and tells the vNIC.
    fn queue(&mut self, frame: &[u8]) {
        for _ in 0..FRAMES {
            self.guest.queue_legacy(frame, SIMPLE);
        }
        let _ = self.guest.kick();
    }

    fn fetch(&mut self) {
        let fetched = self.guest.nic.port(&self.guest.memory).fetch(&mut self.outbox, FRAMES, self.guest.now);
        assert_eq!(fetched, FRAMES);
    }

    /// Each frame has arrived.
    fn finish(&mut self) {
        while let Some(slot) = self.outbox.fetched() {
            self.outbox.share(slot, 0);
        }
    }

    fn settle(&mut self) {
        self.guest.nic.port(&self.guest.memory).settle(&mut self.outbox, self.guest.now);
    }
}

#[divan::bench(args = [60, 1514], sample_count = 2000, sample_size = 1)]
fn fetch(bencher: Bencher, length: usize) {
    let (sender, frame) = (Sender::new(), frame_to(PEER, length));
    let prepare = || {
        let mut sender = sender.borrow_mut();
        sender.finish();
        sender.settle();
        sender.queue(&frame);
    };
    bencher.counter(ItemsCount::new(FRAMES)).with_inputs(prepare).bench_local_values(|()| {
        sender.borrow_mut().fetch();
    });
}

#[divan::bench(args = [60, 1514], sample_count = 2000, sample_size = 1)]
fn settle(bencher: Bencher, length: usize) {
    let (sender, frame) = (Sender::new(), frame_to(PEER, length));
    let prepare = || {
        let mut sender = sender.borrow_mut();
        sender.queue(&frame);
        sender.fetch();
        sender.finish();
    };
    bencher.counter(ItemsCount::new(FRAMES)).with_inputs(prepare).bench_local_values(|()| {
        sender.borrow_mut().settle();
    });
}

#[divan::bench(args = [60, 1514], sample_count = 2000, sample_size = 1)]
fn deliver(bencher: Bencher, length: usize) {
    let guest = RefCell::new(Guest::new());
    let (mut lender, outbox) = (QueuePort::new(), RefCell::new(Outbox::new(0)));
    let frame = frame_to(MAC, length);
    (0..FRAMES).for_each(|_| lender.arrive(&frame));
    lender.fetch(&mut outbox.borrow_mut(), FRAMES, guest.borrow().now);
    let slots: Vec<SlotId> = std::iter::from_fn(|| outbox.borrow_mut().fetched()).collect();
    // The same frames arrive again and again: there is always one more copy than was taken.
    let prepare = || {
        let mut guest = guest.borrow_mut();
        while guest.receive().is_some() {}
        let _ = guest.recycle();
        slots.iter().for_each(|slot| outbox.borrow_mut().share(*slot, 2));
    };
    bencher.counter(ItemsCount::new(FRAMES)).with_inputs(prepare).bench_local_values(|()| {
        let (mut outbox, guest) = (outbox.borrow_mut(), &mut *guest.borrow_mut());
        let mut port = guest.nic.port(&guest.memory);
        for slot in &slots {
            let put = port.put(black_box(outbox.frame(*slot)), outbox.lend(*slot), guest.now);
            let Put::Done(ticket) = put else { panic!("the ring has room") };
            outbox.give_back(ticket);
        }
        port.flush(guest.now);
    });
}
