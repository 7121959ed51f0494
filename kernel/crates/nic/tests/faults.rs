//! NICs that fail: at start, in operation, for ever and for a while.

mod support;

use base::time::Duration;
use base::{MacAddress, Port};
use nic::{
    CHECK_INTERVAL, FIRST_RETRY, NicError, NicEvent, NicState, PciId, RESET_TIMEOUT, RETRY_INTERVAL,
    TRANSMIT_HANG,
};
use support::fake_nic::{EEPROM_MAC, FakeNic, IMS, ITR, LSC, RDT, RXT0, TXDW};
use support::{TestMachine, poll, send};
use testkit::frame::{mac, number_of, numbered};

type Driver = nic::Nic<TestMachine<FakeNic>>;

fn frames(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|number| numbered(mac(1), mac(2), number, 100)).collect()
}

fn started(nic: FakeNic) -> (TestMachine<FakeNic>, Driver) {
    let machine = TestMachine::new(nic);
    let mut driver = machine.start().expect("the NIC starts");
    assert!(driver.events().any(|event| matches!(event, NicEvent::LinkUp(_))));
    (machine, driver)
}

#[test]
fn an_unknown_nic_is_refused() {
    let machine = TestMachine::new(FakeNic::default());
    let id = PciId { vendor: 0x8086, device: 0x1234 };
    assert_eq!(machine.start_as(id).err(), Some(NicError::UnsupportedDevice(id)));
}

#[test]
fn a_reset_that_never_ends_is_an_error_after_its_limit() {
    let machine = TestMachine::new(FakeNic { reset_never_ends: true, ..FakeNic::default() });
    let Err(NicError::ResetTimeout { control, waited }) = machine.start() else { panic!("no timeout") };
    assert_eq!((control & 1 << 26, waited), (1 << 26, RESET_TIMEOUT));
    assert!(machine.now().as_nanos() < 2 * RESET_TIMEOUT.as_nanos() as u64);
}

#[test]
fn a_nic_that_is_not_there_is_an_error() {
    for gone_as in [u32::MAX, 0] {
        let machine = TestMachine::new(FakeNic { gone: true, gone_as, ..FakeNic::default() });
        assert_eq!(machine.start().err(), Some(NicError::NoAnswer));
    }
}

#[test]
fn the_address_comes_from_the_eeprom() {
    let (_, driver) = started(FakeNic::default());
    assert_eq!(driver.mac(), MacAddress(EEPROM_MAC));
}

#[test]
fn a_silent_eeprom_gives_way_to_the_receive_address() {
    let mut nic = FakeNic { eeprom_silent: true, ..FakeNic::default() };
    nic.set_receive_address(mac(7).0);
    let mut driver = TestMachine::new(nic).start().unwrap();
    assert_eq!(driver.mac(), mac(7));
    let timeouts = driver.events().filter(|event| matches!(event, NicEvent::EepromSilent(_)));
    assert_eq!(timeouts.count(), 1);
}

#[test]
fn a_nic_without_an_address_is_refused() {
    for eeprom in [[0; 6], [0xff; 6]] {
        let machine = TestMachine::new(FakeNic { eeprom, ..FakeNic::default() });
        assert_eq!(machine.start().err(), Some(NicError::NoMacAddress));
    }
}

#[test]
fn a_silent_phy_is_reported_and_the_nic_used_all_the_same() {
    let machine = TestMachine::new(FakeNic { phy_silent: true, ..FakeNic::default() });
    let mut driver = machine.start().unwrap();
    assert!(driver.events().any(|event| matches!(event, NicEvent::PhySilent(_))));
    assert_eq!(send(&mut driver, &frames(0..3), machine.now()), 3);
    assert_eq!(machine.nic.borrow().sent.len(), 3);
}

#[test]
fn a_sleeping_phy_is_woken_and_one_with_a_link_left_alone() {
    const AWAKE: u16 = 1 << 12 | 1 << 9;
    for (before, after) in [(1 << 11, AWAKE), (1 << 12 | 1 << 10, AWAKE), (0x0140, 0x0140 | AWAKE)] {
        let (machine, _driver) = started(FakeNic { phy_control: before, ..FakeNic::default() });
        assert_eq!(machine.nic.borrow().phy_control, after, "{before:#x}");
    }
    let negotiating = FakeNic::default().phy_control;
    for (link, phy_status, after) in
        [(true, 0, negotiating), (false, 1 << 5, negotiating), (false, 0, negotiating | AWAKE)]
    {
        let machine = TestMachine::new(FakeNic { link, phy_status, ..FakeNic::default() });
        let _driver = machine.start().expect("the NIC starts");
        assert_eq!(machine.nic.borrow().phy_control, after, "{link} {phy_status:#x}");
    }
}

#[test]
fn a_transmit_hang_resets_the_nic_and_counts_what_is_lost() {
    let (machine, mut driver) = started(FakeNic { transmit_credit: 2, ..FakeNic::default() });
    assert_eq!(send(&mut driver, &frames(0..5), machine.now()), 5);
    machine.pass(&mut driver, TRANSMIT_HANG - CHECK_INTERVAL);
    assert_eq!(driver.counters().transmit_hangs, 0);
    machine.nic.borrow_mut().transmit_credit = usize::MAX;
    machine.pass(&mut driver, 2 * CHECK_INTERVAL);
    machine.settle(&mut driver);

    assert_eq!((driver.counters().transmit_hangs, driver.counters().resets), (1, 1));
    let counters = *driver.queue_counters();
    assert_eq!((counters.tx_queued, counters.tx_done, counters.tx_returned), (5, 2, 3));
    let events: Vec<_> = driver.events().collect();
    let [NicEvent::TransmitHang { pending: 3, waited }, NicEvent::Recovered { returned: 3, in_doubt: 0 }] =
        events[..]
    else {
        panic!("{events:?}")
    };
    assert!(waited >= TRANSMIT_HANG);
    assert_eq!(send(&mut driver, &frames(5..8), machine.now()), 3);
    assert_eq!(
        machine.nic.borrow().sent.iter().map(|f| number_of(f).unwrap()).collect::<Vec<_>>(),
        [0, 1, 5, 6, 7]
    );
}

#[test]
fn a_busy_transmitter_is_no_hang() {
    let (machine, mut driver) = started(FakeNic { transmit_credit: 0, ..FakeNic::default() });
    send(&mut driver, &frames(0..40), machine.now());
    for _ in 0..40 {
        machine.nic.borrow_mut().transmit_credit = 1;
        machine.nic.borrow_mut().transmit(&machine.memory);
        machine.pass(&mut driver, TRANSMIT_HANG / 2);
    }
    assert_eq!((driver.counters().transmit_hangs, driver.queue_counters().tx_done), (0, 40));
}

#[test]
fn the_first_frame_after_a_long_silence_is_no_hang() {
    let (machine, mut driver) = started(FakeNic::default());
    send(&mut driver, &frames(0..1), machine.now());
    machine.pass(&mut driver, 3 * TRANSMIT_HANG);
    machine.nic.borrow_mut().transmit_stuck = true;
    send(&mut driver, &frames(1..2), machine.now());
    machine.pass(&mut driver, TRANSMIT_HANG - CHECK_INTERVAL);
    assert_eq!(driver.counters().transmit_hangs, 0);
    machine.pass(&mut driver, CHECK_INTERVAL);
    assert_eq!(driver.counters().transmit_hangs, 1);
}

#[test]
fn a_reset_in_the_middle_of_a_frame_does_not_cost_the_next_one() {
    let (machine, mut driver) = started(FakeNic { transmit_stuck: true, ..FakeNic::default() });
    send(&mut driver, &frames(0..1), machine.now());
    // The first eight descriptors of a frame that has no end yet.
    let ring = machine.nic.borrow().receive_ring();
    for index in 0..8 {
        machine.memory.write_u64(ring + 16 * index + 8, 0x01_0000_0000 | 2048);
    }
    assert!(poll(&mut driver, machine.now()).is_empty());
    machine.pass(&mut driver, TRANSMIT_HANG + CHECK_INTERVAL);
    assert!(machine.nic.borrow_mut().receive(&machine.memory, &frames(3..4)[0], 0));
    assert_eq!(poll(&mut driver, machine.now()), frames(3..4));
}

#[test]
fn frames_that_wait_without_a_link_are_no_hang_but_do_not_go_out_late() {
    let (machine, mut driver) = started(FakeNic::default());
    machine.nic.borrow_mut().link = false;
    send(&mut driver, &frames(0..3), machine.now());
    machine.pass(&mut driver, TRANSMIT_HANG + CHECK_INTERVAL);
    assert_eq!((driver.counters().transmit_hangs, driver.queue_counters().tx_returned), (0, 3));
    machine.nic.borrow_mut().link = true;
    machine.pass(&mut driver, CHECK_INTERVAL);
    send(&mut driver, &frames(3..4), machine.now());
    assert_eq!(machine.nic.borrow().sent.len(), 1);
}

#[test]
fn a_link_change_is_noticed_by_interrupt_and_by_poll() {
    let (machine, mut driver) = started(FakeNic::default());
    machine.nic.borrow_mut().link = false;
    machine.nic.borrow_mut().raise(LSC);
    assert!(driver.capabilities().link_up);
    let causes = driver.interrupt();
    assert!(causes.link && !causes.receive && !causes.transmit);
    assert!(!driver.capabilities().link_up);

    machine.nic.borrow_mut().link = true;
    machine.pass(&mut driver, CHECK_INTERVAL);
    assert!(driver.capabilities().link_up);
    let events: Vec<_> = driver.events().collect();
    assert!(matches!(events[..], [NicEvent::LinkDown, NicEvent::LinkUp(_)]), "{events:?}");
}

#[test]
fn a_nic_that_dies_fails_once_in_the_log_and_comes_back_when_it_can() {
    let (machine, mut driver) = started(FakeNic { transmit_stuck: true, ..FakeNic::default() });
    send(&mut driver, &frames(0..4), machine.now());
    machine.nic.borrow_mut().reset_never_ends = true;
    machine.pass(&mut driver, TRANSMIT_HANG + 3 * RETRY_INTERVAL);
    assert!(matches!(driver.state(), NicState::Failed(NicError::ResetTimeout { .. })));
    assert!(!driver.capabilities().link_up);
    assert_eq!(send(&mut driver, &frames(0..1), machine.now()), 0);
    assert_eq!(poll(&mut driver, machine.now()), [[0u8; 0]; 0]);
    assert_eq!(driver.events().filter(|event| matches!(event, NicEvent::Failed(_))).count(), 1);

    machine.nic.borrow_mut().reset_never_ends = false;
    machine.nic.borrow_mut().transmit_stuck = false;
    machine.pass(&mut driver, RETRY_INTERVAL + CHECK_INTERVAL);
    assert_eq!(driver.state(), NicState::Running);
    assert_eq!(send(&mut driver, &frames(4..6), machine.now()), 2);
    assert_eq!(machine.nic.borrow().sent.len(), 2);
}

#[test]
fn a_nic_that_is_pulled_out_is_noticed_by_the_check() {
    for gone_as in [u32::MAX, 0] {
        let (machine, mut driver) = started(FakeNic { gone_as, ..FakeNic::default() });
        machine.nic.borrow_mut().gone = true;
        assert!(driver.interrupt().is_empty());
        machine.pass(&mut driver, CHECK_INTERVAL);
        assert_eq!(driver.state(), NicState::Failed(NicError::NoAnswer));
    }
}

#[test]
fn zeros_in_the_middle_of_a_reset_do_not_end_it() {
    let (machine, mut driver) = started(FakeNic { transmit_stuck: true, ..FakeNic::default() });
    send(&mut driver, &frames(0..3), machine.now());
    machine.pass(&mut driver, TRANSMIT_HANG + Duration::from_millis(5));
    assert_eq!(driver.state(), NicState::Resetting);
    machine.nic.borrow_mut().gone_as = 0;
    machine.nic.borrow_mut().gone = true;
    machine.pass(&mut driver, 2 * RESET_TIMEOUT);
    assert_eq!(driver.state(), NicState::Failed(NicError::NoAnswer));
    assert!(!driver.events().any(|event| matches!(event, NicEvent::Recovered { .. })));
}

#[test]
fn frames_received_before_a_reset_are_delivered_while_it_goes_on() {
    let (machine, mut driver) = started(FakeNic { transmit_stuck: true, ..FakeNic::default() });
    for frame in frames(0..7) {
        assert!(machine.nic.borrow_mut().receive(&machine.memory, &frame, 0));
    }
    send(&mut driver, &frames(0..1), machine.now());
    machine.pass(&mut driver, TRANSMIT_HANG);
    assert_eq!(driver.state(), NicState::Resetting);
    assert!(!driver.capabilities().link_up && !driver.link().up);
    let tail = machine.nic.borrow().written(RDT);
    assert_eq!(poll(&mut driver, machine.now()), frames(0..7));
    assert_eq!(machine.nic.borrow().written(RDT), tail, "the NIC is left in peace");
    machine.settle(&mut driver);
    assert_eq!((driver.queue_counters().rx_lost, driver.queue_counters().rx_frames), (0, 7));
    assert!(driver.capabilities().link_up);
    assert!(machine.nic.borrow_mut().receive(&machine.memory, &frames(7..8)[0], 0));
    assert_eq!(poll(&mut driver, machine.now()), frames(7..8));
}

#[test]
fn frames_of_a_nic_that_is_pulled_out_are_delivered() {
    let (machine, mut driver) = started(FakeNic::default());
    assert!(machine.nic.borrow_mut().receive(&machine.memory, &frames(0..1)[0], 0));
    machine.nic.borrow_mut().gone = true;
    machine.pass(&mut driver, CHECK_INTERVAL);
    assert_eq!(driver.state(), NicState::Failed(NicError::NoAnswer));
    assert_eq!(poll(&mut driver, machine.now()), frames(0..1));
}

#[test]
fn frames_received_before_a_reset_are_counted_as_lost_if_nobody_takes_them() {
    let (machine, mut driver) = started(FakeNic { transmit_stuck: true, ..FakeNic::default() });
    for frame in frames(0..7) {
        assert!(machine.nic.borrow_mut().receive(&machine.memory, &frame, 0));
    }
    send(&mut driver, &frames(0..1), machine.now());
    machine.pass(&mut driver, TRANSMIT_HANG + CHECK_INTERVAL);
    machine.settle(&mut driver);
    assert_eq!(driver.queue_counters().rx_lost, 7);
    assert!(machine.nic.borrow_mut().receive(&machine.memory, &frames(7..8)[0], 0));
    assert_eq!(poll(&mut driver, machine.now()), frames(7..8));
}

#[test]
fn interrupt_settings_survive_a_reset() {
    let (machine, mut driver) = started(FakeNic::default());
    assert_eq!(machine.nic.borrow().get(IMS), 0);
    driver.set_interrupt_interval(Duration::from_micros(256));
    driver.unmask();
    let mask = machine.nic.borrow().get(IMS);
    assert_eq!(mask & (LSC | RXT0 | TXDW), LSC | RXT0);

    machine.nic.borrow_mut().transmit_stuck = true;
    send(&mut driver, &frames(0..1), machine.now());
    machine.pass(&mut driver, TRANSMIT_HANG + CHECK_INTERVAL);
    assert_eq!(driver.counters().resets, 1);
    assert_eq!((machine.nic.borrow().get(IMS), machine.nic.borrow().get(ITR)), (mask, 1000));
    driver.mask();
    assert_eq!(machine.nic.borrow().get(IMS), 0);
}

#[test]
fn a_masked_nic_keeps_its_causes_for_who_polls_it_and_holds_no_line() {
    let (machine, mut driver) = started(FakeNic::default());
    driver.unmask();
    driver.mask();
    machine.nic.borrow_mut().raise(LSC | RXT0 | TXDW);
    // Not even a full ring unmasks one.
    machine.nic.borrow_mut().transmit_credit = 0;
    send(&mut driver, &frames(0..300), machine.now());
    assert_eq!(machine.nic.borrow().get(IMS), 0);
    let causes = driver.interrupt();
    assert!(causes.link && causes.receive && causes.transmit);
    assert_eq!(machine.nic.borrow().get(IMS), 0);
}

#[test]
fn frames_that_the_nic_had_no_memory_for_are_drops_and_those_that_waited_in_it_are_not() {
    let (machine, mut driver) = started(FakeNic::default());
    machine.nic.borrow_mut().statistics.insert(0x4010, 7);
    machine.nic.borrow_mut().statistics.insert(0x40a0, 5);
    machine.pass(&mut driver, Duration::from_secs(1));
    let statistics = driver.statistics();
    assert_eq!((statistics.missed_packets, statistics.receive_no_buffers), (7, 5));
    assert_eq!((statistics.dropped(), statistics.errors()), (7, 0));
}

#[test]
fn the_nics_counts_are_added_up_over_reads() {
    let (machine, mut driver) = started(FakeNic::default());
    for _ in 0..3 {
        let mut nic = machine.nic.borrow_mut();
        nic.statistics.insert(0x4000, 2);
        nic.statistics.insert(0x4088, u32::MAX);
        nic.statistics.insert(0x408c, 1);
        drop(nic);
        machine.pass(&mut driver, Duration::from_secs(1));
    }
    assert_eq!(driver.statistics().crc_errors, 6);
    assert_eq!(driver.statistics().good_octets_received, 3 * 0x1_ffff_ffff);
}

#[test]
fn an_interrupt_without_a_cause_is_left_to_other_nics_on_the_line() {
    let (machine, mut driver) = started(FakeNic::default());
    assert!(driver.interrupt().is_empty());
    machine.nic.borrow_mut().raise(RXT0);
    assert!(driver.interrupt().receive);
    assert!(driver.interrupt().is_empty());
    assert_eq!(driver.counters().interrupts, 1);
}

#[test]
fn what_a_nic_counted_before_it_hung_is_kept() {
    let (machine, mut driver) = started(FakeNic::default());
    machine.pass(&mut driver, Duration::from_millis(500));
    machine.nic.borrow_mut().transmit_stuck = true;
    send(&mut driver, &frames(0..1), machine.now());
    machine.pass(&mut driver, Duration::from_millis(800));
    // The counts of the last second have been read; those of the next one are not read before the reset clears them.
    machine.nic.borrow_mut().statistics.insert(0x4010, 7);
    machine.nic.borrow_mut().reset_never_ends = true;
    machine.pass(&mut driver, Duration::from_millis(400));
    assert_eq!((driver.counters().resets, driver.statistics().missed_packets), (1, 7));
    assert!(matches!(driver.state(), NicState::Failed(_)));
    // While it does not work, its counts are nobody's.
    machine.nic.borrow_mut().statistics.insert(0x4010, 9);
    machine.pass(&mut driver, FIRST_RETRY + CHECK_INTERVAL);
    assert_eq!((driver.counters().resets, driver.statistics().missed_packets), (2, 7));
}
