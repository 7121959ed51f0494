//! What is specific to the families on PCI Express, against the fake NIC; what all families have in common is in
//! `rings.rs` and `faults.rs`.

mod support;

use base::time::Duration;
use base::{MacAddress, Port};
use nic::{CHECK_INTERVAL, InterruptMode, MAX_FRAME, Nic, NicError, NicEvent, NicState, TRANSMIT_HANG};
use support::fake_nic::{EEPROM_MAC, EIMS, FakeFamily, FakeNic, IMS, LSC, RXT0, TXDW};
use support::{ID_82574L, ID_82576, TestMachine, poll, send};
use testkit::frame::{mac, number_of, numbered};

const CTRL_EXT: u32 = 0x0018;
const IVAR_82574: u32 = 0x00e4;
const EITR_82574: u32 = 0x00e8;
const GPIE: u32 = 0x1514;
const EIAC: u32 = 0x152c;
const EITR_82576: u32 = 0x1680;
const IVAR_82576: u32 = 0x1700;
const IVAR_MISC: u32 = 0x1740;
const RLPML: u32 = 0x5004;
const SW_FW_SYNC: u32 = 0x5b5c;
const SRRCTL: u32 = 0xc00c;

/// 82574: receive queue 0, transmit queue 0, other causes, receiver overrun.
const RXQ0: u32 = 1 << 20;
const TXQ0: u32 = 1 << 22;
const OTHER: u32 = 1 << 24;
const RXO: u32 = 1 << 6;

const KINDS: [FakeFamily; 2] = [FakeFamily::E1000e, FakeFamily::Igb];

fn frame(number: u32, length: usize) -> Vec<u8> {
    numbered(mac(1), mac(2), number, length)
}

fn start(nic: FakeNic) -> (TestMachine<FakeNic>, Result<Nic<TestMachine<FakeNic>>, NicError>) {
    let id = if nic.kind == FakeFamily::Igb { ID_82576 } else { ID_82574L };
    let machine = TestMachine::new(nic);
    let driver = machine.start_as(id);
    (machine, driver)
}

/// A NIC that has loaded its address, as after power-up.
fn nic_of(kind: FakeFamily) -> FakeNic {
    let mut nic = FakeNic { kind, ..FakeNic::default() };
    nic.set_receive_address(mac(7).0);
    nic
}

fn started(nic: FakeNic) -> (TestMachine<FakeNic>, Nic<TestMachine<FakeNic>>) {
    let (machine, driver) = start(nic);
    let mut driver = driver.expect("the NIC starts");
    let events: Vec<_> = driver.events().collect();
    assert!(matches!(events[..], [NicEvent::LinkUp(_)]), "{events:?}");
    (machine, driver)
}

#[test]
fn frames_of_every_length_pass_both_ways_in_the_familys_descriptors() {
    for kind in KINDS {
        let (machine, mut driver) = started(nic_of(kind));
        for (number, length) in (0..).zip([60, 1514, 2047, 2048, 2049, 4096, 9000, MAX_FRAME]) {
            let frame = frame(number, length);
            assert_eq!(send(&mut driver, std::slice::from_ref(&frame), machine.now()), 1);
            assert_eq!(machine.nic.borrow_mut().sent.pop_front().as_ref(), Some(&frame), "{kind:?} {length}");
            assert!(machine.nic.borrow_mut().receive(&machine.memory, &frame, 0));
            assert_eq!(poll(&mut driver, machine.now()), [frame], "{kind:?} {length}");
        }
        for number in 0..1000 {
            assert!(machine.nic.borrow_mut().receive(&machine.memory, &frame(number, 100), 0));
            assert_eq!(poll(&mut driver, machine.now()).first().and_then(|f| number_of(f)), Some(number));
        }
        assert_eq!(driver.queue_counters().dropped(), 0);
    }
}

#[test]
fn a_damaged_frame_is_dropped_and_a_wrong_checksum_is_the_guests_business() {
    for kind in KINDS {
        let (machine, mut driver) = started(nic_of(kind));
        for errors in [0x80, 0x40, 0x20] {
            assert!(machine.nic.borrow_mut().receive(
                &machine.memory,
                &frame(u32::from(errors), 100),
                errors
            ));
        }
        let numbers: Vec<_> = poll(&mut driver, machine.now()).iter().filter_map(|f| number_of(f)).collect();
        assert_eq!((numbers, driver.queue_counters().rx_errors), (vec![0x40, 0x20], 1), "{kind:?}");
    }
}

#[test]
fn a_full_ring_takes_a_prefix_and_the_rest_later() {
    for kind in KINDS {
        let (machine, mut driver) = started(nic_of(kind));
        machine.nic.borrow_mut().transmit_credit = 100;
        let frames: Vec<_> = (0..400).map(|number| frame(number, 100)).collect();
        let first = send(&mut driver, &frames, machine.now());
        machine.nic.borrow_mut().transmit_credit = usize::MAX;
        machine.nic.borrow_mut().transmit(&machine.memory);
        let second = send(&mut driver, &frames[first..], machine.now());
        assert_eq!((first, first + second), (255, 400), "{kind:?}");
        let numbers: Vec<_> = machine.nic.borrow().sent.iter().filter_map(|f| number_of(f)).collect();
        assert_eq!(numbers, (0..400).collect::<Vec<_>>());
    }
}

#[test]
fn the_address_that_the_nic_loaded_comes_before_the_eeprom_of_its_port() {
    for kind in KINDS {
        let (_, driver) = started(nic_of(kind));
        assert_eq!(driver.mac(), mac(7));
        for (port, eeprom_base) in [(0, 0x00), (1, 0x80), (2, 0xc0), (3, 0x100)] {
            let mut nic = FakeNic { kind, port, eeprom_base, ..FakeNic::default() };
            // Valid, so that the NIC counts as loaded, but no station address.
            nic.set_receive_address([0; 6]);
            let (_, driver) = started(nic);
            assert_eq!(driver.mac(), MacAddress(EEPROM_MAC), "{kind:?} port {port}");
        }
    }
}

#[test]
fn a_nic_that_has_not_loaded_its_address_in_time_is_reported_and_used() {
    let (_, driver) = start(FakeNic { kind: FakeFamily::Igb, ..FakeNic::default() });
    let mut driver = driver.expect("its EEPROM has an address");
    let first = driver.events().next();
    assert!(matches!(first, Some(NicEvent::EepromSilent(NicError::AutoReadTimeout { .. }))), "{first:?}");
    assert_eq!((driver.mac(), driver.state()), (MacAddress(EEPROM_MAC), NicState::Running));
}

#[test]
fn firmware_that_keeps_the_phy_is_reported_and_the_nic_used_all_the_same() {
    for kind in KINDS {
        let (machine, driver) = start(FakeNic { phy_taken: true, phy_control: 1 << 11, ..nic_of(kind) });
        let mut driver = driver.expect("the NIC starts");
        let silent = |event| matches!(event, NicEvent::PhySilent(NicError::PhyBusy { .. }));
        assert!(driver.events().any(silent), "{kind:?}");
        assert_eq!(machine.nic.borrow().phy_control, 1 << 11, "left alone");
        assert_eq!(send(&mut driver, &[frame(1, 60)], machine.now()), 1);
        assert_eq!(machine.nic.borrow().sent.len(), 1);
    }
}

#[test]
fn the_phy_is_given_back() {
    let (machine, _driver) = started(FakeNic { port: 1, ..nic_of(FakeFamily::Igb) });
    assert_eq!((machine.nic.borrow().get(SW_FW_SYNC), machine.nic.borrow().written(SW_FW_SYNC)), (0, 2));
}

#[test]
fn a_queue_that_stays_disabled_is_an_error() {
    let (machine, driver) = start(FakeNic { queues_dead: true, ..nic_of(FakeFamily::Igb) });
    assert!(matches!(driver.err(), Some(NicError::QueueTimeout { control: 0, .. })));
    assert!(machine.now().as_nanos() < Duration::from_secs(1).as_nanos() as u64);
}

#[test]
fn a_bus_that_does_not_come_to_rest_is_reset_all_the_same() {
    for kind in KINDS {
        let (machine, driver) = start(FakeNic { master_never_ends: true, ..nic_of(kind) });
        assert!(driver.is_ok());
        assert_ne!(machine.nic.borrow().get(CTRL_EXT) & 1 << 28, 0, "the firmware is told");
    }
}

#[test]
fn the_82576_is_told_how_long_buffers_and_frames_are() {
    let (machine, _driver) = started(nic_of(FakeFamily::Igb));
    let nic = machine.nic.borrow();
    assert_eq!((nic.get(SRRCTL), nic.get(RLPML)), (2 | 1 << 25, MAX_FRAME as u32 + 4));
}

#[test]
fn the_82574_sends_all_causes_by_its_first_entry() {
    let (machine, mut driver) = started(nic_of(FakeFamily::E1000e));
    driver.set_interrupt_mode(InterruptMode::Msix);
    driver.set_interrupt_interval(Duration::from_micros(256));
    driver.unmask();
    let get = |offset| machine.nic.borrow().get(offset);
    assert_eq!((get(IVAR_82574), get(EITR_82574)), (1 << 31 | 0x8_0808, 1000));
    assert_eq!(get(CTRL_EXT) & 1 << 31, 1 << 31);
    assert_eq!(get(IMS), RXQ0 | OTHER | LSC | RXO);
    // A full ring makes completions worth an interrupt, until there is room.
    machine.nic.borrow_mut().transmit_credit = 0;
    let frames: Vec<_> = (0..300).map(|number| frame(number, 60)).collect();
    assert_eq!(send(&mut driver, &frames, machine.now()), 255);
    assert_eq!(get(IMS) & TXQ0, TXQ0);
    machine.nic.borrow_mut().raise(RXQ0 | TXQ0);
    let causes = driver.interrupt();
    assert!(causes.receive && causes.transmit && !causes.link);
    machine.nic.borrow_mut().raise(OTHER | LSC);
    assert!(driver.interrupt().link);
    assert!(driver.interrupt().is_empty());
    machine.nic.borrow_mut().transmit_credit = usize::MAX;
    machine.nic.borrow_mut().transmit(&machine.memory);
    assert_eq!(send(&mut driver, &frames[255..], machine.now()), 45);
    assert_eq!(get(IMS) & TXQ0, 0);
}

#[test]
fn the_82576_sends_completions_by_an_entry_of_their_own() {
    let (machine, mut driver) = started(nic_of(FakeFamily::Igb));
    driver.set_interrupt_mode(InterruptMode::Msix);
    driver.set_interrupt_interval(Duration::from_micros(100));
    driver.unmask();
    let get = |offset| machine.nic.borrow().get(offset);
    assert_eq!((get(GPIE) & 1 << 4, get(EIAC)), (1 << 4, 0b11));
    assert_eq!((get(IVAR_82576), get(IVAR_MISC)), (0x8180, 0x8000));
    assert_eq!((get(EITR_82576), get(EITR_82576 + 4)), (400, 400));
    assert_eq!((get(EIMS), get(IMS)), (0b01, LSC));
    machine.nic.borrow_mut().transmit_credit = 0;
    let frames: Vec<_> = (0..300).map(|number| frame(number, 60)).collect();
    assert_eq!(send(&mut driver, &frames, machine.now()), 255);
    assert_eq!(get(EIMS), 0b11);
    let causes = driver.interrupt();
    assert!(causes.receive && causes.transmit && !causes.link, "the message has cleared them: look at both");
    driver.mask();
    assert_eq!((get(EIMS), get(IMS)), (0, 0));
}

#[test]
fn with_messages_too_no_other_senders_frame_ends_the_wait_for_room() {
    for (kind, mask, completion) in [(FakeFamily::E1000e, IMS, TXQ0), (FakeFamily::Igb, EIMS, 0b10)] {
        let (machine, mut driver) = started(FakeNic { transmit_credit: 0, ..nic_of(kind) });
        driver.set_interrupt_mode(InterruptMode::Msix);
        driver.unmask();
        let wanted = || machine.nic.borrow().get(mask) & completion == completion;
        let frames: Vec<_> = (0..300).map(|number| frame(number, 60)).collect();
        assert_eq!(send(&mut driver, &frames, machine.now()), 255);
        machine.nic.borrow_mut().transmit_credit = 10;
        machine.nic.borrow_mut().transmit(&machine.memory);
        assert_eq!((send(&mut driver, &frames[..1], machine.now()), wanted()), (1, true), "{kind:?}");
        machine.nic.borrow_mut().raise(TXQ0);
        assert_eq!((driver.interrupt().transmit, wanted()), (true, false), "{kind:?}");
        assert_eq!((send(&mut driver, &frames[255..], machine.now()), wanted()), (9, true), "{kind:?}");
    }
}

#[test]
fn without_messages_the_causes_are_those_of_the_8254x() {
    for kind in KINDS {
        for mode in [InterruptMode::Intx, InterruptMode::Msi] {
            let (machine, mut driver) = started(nic_of(kind));
            driver.set_interrupt_mode(mode);
            driver.unmask();
            let get = |offset| machine.nic.borrow().get(offset);
            assert_eq!(get(IMS) & (LSC | RXT0 | TXDW), LSC | RXT0);
            assert_eq!(get(EIMS), if kind == FakeFamily::Igb { 1 << 31 } else { 0 });
            machine.nic.borrow_mut().raise(RXT0 | LSC);
            let causes = driver.interrupt();
            assert!(causes.receive && causes.link && !causes.transmit);
            assert!(driver.interrupt().is_empty());
        }
    }
}

#[test]
fn a_hang_resets_the_nic_and_its_settings_come_back() {
    for kind in KINDS {
        let (machine, mut driver) = started(FakeNic { transmit_stuck: true, ..nic_of(kind) });
        driver.set_interrupt_mode(InterruptMode::Msix);
        driver.set_interrupt_interval(Duration::from_micros(256));
        driver.unmask();
        let settings = [IMS, EIMS, GPIE, IVAR_82574, IVAR_82576, EITR_82574, EITR_82576];
        let before = settings.map(|offset| machine.nic.borrow().get(offset));
        send(&mut driver, &[frame(1, 60)], machine.now());
        machine.pass(&mut driver, TRANSMIT_HANG + CHECK_INTERVAL);
        assert_eq!(
            (driver.counters().transmit_hangs, driver.queue_counters().tx_returned),
            (1, 1),
            "{kind:?}"
        );
        assert_eq!(settings.map(|offset| machine.nic.borrow().get(offset)), before, "{kind:?}");
        machine.nic.borrow_mut().transmit_stuck = false;
        assert_eq!(send(&mut driver, &[frame(2, 60)], machine.now()), 1);
        assert_eq!(machine.nic.borrow().sent.len(), 1);
    }
}

#[test]
fn a_nic_whose_queue_dies_at_a_reset_fails_and_comes_back() {
    let (machine, mut driver) = started(nic_of(FakeFamily::Igb));
    machine.nic.borrow_mut().transmit_stuck = true;
    machine.nic.borrow_mut().queues_dead = true;
    send(&mut driver, &[frame(1, 60)], machine.now());
    machine.pass(&mut driver, TRANSMIT_HANG + CHECK_INTERVAL);
    assert!(matches!(driver.state(), NicState::Failed(NicError::QueueTimeout { .. })));
    assert!(!driver.capabilities().link_up);
    machine.nic.borrow_mut().queues_dead = false;
    machine.nic.borrow_mut().transmit_stuck = false;
    machine.pass(&mut driver, nic::RETRY_INTERVAL + CHECK_INTERVAL);
    assert_eq!(driver.state(), NicState::Running);
    assert_eq!(send(&mut driver, &[frame(2, 60)], machine.now()), 1);
    assert_eq!(machine.nic.borrow().sent.len(), 1);
}
