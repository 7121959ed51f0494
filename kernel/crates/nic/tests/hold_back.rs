//! A NIC that returns frames only when they have left for sure.

mod support;

use base::time::Duration;
use base::{Effects, Instant, Port, RetiredFrames};
use nic::TRANSMIT_HANG;
use support::fake_nic::FakeNic;
use support::fake_transmit::{FakeFifo, GPTC};
use support::sender::{FAMILIES, FIFO, SenderBench, us};
use support::{FakeDevice, TestMachine, send};
use testkit::FakeMemory;
use testkit::frame::{mac, numbered};

#[test]
fn nothing_is_lost_of_a_nic_whose_frames_are_held_back_and_what_is_in_doubt_alone_comes_twice() {
    for family in FAMILIES {
        // Frames that leave after the NIC has counted the last time.
        for uncounted in [0, 2] {
            let mut bench = SenderBench::holding_back(family);
            bench.fall_behind();
            bench.machine.nic.borrow_mut().link = false;
            bench.fetch(10);
            let counted = bench.sent().len() as u32;
            {
                let mut nic = bench.machine.nic.borrow_mut();
                for _ in 0..uncounted {
                    let frame = nic.fifo.frames.pop_front().expect("it has fetched some");
                    nic.sent.push_back(frame);
                }
            }
            bench.cable(false);
            let retired = bench.retire();
            bench.reap();
            assert_eq!(bench.done, (0..counted).collect::<Vec<_>>(), "{family:?}");
            assert_eq!(bench.back, (counted..bench.put).collect::<Vec<_>>(), "{family:?}: in order");
            assert_eq!(retired, RetiredFrames { returned: bench.back.len(), in_doubt: FIFO });
            assert_eq!(bench.sent().len() as u32, counted + uncounted);
            assert_eq!(bench.driver.queue_counters().tx_in_doubt, 0);
        }
    }
}

#[test]
fn what_an_idle_nic_holds_back_is_released_within_a_millisecond_but_not_before_it_has_left() {
    for family in FAMILIES {
        let mut bench = SenderBench::holding_back(family);
        bench.machine.nic.borrow_mut().fifo.credit = 0;
        bench.offer(2, 300);
        bench.fetch(2);
        for _ in 0..15 {
            bench.reap();
            assert!(bench.done.is_empty(), "{family:?}: they are in the FIFO");
            bench.pass(us(100));
        }
        bench.machine.nic.borrow_mut().fifo.credit = 1;
        bench.fetch(0);
        bench.pass(us(1000));
        bench.reap();
        assert_eq!(bench.done, [0], "{family:?}");
        bench.machine.nic.borrow_mut().fifo.credit = usize::MAX;
        bench.fetch(0);
        let before = bench.machine.nic.borrow().accesses;
        bench.pass(us(1000));
        bench.reap();
        assert_eq!(bench.done, [0, 1], "{family:?}");
        bench.pass(Duration::from_millis(50));
        assert!(bench.machine.nic.borrow().accesses - before < 60, "{family:?}: it is left in peace");
    }
}

#[test]
fn frames_behind_as_many_bytes_as_the_fifo_holds_are_released_without_a_question() {
    for (family, bytes) in FAMILIES.into_iter().zip([16 << 10, 40 << 10, 80 << 10]) {
        let mut bench = SenderBench::holding_back(family);
        bench.machine.nic.borrow_mut().fifo = FakeFifo { size: 100, credit: 0, ..FakeFifo::default() };
        bench.offer(80, 1514);
        bench.fetch(1);
        bench.reap();
        bench.fetch(79);
        let before = bench.machine.nic.borrow().accesses;
        bench.reap();
        assert_eq!(bench.done.len(), 80 - usize::div_ceil(bytes, 1514), "{family:?}");
        assert_eq!(bench.machine.nic.borrow().accesses, before, "{family:?}");
        // They are as they were for a NIC that holds nothing back.
        bench.driver.hold_back(false);
        bench.reap();
        assert_eq!(bench.done.len(), 80, "{family:?}");
    }
}

#[test]
fn a_count_that_lacks_frames_holds_none_back_for_ever() {
    for family in FAMILIES {
        for (half, millis) in [(true, 4), (false, 1100)] {
            let mut bench = SenderBench::holding_back(family);
            bench.machine.nic.borrow_mut().half_duplex = half;
            bench.cable(true);
            for round in 1..=3 {
                bench.offer(40, 60);
                bench.fetch(40);
                bench.machine.nic.borrow_mut().statistics.insert(GPTC, 25);
                bench.reap();
                assert_eq!(bench.done.len(), round * 40 - 15, "{family:?}");
                bench.pass(Duration::from_millis(millis / 4));
                bench.reap();
                assert_eq!(bench.done.len(), round * 40 - 15, "{family:?}");
                for _ in 0..millis * 1000 / 370 {
                    bench.pass(us(370));
                    bench.reap();
                }
                assert_eq!(bench.done.len(), round * 40, "{family:?}");
                assert_eq!(bench.driver.counters().transmit_hangs, 0, "{family:?}");
            }
        }
    }
}

#[test]
fn a_sender_alone_does_not_stand_still_because_its_frames_are_held_back() {
    // As fast as a wire of 1 Gb/s.
    for (length, rate) in [(1514, 8), (60, 128)] {
        for family in FAMILIES {
            let mut bench = SenderBench::holding_back(family);
            for _ in 0..500 {
                bench.offer(128, length);
                bench.fetch(rate);
                bench.pass(us(100));
                bench.reap();
            }
            let (done, most) = (bench.done.len(), 500 * rate);
            assert!(done * 100 >= most * 90, "{family:?}: {done} of {most} frames of {length} bytes");
        }
    }
}

#[test]
fn a_nic_whose_frames_are_all_held_back_does_not_hang() {
    let mut bench = SenderBench::holding_back(FAMILIES[0]);
    bench.offer(1, 60);
    bench.fetch(1);
    bench.machine.nic.borrow_mut().statistics.remove(&GPTC);
    bench.reap();
    // It is asked just before this takes so long, and checked just after.
    bench.machine.clock.advance(TRANSMIT_HANG - us(100));
    bench.reap();
    bench.driver.check(bench.machine.clock.advance(us(300)));
    assert_eq!((bench.driver.counters().transmit_hangs, bench.done.len()), (0, 0));
    bench.pass(us(1000));
    bench.reap();
    assert_eq!((bench.driver.counters().transmit_hangs, bench.done.len()), (0, 1));
}

/// A NIC that fetches frames when its status is read.
struct EagerNic(FakeNic);

impl FakeDevice for EagerNic {
    fn read(&mut self, memory: &FakeMemory, offset: u32, now: Instant) -> u32 {
        const STATUS: u32 = 8;
        if offset == STATUS {
            self.0.transmit(memory);
        }
        self.0.read(memory, offset, now)
    }

    fn write(&mut self, memory: &FakeMemory, offset: u32, value: u32, now: Instant) -> Effects {
        self.0.write(memory, offset, value, now)
    }

    fn allow_dma(&mut self, allowed: bool) {
        self.0.allow_dma(allowed);
    }
}

/// Found by the fuzz target `hostile-nic`.
#[test]
fn a_check_is_not_due_again_at_once_when_many_frames_are_fetched_meanwhile() {
    let fifo = FakeFifo { size: 100, credit: 0, ..FakeFifo::default() };
    let machine = TestMachine::new(EagerNic(FakeNic { fifo, transmit_credit: 0, ..FakeNic::default() }));
    let mut driver = machine.start().expect("the NIC starts");
    driver.hold_back(true);
    let frames: Vec<_> = (0..60).map(|number| numbered(mac(9), mac(1), number, 60)).collect();
    assert_eq!(send(&mut driver, &frames, machine.now()), 60);
    // It has one frame, and is asked what has left it, shortly before the next check is due.
    machine.clock.advance(driver.next_check() - machine.now() - us(100));
    machine.nic.borrow_mut().0.transmit_credit = 1;
    driver.check(machine.now());
    machine.nic.borrow_mut().0.transmit(&machine.memory);
    driver.reap(&mut |_| panic!("it has not left"), machine.now());
    machine.nic.borrow_mut().0.transmit_credit = 50;
    let now = machine.clock.advance(us(200));
    driver.check(now);
    assert!(driver.next_check() > now);
}
