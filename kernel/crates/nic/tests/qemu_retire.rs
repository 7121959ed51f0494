//! Frames that have not left QEMU's NICs: they come back at once when the NIC is retired, and are held back until it has counted
//! them. `emulator::command` chooses the QEMU; without one the output says that nothing was run.

#[allow(dead_code, unused_imports, reason = "each test file uses its own part")]
mod emulator;

use base::{Outbox, Port, Put, RetiredFrames};
use emulator::EmulatedMachine;
use nic::{NicRegisters, NicState};
use testkit::QueuePort;
use testkit::frame::{mac, numbered};

const MODELS: [&str; 4] = ["e1000", "e1000-82545em", "e1000e", "igb"];
const TCTL: u32 = 0x0400;

fn frames(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|number| numbered(mac(1), mac(2), number, 300)).collect()
}

#[test]
fn what_a_retired_nic_has_not_sent_comes_back_at_once_and_leaves_it_never() {
    for model in MODELS {
        let Some((machine, mut driver)) = EmulatedMachine::start(model, "retire") else { return };
        let mut lender = QueuePort::new();
        let mut outbox = Outbox::new(0);
        let control = machine.clone().read(TCTL);
        for (numbers, on) in [(0..3, true), (3..8, false)] {
            machine.clone().write(TCTL, if on { control } else { control & !2 });
            for frame in frames(numbers.clone()) {
                lender.arrive(&frame);
                lender.fetch(&mut outbox, 1, machine.now());
                let slot = outbox.fetched().expect("there is room");
                outbox.share(slot, 1);
                let put = driver.put(outbox.frame(slot), outbox.lend(slot), machine.now());
                assert!(matches!(put, Put::Kept));
            }
            driver.flush(machine.now());
            for frame in frames(if on { numbers } else { 0..0 }) {
                assert_eq!(machine.capture(), frame, "{model}");
            }
        }
        machine.set_link(false);
        let retired = driver.retire(machine.now());
        assert_eq!(retired, RetiredFrames { returned: 5, in_doubt: 0 }, "{model}");
        let (mut done, mut back) = (0, 0);
        driver.reap(&mut |ticket| (done, _) = (done + 1, outbox.give_back(ticket)), machine.now());
        driver.take_back(&mut |ticket| (back, _) = (back + 1, outbox.give_back(ticket)));
        assert_eq!((done, back), (3, 5), "{model}");

        machine.wait("the reset", || {
            driver.check(machine.now());
            driver.state() == NicState::Running
        });
        machine.set_link(true);
        machine.wait("the link", || {
            driver.interrupt();
            driver.check(machine.now());
            driver.link().up
        });
        let next = &frames(8..9)[0];
        testkit::put_all(&mut driver, std::iter::once(&next[..]), machine.now());
        assert_eq!(machine.capture(), *next, "{model}");
        assert_eq!(driver.counters().resets, 1, "{model}");
    }
}

#[test]
fn frames_that_are_held_back_are_released_when_the_nic_has_counted_them() {
    for model in MODELS {
        let Some((machine, mut driver)) = EmulatedMachine::start(model, "hold-back") else { return };
        driver.hold_back(true);
        for round in 1..=3 {
            testkit::put_all(&mut driver, frames(0..20).iter().map(Vec::as_slice), machine.now());
            let start = machine.now();
            machine.wait("release", || {
                driver.check(machine.now());
                driver.reap(&mut drop, machine.now());
                driver.queue_counters().tx_done == 20 * round
            });
            let statistics = driver.statistics();
            assert_eq!(statistics.good_packets_transmitted, 20 * round, "{model}: by its count");
            assert_eq!(statistics.management_packets_transmitted, 0, "{model}");
            assert!(machine.now() - start < base::Duration::from_millis(500), "{model}");
        }
    }
}
