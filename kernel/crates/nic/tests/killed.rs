//! A NIC that loses its link, hangs or disappears under load: every frame is sent, or counted under a cause, and those of each
//! guest leave in their order. Between the guests and the NIC are what is there in the kernel, too: switch, team, driver.

mod support;

use base::time::Duration;
use base::{Effects, Instant, MacAddress, NicInfo, Port, RetiredFrames};
use nic::{Nic, NicEvent, NicState, PciId};
use nic_manager::{MemberRole, Team, TeamMember, TeamPlace, TeamSecrets, TeamSettings};
use path::{PortConfig, PortCounters, PortId};
use std::collections::BTreeSet;
use support::fake_nic::{FakeFamily, FakeNic, LSC};
use support::fake_transmit::FakeFifo;
use support::{ID_82540EM, ID_82574L, ID_82576, TestMachine};
use testkit::frame::{mac, number_of, numbered};
use testkit::{Lan, QueuePort};

const FAMILIES: [(FakeFamily, PciId); 3] =
    [(FakeFamily::E1000, ID_82540EM), (FakeFamily::E1000e, ID_82574L), (FakeFamily::Igb, ID_82576)];

/// Time from one look at everything to the next.
const STEP: Duration = Duration::from_micros(200);

/// How often the kernel looks after a NIC at least.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

type Driver = Nic<TestMachine<FakeNic>>;

struct Member(Driver);

impl TeamMember for Member {
    type Nic = Driver;

    fn nic(&mut self) -> &mut Driver {
        &mut self.0
    }

    fn info(&self) -> NicInfo {
        self.0.info()
    }

    fn mac(&self) -> MacAddress {
        self.0.mac()
    }

    fn kept(&self) -> usize {
        self.0.kept()
    }

    fn retire(&mut self, now: Instant) -> RetiredFrames {
        self.0.retire(now)
    }

    fn check(&mut self, now: Instant) -> Instant {
        self.0.check(now);
        self.0.next_check().min(now + POLL_INTERVAL)
    }
}

/// Two guests that send to the wire, and the NIC that carries their frames, at three frames a step.
struct Bench {
    machine: TestMachine<FakeNic>,
    team: Team<Member>,
    lan: Lan,
    guests: [QueuePort; 2],
    /// Frames that the guests have sent.
    arrived: u32,
}

impl Bench {
    fn new((kind, id): (FakeFamily, PciId)) -> Self {
        let fifo = FakeFifo { size: 5, ..FakeFifo::default() };
        let mut nic = FakeNic { kind, transmit_credit: 0, fifo, ..FakeNic::default() };
        nic.set_receive_address(mac(7).0);
        let machine = TestMachine::new(nic);
        let driver = machine.start_as(id).expect("the NIC starts");
        let configs = [PortConfig::guest(mac(0)), PortConfig::guest(mac(1)), PortConfig::uplink()];
        let lan = Lan::new(&configs, 1).expect("three ports");
        let secrets = TeamSecrets { beacons: [1; 2], copies: [1; 2] };
        let place = TeamPlace { number: 0, secrets, now: Instant::ZERO };
        let team = Team::new([(Member(driver), MemberRole::Active)], TeamSettings::STANDARD, &[], place);
        Self { machine, team, lan, guests: Default::default(), arrived: 0 }
    }

    fn member(&mut self) -> &mut Member {
        self.team.members_mut().next().expect("one")
    }

    /// One step; `load` frames of each guest come, and the NIC may fetch `credit` frames.
    fn step(&mut self, load: u32, credit: usize) {
        for _ in 0..load {
            for guest in 0..2 {
                let length = [60, 1514, 300][self.arrived as usize % 3];
                let frame = numbered(mac(9), mac(guest as u8), self.arrived, length);
                self.guests[guest].arrive(&frame);
                self.lan.note(guest, Effects::TX_KICK);
                self.arrived += 1;
            }
        }
        let now = self.machine.clock.advance(STEP);
        {
            let mut nic = self.machine.nic.borrow_mut();
            nic.transmit_credit = credit;
            if !nic.gone {
                nic.transmit(&self.machine.memory);
            }
        }
        self.member().nic().interrupt();
        self.team.attend(now);
        let [first, second] = &mut self.guests;
        self.lan.interrupt();
        self.lan.run(&mut [first as &mut dyn Port, second, &mut self.team], now);
    }

    fn steps(&mut self, time: Duration, load: u32, credit: usize) {
        for _ in 0..time.as_nanos() / STEP.as_nanos() {
            self.step(load, credit);
        }
    }

    /// The cable is pulled or put back.
    fn cable(&mut self, plugged: bool) {
        let mut nic = self.machine.nic.borrow_mut();
        nic.link = plugged;
        nic.raise(LSC);
    }

    fn wire(&self) -> PortCounters {
        *self.lan.switch.counters(PortId::new(2).expect("a port")).expect("it has counters")
    }

    /// Lets everything that waits go, and checks the sum and the order. Returns what was dropped by the switch.
    fn check(&mut self) -> u64 {
        self.steps(Duration::from_secs(8), 0, usize::MAX);
        assert_eq!(self.driver().state(), NicState::Running);
        let sent: Vec<u32> =
            self.machine.nic.borrow().sent.iter().map(|f| number_of(f).expect("undamaged")).collect();
        assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), sent.len(), "nothing leaves twice");
        for guest in 0..2 {
            let of: Vec<_> = sent.iter().filter(|number| *number % 2 == guest).collect();
            assert!(of.is_sorted(), "{of:?}");
        }
        let (counters, wire) = (*self.driver().queue_counters(), self.wire());
        assert_eq!(counters.tx_queued, counters.tx_done + counters.tx_returned);
        assert_eq!(counters.tx_returned, wire.taken_back);
        assert_eq!(counters.tx_done, sent.len() as u64 + counters.tx_in_doubt);
        assert_eq!(u64::from(self.arrived), counters.tx_done + wire.dropped_on_departure());
        assert!(self.guests.iter().all(|guest| guest.lent() == 0 && guest.incoming.is_empty()));
        wire.dropped_on_departure()
    }

    fn driver(&self) -> &Driver {
        &self.team.members().next().expect("one").0
    }

    /// What the last reset has said.
    fn recovered(&mut self) -> (usize, usize) {
        let recovered = self.member().nic().events().filter_map(|event| match event {
            NicEvent::Recovered { returned, in_doubt } => Some((returned, in_doubt)),
            _ => None,
        });
        recovered.last().expect("it was reset")
    }
}

#[test]
fn a_cable_that_is_out_for_a_moment_loses_only_what_the_nic_had_fetched_and_what_came_meanwhile() {
    for family in FAMILIES {
        let mut bench = Bench::new(family);
        bench.steps(Duration::from_millis(20), 2, 3);
        bench.cable(false);
        let before = bench.wire().dropped_on_departure();
        // It fetches what its FIFO holds before anybody knows.
        bench.steps(Duration::from_millis(50), 0, 3);
        bench.cable(true);
        bench.steps(Duration::from_millis(300), 0, 3);
        let (returned, in_doubt) = bench.recovered();
        assert!(returned > 50, "{family:?}: {returned} frames of a full ring");
        assert_eq!(in_doubt, 3, "{family:?}");
        assert_eq!(bench.wire().held_too_long, 0, "{family:?}");
        let link_down = bench.check() - before;
        assert_eq!((link_down, bench.driver().counters().resets), (bench.wire().link_down, 1), "{family:?}");
    }
}

#[test]
fn a_cable_that_stays_out_loses_what_nobody_else_can_send_and_nothing_of_it_leaves_later() {
    for family in FAMILIES {
        let mut bench = Bench::new(family);
        bench.steps(Duration::from_millis(20), 2, 3);
        bench.cable(false);
        bench.steps(Duration::from_secs(1), 1, 3);
        let sent = bench.machine.nic.borrow().sent.len();
        let before = bench.arrived;
        assert!(bench.wire().held_too_long > 50, "{family:?}: {:?}", bench.wire());
        bench.cable(true);
        bench.steps(Duration::from_millis(500), 1, 3);
        let first = bench.machine.nic.borrow().sent.get(sent).and_then(|frame| number_of(frame));
        assert!(first >= Some(before), "{family:?}: {first:?} is stale");
        bench.check();
    }
}

#[test]
fn a_nic_that_hangs_sends_what_it_had_not_once_it_is_reset() {
    for family in FAMILIES {
        let mut bench = Bench::new(family);
        bench.steps(Duration::from_millis(20), 2, 3);
        bench.machine.nic.borrow_mut().transmit_stuck = true;
        bench.steps(Duration::from_millis(1100), 0, 3);
        bench.machine.nic.borrow_mut().transmit_stuck = false;
        bench.steps(Duration::from_millis(300), 1, 3);
        let (returned, in_doubt) = bench.recovered();
        assert!(returned > 50 && in_doubt == 0, "{family:?}: {returned} {in_doubt}");
        assert_eq!(bench.driver().counters().transmit_hangs, 1);
        assert_eq!(bench.wire().taken_back, returned as u64);
        bench.check();
    }
}

#[test]
fn a_nic_whose_registers_read_as_all_ones_or_zeros_gives_back_what_it_had_not_sent() {
    for family in FAMILIES {
        for (back, gone_as) in [(Duration::from_millis(150), u32::MAX), (Duration::from_secs(1), 0)] {
            let mut bench = Bench::new(family);
            bench.machine.nic.borrow_mut().gone_as = gone_as;
            bench.steps(Duration::from_millis(20), 2, 3);
            bench.machine.nic.borrow_mut().gone = true;
            bench.steps(back, 1, 3);
            assert!(matches!(bench.driver().state(), NicState::Failed(_)));
            let returned = bench.driver().queue_counters().tx_returned;
            assert!(returned > 50, "{family:?}: {returned}");
            bench.machine.nic.borrow_mut().gone = false;
            bench.steps(Duration::from_millis(500), 1, 3);
            bench.check();
            assert!(bench.wire().held_too_long >= returned, "it is tried again after half a second");
        }
    }
}
