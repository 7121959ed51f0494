//! A NIC whose frames are to go another way: what it has not sent comes back at once, in order, and leaves it never again.

mod support;

use base::RetiredFrames;
use base::time::Duration;
use nic::{NicState, TRANSMIT_HANG};
use support::fake_transmit::{GPTC, MGTPTC};
use support::sender::{FAMILIES, FIFO, SenderBench};

#[test]
fn what_a_retired_nic_has_not_sent_comes_back_at_once_and_leaves_it_never() {
    for family in FAMILIES {
        let mut bench = SenderBench::new(family);
        bench.fall_behind();
        bench.machine.nic.borrow_mut().link = false;
        // It goes on to fetch before anybody knows.
        bench.fetch(10);
        bench.cable(false);
        let sent = bench.sent();
        let retired = bench.retire();
        bench.reap();
        assert_eq!(sent, (0..sent.len() as u32).collect::<Vec<_>>());
        let first = sent.len() as u32 + FIFO as u32;
        assert_eq!(bench.done, (0..first).collect::<Vec<_>>(), "{family:?}: with those in the FIFO");
        assert_eq!(bench.back, (first..bench.put).collect::<Vec<_>>(), "{family:?}");
        assert!(bench.back.len() > 50, "{family:?}: {}", bench.back.len());
        assert_eq!(retired, RetiredFrames { returned: bench.back.len(), in_doubt: FIFO }, "{family:?}");
        assert_eq!(bench.driver.queue_counters().tx_in_doubt, FIFO as u64);

        assert_eq!(bench.retire(), RetiredFrames::default(), "once is enough");
        bench.pass(Duration::from_secs(1));
        assert_eq!((bench.driver.state(), bench.driver.counters().resets), (NicState::Running, 1));
        assert_eq!(bench.recovered(), Some(retired));
        assert_eq!(bench.retire(), RetiredFrames::default(), "{family:?}: it holds nothing");
        bench.cable(true);
        bench.fetch(usize::MAX);
        assert_eq!((bench.sent(), bench.driver.counters().resets), (sent.clone(), 1), "{family:?}");
        // It works as before.
        let next = bench.put;
        bench.offer(5, 60);
        bench.fetch(5);
        bench.reap();
        assert_eq!(bench.sent()[sent.len()..], [next, next + 1, next + 2, next + 3, next + 4]);
        assert!(bench.kept.is_empty());
    }
}

#[test]
fn what_has_left_a_nic_that_had_no_time_to_say_so_is_not_sent_twice() {
    for family in FAMILIES {
        let mut bench = SenderBench::new(family);
        bench.offer(20, 1514);
        bench.fetch(4);
        bench.machine.nic.borrow_mut().fifo.silent = true;
        bench.fetch(5);
        bench.cable(false);
        assert_eq!(bench.retire(), RetiredFrames { returned: 11, in_doubt: 0 }, "{family:?}");
        bench.reap();
        assert_eq!((bench.sent(), bench.done.clone()), ((0..9).collect(), (0..9).collect()), "{family:?}");
        assert_eq!(bench.back, (9..20).collect::<Vec<_>>(), "{family:?}");
        // What it writes now means nothing.
        {
            let mut nic = bench.machine.nic.borrow_mut();
            nic.write_back(&bench.machine.memory);
            nic.fifo.silent = false;
        }
        bench.reap();
        bench.pass(Duration::from_millis(300));
        bench.cable(true);
        bench.offer(8, 60);
        bench.reap();
        assert_eq!((bench.done.len(), bench.kept.len()), (9, 8), "{family:?}: nothing of it is sent yet");
    }
}

#[test]
fn frames_of_a_management_controller_count_for_none_of_the_others() {
    for hold in [false, true] {
        let mut bench = SenderBench::new(FAMILIES[2]);
        bench.driver.hold_back(hold);
        bench.offer(20, 100);
        bench.fetch(4);
        for (register, count) in [(GPTC, 4 + 7), (MGTPTC, 7)] {
            bench.machine.nic.borrow_mut().statistics.insert(register, count);
        }
        bench.cable(false);
        assert_eq!(bench.retire(), RetiredFrames { returned: 16, in_doubt: 0 });
    }
}

#[test]
fn a_nic_that_may_be_in_the_middle_of_a_frame_gives_them_back_after_a_pause() {
    for family in FAMILIES {
        let mut bench = SenderBench::new(family);
        bench.offer(30, 300);
        bench.fetch(5);
        assert_eq!(bench.retire(), RetiredFrames::default(), "{family:?}: its link is up");
        bench.pass(Duration::from_millis(9));
        bench.reap();
        assert!(bench.back.is_empty(), "{family:?}");
        bench.pass(Duration::from_millis(300));
        bench.reap();
        assert_eq!(bench.recovered(), Some(RetiredFrames { returned: 25, in_doubt: 0 }), "{family:?}");
        assert_eq!(bench.back, (5..30).collect::<Vec<_>>(), "{family:?}");

        // It hangs, and then its link is lost, too.
        bench.offer(30, 300);
        bench.pass(TRANSMIT_HANG);
        while bench.driver.state() == NicState::Running {
            bench.pass(Duration::from_millis(1));
        }
        assert_eq!(bench.driver.counters().transmit_hangs, 1);
        bench.machine.nic.borrow_mut().link = false;
        assert_eq!(bench.retire(), RetiredFrames { returned: 30, in_doubt: 0 }, "{family:?}");
        bench.reap();
        assert_eq!((bench.back.len(), bench.driver.counters().resets), (55, 2), "{family:?}");
    }
}

#[test]
fn the_frames_of_a_nic_that_is_gone_come_back_when_it_may_not_access_memory_any_more() {
    for family in FAMILIES {
        for (hold, gone_as) in [(false, u32::MAX), (true, u32::MAX), (false, 0), (true, 0)] {
            let mut bench = SenderBench::new(family);
            bench.driver.hold_back(hold);
            bench.offer(30, 300);
            bench.fetch(5);
            bench.machine.nic.borrow_mut().gone_as = gone_as;
            bench.machine.nic.borrow_mut().gone = true;
            let doubtful = if hold { 5 } else { 0 };
            let expected = RetiredFrames { returned: 25 + doubtful, in_doubt: doubtful };
            assert_eq!(bench.retire(), expected, "{family:?}: nothing is known of what has left it");
            assert!(!bench.machine.nic.borrow().dma);
            assert_eq!(bench.retire(), RetiredFrames::default(), "{family:?}: it has failed");
            bench.reap();
            assert_eq!(bench.back.len(), 25 + doubtful, "{family:?}");
            bench.machine.nic.borrow_mut().gone = false;
            bench.pass(Duration::from_secs(1));
            assert_eq!(bench.driver.state(), NicState::Running);
        }
    }
}

#[test]
fn a_link_that_is_lost_and_reset_by_a_check_first_gives_its_frames_back_all_the_same() {
    for family in FAMILIES {
        let mut bench = SenderBench::new(family);
        bench.offer(30, 300);
        bench.fetch(5);
        bench.cable(false);
        bench.driver.check(bench.machine.now());
        assert_eq!(bench.driver.state(), NicState::Resetting);
        assert_eq!(bench.retire(), RetiredFrames { returned: 25, in_doubt: 0 }, "{family:?}");
        bench.pass(Duration::from_secs(1));
        assert_eq!(bench.driver.counters().resets, 1);
        assert_eq!(bench.recovered(), Some(RetiredFrames { returned: 25, in_doubt: 0 }), "{family:?}");
    }
}
