//! A NIC that returns frames only when they have left for sure.

mod support;

use base::RetiredFrames;
use base::time::Duration;
use support::fake_transmit::{FakeFifo, GPTC};
use support::sender::{FAMILIES, FIFO, SenderBench, us};

#[test]
fn nothing_is_lost_of_a_nic_whose_frames_are_held_back_and_what_is_in_doubt_alone_comes_twice() {
    for family in FAMILIES {
        // Frames that leave after the NIC has counted the last time.
        for uncounted in [0, 2] {
            let mut bench = SenderBench::holding_back(family);
            for _ in 0..50 {
                bench.offer(6, 300);
                bench.fetch(4);
                bench.reap();
                bench.pass(us(100));
            }
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
                bench.pass(Duration::from_millis(millis));
                bench.reap();
                assert_eq!(bench.done.len(), round * 40, "{family:?}");
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
