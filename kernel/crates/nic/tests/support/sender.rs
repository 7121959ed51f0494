//! A guest that sends to a NIC, without a switch between them.

use super::fake_nic::{FakeFamily, FakeNic, LSC};
use super::fake_transmit::FakeFifo;
use super::{ID_82540EM, ID_82574L, ID_82576, TestMachine};
use base::RetiredFrames;
use base::time::Duration;
use base::{Outbox, Port, Put, SlotId, Ticket};
use nic::{Nic, NicEvent, PciId};
use std::collections::VecDeque;
use testkit::QueuePort;
use testkit::frame::{mac, number_of, numbered};

/// One NIC of each family.
pub const FAMILIES: [(FakeFamily, PciId); 3] =
    [(FakeFamily::E1000, ID_82540EM), (FakeFamily::E1000e, ID_82574L), (FakeFamily::Igb, ID_82576)];

/// Frames that the NIC's FIFO holds.
pub const FIFO: usize = 3;

/// A guest, and the NIC that has its frames.
pub struct SenderBench {
    pub machine: TestMachine<FakeNic>,
    pub driver: Nic<TestMachine<FakeNic>>,
    pub lender: QueuePort,
    pub outbox: Outbox,
    /// Frames that the NIC has kept, with their numbers.
    pub kept: VecDeque<(SlotId, u32)>,
    /// How many it was given.
    pub put: u32,
    /// Numbers of those that it says to have sent, and of those that it has given back.
    pub done: Vec<u32>,
    pub back: Vec<u32>,
}

impl SenderBench {
    pub fn new((kind, id): (FakeFamily, PciId)) -> Self {
        let fifo = FakeFifo { size: FIFO, ..FakeFifo::default() };
        let mut nic = FakeNic { kind, fifo, transmit_credit: 0, ..FakeNic::default() };
        nic.set_receive_address(mac(7).0);
        let machine = TestMachine::new(nic);
        let driver = machine.start_as(id).expect("the NIC starts");
        let (lender, outbox) = (QueuePort::new(), Outbox::new(0));
        let (done, back) = (Vec::new(), Vec::new());
        Self { machine, driver, lender, outbox, kept: VecDeque::new(), put: 0, done, back }
    }

    pub fn holding_back(family: (FakeFamily, PciId)) -> Self {
        let mut bench = Self::new(family);
        bench.driver.hold_back(true);
        bench
    }

    /// Offers so many frames, of this length, as far as the guest may lend and the NIC takes them.
    pub fn offer(&mut self, count: usize, length: usize) {
        let now = self.machine.now();
        for _ in 0..count.min(self.outbox.room()) {
            self.lender.arrive(&numbered(mac(9), mac(1), self.put, length));
            self.lender.fetch(&mut self.outbox, 1, now);
            let slot = self.outbox.fetched().expect("there was room");
            self.outbox.share(slot, 1);
            match self.driver.put(self.outbox.frame(slot), self.outbox.lend(slot), now) {
                Put::Kept => self.kept.push_back((slot, self.put)),
                Put::Done(_) => panic!("a good frame"),
                Put::Refused(ticket) => {
                    self.outbox.give_back(ticket);
                    break;
                }
            }
            self.put += 1;
        }
        self.driver.flush(now);
    }

    /// The NIC fetches at most so many frames.
    pub fn fetch(&mut self, credit: usize) {
        let mut nic = self.machine.nic.borrow_mut();
        nic.transmit_credit = credit;
        nic.transmit(&self.machine.memory);
        nic.transmit_credit = 0;
    }

    /// Takes tickets back, which come in order.
    pub fn reap(&mut self) {
        let now = self.machine.now();
        let Self { driver, outbox, kept, done, back, .. } = self;
        let mut into = |numbers: &mut Vec<u32>, ticket: Ticket| {
            let (slot, number) = kept.pop_front().expect("a frame that it had");
            assert_eq!(ticket.slot(), slot, "in order");
            numbers.push(number);
            outbox.give_back(ticket);
        };
        driver.reap(&mut |ticket| into(done, ticket), now);
        driver.take_back(&mut |ticket| into(back, ticket));
        self.lender.settle(&mut self.outbox, now);
        let counters = self.driver.queue_counters();
        assert_eq!(counters.tx_done, self.done.len() as u64);
        assert_eq!(counters.tx_returned, self.back.len() as u64);
        assert_eq!(counters.tx_queued, (self.done.len() + self.back.len() + self.kept.len()) as u64);
    }

    /// More is offered than the NIC fetches, for 5 ms.
    pub fn fall_behind(&mut self) {
        for _ in 0..50 {
            self.offer(6, 300);
            self.fetch(4);
            self.reap();
            self.pass(us(100));
        }
    }

    /// The cable is pulled or put back, and the driver hears of it.
    pub fn cable(&mut self, plugged: bool) {
        {
            let mut nic = self.machine.nic.borrow_mut();
            nic.link = plugged;
            nic.raise(LSC);
        }
        self.driver.interrupt();
    }

    pub fn retire(&mut self) -> RetiredFrames {
        self.driver.retire(self.machine.now())
    }

    pub fn pass(&mut self, time: Duration) {
        self.machine.pass(&mut self.driver, time);
    }

    pub fn sent(&self) -> Vec<u32> {
        let nic = self.machine.nic.borrow();
        nic.sent.iter().map(|frame| number_of(frame).expect("undamaged")).collect()
    }

    pub fn recovered(&mut self) -> Option<RetiredFrames> {
        let recovered = self.driver.events().filter_map(|event| match event {
            NicEvent::Recovered { returned, in_doubt } => Some(RetiredFrames { returned, in_doubt }),
            _ => None,
        });
        recovered.last()
    }
}

/// As [`Duration::from_micros`].
pub fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}
