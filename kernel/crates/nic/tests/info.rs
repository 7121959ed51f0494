//! What is known of a NIC without its driver, and when one that has failed is tried again.

mod support;

use base::time::Duration;
use base::{ByteRates, Duplex, Instant, LinkSpeed, LinkStatus, NicCondition, NicInfo, Port, QueueDepth};
use nic::{CHECK_INTERVAL, FIRST_RETRY, Nic, RETRY_INTERVAL, TRANSMIT_HANG};
use support::fake_nic::FakeNic;
use support::{ID_82540EM, TestMachine, send};
use testkit::frame::{mac, numbered};

const LINK: LinkStatus = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
const READY: NicInfo = NicInfo { condition: NicCondition::Ready, link: LINK, ..NicInfo::STARTING };

fn frames(count: u32, length: usize) -> Vec<Vec<u8>> {
    (0..count).map(|number| numbered(mac(1), mac(2), number, length)).collect()
}

fn begun(nic: FakeNic) -> (TestMachine<FakeNic>, Nic<TestMachine<FakeNic>>) {
    let machine = TestMachine::new(nic);
    let driver = machine.begin(ID_82540EM).expect("a known NIC");
    (machine, driver)
}

#[test]
fn what_is_known_of_a_nic_follows_it_through_its_life() {
    let (machine, mut driver) = begun(FakeNic::default());
    assert_eq!(driver.info(), NicInfo::STARTING);
    machine.settle(&mut driver);
    assert_eq!(driver.info(), READY);

    machine.nic.borrow_mut().transmit_stuck = true;
    let waits_since = Some(machine.now());
    send(&mut driver, &frames(3, 40), machine.now());
    let queued = QueueDepth { frames: 3, bytes: 3 * 60 };
    assert_eq!(driver.info(), NicInfo { queued, waits_since, ..READY }, "short frames are padded");
    machine.pass(&mut driver, TRANSMIT_HANG - CHECK_INTERVAL);
    while driver.info().condition == NicCondition::Ready {
        machine.pass(&mut driver, Duration::from_millis(1));
    }
    let condition = NicCondition::Resetting;
    let resetting = NicInfo { condition, errors: 1, queued, waits_since, ..NicInfo::STARTING };
    assert_eq!(driver.info(), resetting);
    machine.settle(&mut driver);
    assert_eq!(driver.info(), NicInfo { errors: 1, ..READY });

    machine.nic.borrow_mut().gone = true;
    machine.pass(&mut driver, CHECK_INTERVAL);
    assert_eq!(driver.info(), NicInfo { condition: NicCondition::Failed, errors: 1, ..NicInfo::STARTING });
    machine.nic.borrow_mut().gone = false;
    machine.pass(&mut driver, FIRST_RETRY + CHECK_INTERVAL);
    assert_eq!(driver.info(), NicInfo { errors: 1, ..READY });
}

#[test]
fn the_rates_are_those_of_the_last_check() {
    let (machine, mut driver) = begun(FakeNic::default());
    machine.settle(&mut driver);
    machine.pass(&mut driver, CHECK_INTERVAL);
    send(&mut driver, &frames(50, 1000), machine.now());
    for frame in frames(20, 500) {
        assert!(machine.nic.borrow_mut().receive(&machine.memory, &frame, 0));
    }
    support::poll(&mut driver, machine.now());
    machine.pass(&mut driver, CHECK_INTERVAL);
    let NicInfo { rates, sent_bytes, received_frames, received_bytes, .. } = driver.info();
    assert_eq!(rates, ByteRates { sent: 500_000, received: 100_000 });
    assert_eq!((sent_bytes, received_frames, received_bytes), (50_000, 20, 10_000));
    machine.pass(&mut driver, CHECK_INTERVAL);
    assert_eq!(driver.info().rates, ByteRates::default());
}

#[test]
fn a_nic_that_fails_at_start_is_tried_again_after_ever_longer_times_up_to_a_bound() {
    let (machine, mut driver) = begun(FakeNic { gone: true, ..FakeNic::default() });
    let (mut attempts, mut last) = (Vec::new(), Instant::ZERO);
    for _ in 0..300 {
        let before = driver.counters().resets;
        machine.pass(&mut driver, CHECK_INTERVAL);
        assert_eq!((driver.info().condition, driver.capabilities().link_up), (NicCondition::Failed, false));
        if driver.counters().resets > before {
            attempts.push((machine.now() - last).as_millis());
            last = machine.now();
        }
    }
    assert_eq!(attempts[..4], [500, 1000, 2000, 4000]);
    assert!(attempts[4..].iter().all(|time| *time == RETRY_INTERVAL.as_millis()), "{attempts:?}");
    machine.nic.borrow_mut().gone = false;
    machine.pass(&mut driver, RETRY_INTERVAL + CHECK_INTERVAL);
    assert_eq!(driver.info(), READY);
    machine.nic.borrow_mut().gone = true;
    machine.pass(&mut driver, CHECK_INTERVAL);
    machine.nic.borrow_mut().gone = false;
    machine.pass(&mut driver, FIRST_RETRY + CHECK_INTERVAL);
    assert_eq!(driver.info(), READY, "the first attempt is early again");
}
