//! What only real NICs have: memory that firmware's ring points to, firmware that shares the PHY, errata, partners on
//! the link, removal. The fake NIC behaves as the manuals and specification updates say that they do.

mod support;

use base::time::Duration;
use base::{Instant, Port};
use nic::{
    CHECK_INTERVAL, Nic, NicError, NicEvent, NicState, PHY_OWNER_TIMEOUT, PciId, RESET_TIMEOUT,
    RETRY_INTERVAL, TRANSMIT_HANG,
};
use support::fake_nic::{FakeEvent, FakeFamily, FakeIo, FakeNic};
use support::{ID_82540EM, ID_82574L, ID_82576, ID_I210, TestMachine, poll, send};
use testkit::frame::{mac, numbered};

const CTRL: u32 = 0x0000;
const CTRL_EXT: u32 = 0x0018;
const EEER: u32 = 0x0e30;
const IPCNFG: u32 = 0x0e38;
const TARC0: u32 = 0x3840;
const TXDCTL: u32 = 0x3828;
const MANC: u32 = 0x5820;
const WUC: u32 = 0x5800;
const WUFC: u32 = 0x5808;
const GCR: u32 = 0x5b00;
const SWSM: u32 = 0x5b50;
const SW_FW_SYNC: u32 = 0x5b5c;
const GCR2: u32 = 0x5b64;
const DRV_LOAD: u32 = 1 << 28;

type Machine = TestMachine<FakeNic>;
type Driver = Nic<Machine>;

const KINDS: [FakeFamily; 3] = [FakeFamily::E1000, FakeFamily::E1000e, FakeFamily::Igb];

fn id(kind: FakeFamily) -> PciId {
    match kind {
        FakeFamily::E1000 => ID_82540EM,
        FakeFamily::E1000e => ID_82574L,
        FakeFamily::Igb => ID_82576,
    }
}

fn nic_of(kind: FakeFamily) -> FakeNic {
    let mut nic = FakeNic { kind, ..FakeNic::default() };
    nic.set_receive_address(mac(7).0);
    nic
}

fn started(nic: FakeNic) -> (Machine, Driver) {
    let id = id(nic.kind);
    let machine = TestMachine::new(nic);
    let driver = machine.start_as(id).expect("the NIC starts");
    (machine, driver)
}

fn frame(number: u32) -> Vec<u8> {
    numbered(mac(1), mac(2), number, 100)
}

fn hang(machine: &Machine, driver: &mut Driver) {
    machine.nic.borrow_mut().transmit_stuck = true;
    send(driver, &[frame(0)], machine.now());
    machine.pass(driver, TRANSMIT_HANG);
    assert_eq!(driver.state(), NicState::Resetting);
    machine.nic.borrow_mut().transmit_stuck = false;
}

#[test]
fn a_nic_may_access_memory_only_after_its_reset() {
    for kind in KINDS {
        let (machine, mut driver) = started(nic_of(kind));
        let reset = FakeEvent::Reset { by_io: false };
        assert_eq!(machine.nic.borrow().happened, [reset, FakeEvent::Dma(true)], "{kind:?}");
        hang(&machine, &mut driver);
        machine.nic.borrow_mut().reset_never_ends = true;
        machine.settle(&mut driver);
        assert_eq!(machine.nic.borrow().happened[2..], [reset, FakeEvent::Dma(false)], "{kind:?}");
    }
}

#[test]
fn a_nic_that_never_resets_gets_no_access_to_memory() {
    for kind in KINDS {
        let machine = TestMachine::new(FakeNic { reset_never_ends: true, ..nic_of(kind) });
        assert!(matches!(machine.start_as(id(kind)).err(), Some(NicError::ResetTimeout { .. })));
        assert!(!machine.nic.borrow().happened.contains(&FakeEvent::Dma(true)), "{kind:?}");
    }
}

#[test]
fn a_nic_that_fails_at_boot_is_kept_and_used_when_it_works() {
    for kind in KINDS {
        let machine = TestMachine::new(FakeNic { reset_never_ends: true, ..nic_of(kind) });
        let mut driver = machine.begin(id(kind)).expect("there is memory");
        machine.settle(&mut driver);
        let failed = NicError::ResetTimeout { control: 1 << 26 | 4, waited: RESET_TIMEOUT };
        let failed = match kind {
            FakeFamily::E1000 => NicError::ResetTimeout { control: 1 << 26, waited: RESET_TIMEOUT },
            FakeFamily::E1000e | FakeFamily::Igb => failed,
        };
        assert_eq!(driver.state(), NicState::Failed(failed));
        assert_eq!(driver.events().collect::<Vec<_>>(), [NicEvent::Failed(failed)]);
        assert_eq!(
            (send(&mut driver, &[frame(1)], machine.now()), driver.capabilities().link_up),
            (0, false)
        );

        machine.nic.borrow_mut().reset_never_ends = false;
        machine.pass(&mut driver, RETRY_INTERVAL + CHECK_INTERVAL);
        assert_eq!(driver.state(), NicState::Running, "{kind:?}");
        assert!(driver.capabilities().link_up);
        assert_eq!(send(&mut driver, &[frame(1)], machine.now()), 1);
        assert_eq!(machine.nic.borrow().sent.len(), 1);
    }
}

#[test]
fn no_check_waits_however_the_nic_hangs() {
    let faults: [fn(&mut FakeNic); 7] = [
        |nic| nic.reset_never_ends = true,
        |nic| nic.master_never_ends = true,
        |nic| nic.phy_silent = true,
        |nic| nic.phy_taken = true,
        |nic| nic.queues_dead = true,
        |nic| nic.configures_for = Duration::from_secs(10),
        |nic| nic.gone = true,
    ];
    for (kind, fault) in KINDS.into_iter().flat_map(|kind| faults.map(|fault| (kind, fault))) {
        let (machine, mut driver) = started(nic_of(kind));
        hang(&machine, &mut driver);
        fault(&mut machine.nic.borrow_mut());
        let mut turns = 0;
        while driver.state() == NicState::Resetting {
            let now = machine.clock.advance(Duration::from_millis(1));
            let before = machine.nic.borrow().accesses;
            driver.check(now);
            assert_eq!(machine.now(), now);
            let accesses = machine.nic.borrow().accesses - before;
            assert!(
                accesses < 700,
                "{accesses} accesses: the tables of filters and the statistics are some 500"
            );
            turns += 1;
            assert!(turns < 1500, "{kind:?}");
        }
    }
}

#[test]
fn a_nic_may_be_pulled_out_at_any_moment() {
    for kind in KINDS {
        for access in 0..900 {
            let (machine, mut driver) = started(nic_of(kind));
            machine.nic.borrow_mut().gone_in = Some(access);
            hang_or_notice(&machine, &mut driver);
            for number in 0..3 {
                send(&mut driver, &[frame(number)], machine.now());
                poll(&mut driver, machine.now());
                driver.interrupt();
                machine.pass(&mut driver, Duration::from_secs(1));
            }
            if machine.nic.borrow().gone {
                machine.pass(&mut driver, 2 * CHECK_INTERVAL);
                assert!(
                    matches!(driver.state(), NicState::Failed(_)),
                    "{kind:?} {access} {:?}",
                    driver.state()
                );
            }
            let counted = driver.statistics().named().all(|(_, count)| count <= 4);
            assert!(counted, "{kind:?} {access}: all ones are no statistics");
            let plugged = FakeNic { dma: machine.nic.borrow().dma, ..nic_of(kind) };
            *machine.nic.borrow_mut() = plugged;
            machine.pass(&mut driver, 2 * RETRY_INTERVAL);
            assert_eq!(driver.state(), NicState::Running, "{kind:?} {access}");
        }
    }
}

/// Makes the driver reset its NIC, unless it has found out already that it is gone.
fn hang_or_notice(machine: &Machine, driver: &mut Driver) {
    machine.nic.borrow_mut().transmit_stuck = true;
    send(driver, &[frame(0)], machine.now());
    machine.pass(driver, TRANSMIT_HANG + CHECK_INTERVAL);
    machine.nic.borrow_mut().transmit_stuck = false;
}

#[test]
fn a_request_for_the_phy_that_firmware_overheard_is_repeated() {
    for kind in [FakeFamily::E1000e, FakeFamily::Igb] {
        let firmware_until = Instant(Duration::from_millis(300).as_nanos() as u64);
        let (machine, mut driver) = started(FakeNic { firmware_until, phy_control: 1 << 11, ..nic_of(kind) });
        let silent: Vec<_> = driver.events().filter(|e| matches!(e, NicEvent::PhySilent(_))).collect();
        assert_eq!((silent, machine.nic.borrow().phy_control), (vec![], 0x1200), "{kind:?}");
        let late = machine.now() - firmware_until;
        assert!(machine.now() >= firmware_until && late < Duration::from_millis(50), "{kind:?} {late:?}");
    }
}

#[test]
fn firmware_that_keeps_the_phy_is_waited_for_one_second() {
    let machine = TestMachine::new(FakeNic { phy_taken: true, ..nic_of(FakeFamily::Igb) });
    machine.start_as(ID_82576).expect("the NIC starts");
    assert!(machine.now() - Instant::ZERO < PHY_OWNER_TIMEOUT + Duration::from_millis(50));
}

#[test]
fn semaphores_that_a_predecessor_left_are_taken_over() {
    let mut nic = FakeNic { phy_control: 1 << 11, keeps_semaphores: true, ..nic_of(FakeFamily::Igb) };
    nic.registers.extend([(SWSM, 3), (SW_FW_SYNC, 1 << 1)]);
    let (machine, mut driver) = started(nic);
    assert!(!driver.events().any(|event| matches!(event, NicEvent::PhySilent(_))));
    let nic = machine.nic.borrow();
    assert_eq!((nic.phy_control, nic.get(SWSM) & 2, nic.get(SW_FW_SYNC)), (0x1200, 0, 0));
    assert!(machine.now() - Instant::ZERO < Duration::from_millis(100));
}

#[test]
fn the_phy_is_given_back_under_the_semaphore() {
    let (machine, _driver) = started(nic_of(FakeFamily::Igb));
    assert!(machine.nic.borrow().sync_without_semaphore.is_empty());
}

#[test]
fn the_82574_is_set_up_as_its_specification_update_says() {
    let mut nic = nic_of(FakeFamily::E1000e);
    nic.after_reset.extend([(TARC0, 0xf << 27 | 1), (CTRL_EXT, 1 << 23), (TXDCTL, 0x3f << 16)]);
    let (machine, driver) = started(nic);
    assert!(driver.family().forbids_aspm());
    let nic = machine.nic.borrow();
    assert_eq!(nic.get(GCR), 1 << 22 | 1 << 27);
    assert_eq!(nic.get(GCR2), 1);
    assert_eq!(nic.get(TARC0), 1 << 26 | 1);
    assert_eq!(nic.get(CTRL) & 1 << 29, 0);
    assert_eq!(nic.get(CTRL_EXT), DRV_LOAD | 1 << 22);
    assert_eq!(nic.get(TXDCTL), 1 << 16 | 1 << 24 | 1 << 22);
}

#[test]
fn the_phy_of_the_82574_has_25_ms_after_a_reset_and_is_owned_during_it() {
    let (machine, _driver) = started(nic_of(FakeFamily::E1000e));
    let nic = machine.nic.borrow();
    let (Some(reset), Some(first)) = nic.times else { panic!("{:?}", nic.times) };
    assert!(first - reset >= Duration::from_millis(25));
    assert!(nic.owned_in_reset);
}

#[test]
fn firmware_has_time_to_configure_the_phy() {
    let configures_for = Duration::from_millis(60);
    for id in [ID_82576, ID_I210] {
        let nic = FakeNic { configures_for, i210: id == ID_I210, ..nic_of(FakeFamily::Igb) };
        let machine = TestMachine::new(nic);
        machine.start_as(id).expect("the NIC starts");
        let (Some(reset), Some(first)) = machine.nic.borrow().times else { panic!() };
        assert!(first - reset >= configures_for);
        assert!(first - reset < Duration::from_millis(80), "it is seen when that is over: {id:?}");
    }
}

#[test]
fn the_82540em_is_reset_through_its_io_window_if_that_works() {
    for (io, by_io) in [(FakeIo::Works, true), (FakeIo::Ignored, false), (FakeIo::Absent, false)] {
        let (machine, mut driver) = started(FakeNic { io, ..nic_of(FakeFamily::E1000) });
        let expected = [FakeEvent::Reset { by_io }, FakeEvent::Dma(true)];
        assert_eq!(machine.nic.borrow().happened, expected, "{io:?}");
        assert_eq!(send(&mut driver, &[frame(1)], machine.now()), 1);
    }
}

#[test]
fn firmware_answers_no_arp_for_the_guests() {
    let mut nic = nic_of(FakeFamily::E1000);
    nic.after_reset.extend([(MANC, 1 << 13 | 1 << 17)]);
    let (machine, _driver) = started(nic);
    assert_eq!(machine.nic.borrow().get(MANC), 1 << 17);
}

#[test]
fn no_descriptor_is_longer_than_the_82545em_takes_in_pci_x_mode() {
    let (machine, mut driver) = started(nic_of(FakeFamily::E1000));
    let long = numbered(mac(1), mac(2), 1, 9000);
    send(&mut driver, std::slice::from_ref(&long), machine.now());
    let nic = machine.nic.borrow();
    assert_eq!(nic.sent[0], long);
    assert!(nic.longest_descriptor <= 2015, "{}", nic.longest_descriptor);
}

#[test]
fn wake_up_is_off_and_no_pause_advertised() {
    for kind in KINDS {
        let mut nic = nic_of(kind);
        nic.after_reset.extend([(WUC, 0xf), (WUFC, 0xff)]);
        nic.phy.extend([(4, 0x0de1), (9, 0x0300)]);
        let (machine, _driver) = started(nic);
        let nic = machine.nic.borrow();
        assert_eq!((nic.get(WUC), nic.get(WUFC)), (0, 0));
        assert_eq!((nic.phy[&4], nic.phy[&9], nic.phy_control), (0x01e1, 0x0200, 0x1340), "{kind:?}");
    }
}

#[test]
fn the_page_of_an_i210s_phy_that_firmware_left_is_left() {
    let page_after = |id| {
        let mut nic = nic_of(FakeFamily::Igb);
        nic.phy.insert(22, 6);
        let machine = TestMachine::new(nic);
        machine.start_as(id).expect("the NIC starts");
        let nic = machine.nic.borrow();
        nic.phy[&22]
    };
    assert_eq!((page_after(ID_I210), page_after(ID_82576)), (0, 6));
}

#[test]
fn firmwares_session_over_the_link_survives() {
    let mut nic = nic_of(FakeFamily::E1000e);
    nic.after_reset.extend([(MANC, 1 << 18)]);
    nic.phy.insert(4, 0x0c21);
    let (machine, _driver) = started(nic);
    let nic = machine.nic.borrow();
    assert_eq!((nic.phy[&4], nic.phy_control), (0x01e1, 0x1140));
}

#[test]
fn energy_is_not_saved_on_the_link_and_late_completions_are_waited_for() {
    let defaults = [(EEER, 0x7_0000 | 5), (IPCNFG, 0xf), (GCR, 1 << 16)];
    let registers = |id| {
        let mut nic = nic_of(FakeFamily::Igb);
        nic.after_reset.extend(defaults);
        let machine = TestMachine::new(nic);
        machine.start_as(id).expect("the NIC starts");
        let nic = machine.nic.borrow();
        [EEER, IPCNFG, GCR].map(|register| nic.get(register))
    };
    assert_eq!(registers(ID_I210), [5, 3, 1 << 16]);
    assert_eq!(registers(ID_82576), [0x7_0000 | 5, 0xf, 0x1000]);
}

#[test]
fn a_nic_that_is_left_tells_its_firmware() {
    for kind in KINDS {
        let (machine, mut driver) = started(nic_of(kind));
        let loaded = machine.nic.borrow().get(CTRL_EXT) & DRV_LOAD != 0;
        assert_eq!(loaded, kind != FakeFamily::E1000);
        driver.stop();
        let nic = machine.nic.borrow();
        assert_eq!((nic.get(CTRL_EXT) & DRV_LOAD, nic.get(0x100), nic.get(0x400), nic.dma), (0, 0, 0, false));
    }
}
