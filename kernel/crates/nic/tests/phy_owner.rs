//! Whose the PHY is when a bring-up ends early.

mod support;

use base::time::Duration;
use nic::NicError;
use support::fake_nic::{FakeFamily, FakeNic};
use support::{ID_82574L, ID_82576, TestMachine};

const EXTCNF_CTRL: u32 = 0x0f00;
const SWSM: u32 = 0x5b50;
const SW_FW_SYNC: u32 = 0x5b5c;

/// Software owns the MDI bus of an 82574, or the PHY of an 82576.
fn owns_phy(nic: &FakeNic) -> bool {
    nic.get(EXTCNF_CTRL) & 1 << 5 != 0 || nic.get(SW_FW_SYNC) & 1 << 1 != 0 || nic.get(SWSM) & 2 != 0
}

#[test]
fn a_nic_that_is_left_while_it_is_brought_up_gives_its_phy_back() {
    for (kind, id) in [(FakeFamily::E1000e, ID_82574L), (FakeFamily::Igb, ID_82576)] {
        let mut held = 0;
        for turns in 0..150 {
            // A PHY that does not answer is held for long. Ownership outlives a reset.
            let mut nic = FakeNic { phy_silent: true, kind, ..FakeNic::default() };
            if kind == FakeFamily::E1000e {
                nic.after_reset.insert(EXTCNF_CTRL, 1 << 5);
            }
            let machine = TestMachine::new(nic);
            let mut driver = machine.begin(id).expect("there is memory");
            for _ in 0..turns {
                driver.check(machine.clock.advance(Duration::from_millis(1)));
            }
            held += usize::from(owns_phy(&machine.nic.borrow()));
            driver.stop();
            assert!(!owns_phy(&machine.nic.borrow()), "{kind:?} after {turns} ms");
            assert!(machine.nic.borrow().sync_without_semaphore.is_empty());
        }
        assert!(held > 5, "{kind:?} {held}");
    }
}

#[test]
fn a_phy_is_not_given_back_in_the_middle_of_an_access() {
    for (kind, id) in [(FakeFamily::E1000e, ID_82574L), (FakeFamily::Igb, ID_82576)] {
        let mut in_progress = 0;
        for turns in 0..150 {
            // An access lasts as long as ten reads of its register: some turns, at one read in each.
            let machine = TestMachine::new(FakeNic { phy_takes: 10, kind, ..FakeNic::default() });
            let mut driver = machine.begin(id).expect("there is memory");
            for _ in 0..turns {
                driver.check(machine.clock.advance(Duration::from_micros(900)));
            }
            in_progress += usize::from(machine.nic.borrow().phy_left > 0);
            driver.stop();
            let nic = machine.nic.borrow();
            assert!(!nic.given_back_busy && nic.phy_left == 0, "{kind:?} after {turns} turns");
        }
        assert!(in_progress > 5, "{kind:?} {in_progress}");
    }
}

#[test]
fn a_nic_whose_reset_fails_gives_its_phy_back() {
    let mut nic = FakeNic { reset_never_ends: true, kind: FakeFamily::E1000e, ..FakeNic::default() };
    nic.after_reset.insert(EXTCNF_CTRL, 1 << 5);
    let machine = TestMachine::new(nic);
    assert!(matches!(machine.start_as(ID_82574L).err(), Some(NicError::ResetTimeout { .. })));
    assert!(machine.nic.borrow().owned_in_reset && !owns_phy(&machine.nic.borrow()));
}
