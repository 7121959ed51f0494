extern crate std;

use super::*;
use base::{
    ByteRates, Duplex, Duration, LentFrame, LinkSpeed, LinkStatus, NicCondition, NicInfo, Outbox, Port, Put,
    RetiredFrames,
};
use nic_manager::{
    BeaconSettings, FailbackMode, MemberRole, NoticeSettings, TeamPlace, TeamSecrets, TeamSettings, VnicInfo,
};
use std::cell::{Cell, RefCell};
use std::string::{String, ToString};
use std::vec::Vec;
use testkit::QueuePort;

const LINK: LinkStatus = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
const WEB: MacAddress = MacAddress([0x52, 0x54, 0, 0, 1, 2]);
const DB: MacAddress = MacAddress([0x52, 0x54, 0, 0, 1, 3]);

struct FakeNic(QueuePort, NicInfo);

impl TeamMember for FakeNic {
    type Nic = QueuePort;

    fn nic(&mut self) -> &mut QueuePort {
        &mut self.0
    }

    fn info(&self) -> NicInfo {
        self.1
    }

    fn mac(&self) -> MacAddress {
        MacAddress([2, 0, 0, 0, 0, 9])
    }

    fn kept(&self) -> usize {
        self.0.kept_tickets()
    }

    fn check(&mut self, now: Instant) -> Instant {
        now
    }

    fn retire(&mut self, _now: Instant) -> RetiredFrames {
        RetiredFrames::default()
    }
}

struct FakeNames(&'static str);

impl TeamNames for FakeNames {
    fn team(&self) -> &str {
        self.0
    }

    fn nic(&self, member: MemberId) -> &str {
        ["nic0", "nic1"][member.index()]
    }

    fn vnic(&self, vnic: VnicId) -> (&str, usize) {
        (["web", "db"][usize::from(vnic.0)], 0)
    }
}

/// A team of two NICs with two VMs, one whose NICs are missing, and the switch of vNICs without an uplink.
struct FakeTeams {
    lan: RefCell<Team<FakeNic>>,
    kicked: Cell<usize>,
    /// What the machine lacks of the first two.
    missing: [&'static [(&'static str, MemberRole)]; 2],
}

impl Teams for FakeTeams {
    type Member = FakeNic;
    type Names = FakeNames;

    fn count(&self) -> usize {
        2
    }

    fn access<R>(
        &self,
        team: usize,
        look: impl FnOnce(TeamAccess<'_, FakeNic, FakeNames>) -> R,
    ) -> Option<R> {
        let names = FakeNames(["lan", "dmz", "local"].get(team)?);
        let lan = &mut *self.lan.borrow_mut();
        Some(look(TeamAccess { team: (team == 0).then_some(lan), names: &names, lost: 7 }))
    }

    fn missing(&self, team: usize) -> impl Iterator<Item = (&str, MemberRole)> {
        self.missing[team].iter().copied()
    }

    fn member(&self, nic: usize) -> Option<(usize, MemberId)> {
        Some((0, MemberId::new(nic)?))
    }

    fn vnics(&self, vm: usize) -> impl Iterator<Item = (usize, VnicId)> {
        let local = (vm == 1).then_some((2, VnicId(1)));
        [(0, VnicId(vm as u8))].into_iter().chain(local)
    }

    fn find(&self, team: usize, mac: MacAddress, _now: Instant) -> Option<VnicId> {
        [WEB, DB].iter().position(|known| *known == mac && team == 0).map(|at| VnicId(at as u8))
    }

    fn kick(&self, team: usize) {
        self.kicked.set(self.kicked.get() + 1 + team);
    }
}

impl FakeTeams {
    fn new(policy: TeamPolicy) -> Self {
        Self::of([MemberRole::Active; 2], policy)
    }

    fn of(members: [MemberRole; 2], policy: TeamPolicy) -> Self {
        Self::with(members, TeamSettings { policy, ..TeamSettings::STANDARD })
    }

    fn with<const NICS: usize>(members: [MemberRole; NICS], settings: TeamSettings) -> Self {
        let rates = ByteRates { sent: 125_000, received: 250 };
        let info = NicInfo { condition: NicCondition::Ready, link: LINK, rates, ..NicInfo::STARTING };
        let vnic = |port: u8, mac| VnicInfo { port, vm: port - 1, number: 0, mac, priority: 3 };
        let place = TeamPlace {
            number: 0,
            secrets: TeamSecrets { beacons: [1, 2], copies: [3, 4] },
            now: Instant::ZERO,
        };
        let nics = members.map(|role| (FakeNic(QueuePort::new(), info), role));
        let mut lan = Team::new(nics, settings, &[vnic(1, WEB), vnic(2, DB)], place);
        (0..2).for_each(|vnic| lan.note_vnic(VnicId(vnic), true, Instant::ZERO));
        lan.attend(Instant::ZERO);
        Self { lan: RefCell::new(lan), kicked: Cell::new(0), missing: [&[]; 2] }
    }

    fn ask(&self, command: TeamCommand) -> Vec<String> {
        let mut lines = Vec::new();
        answer(self, command, Instant(5_000_000), &mut |line| lines.push(line.to_string()));
        lines
    }

    /// The link of a NIC comes and goes so often, and is there after that.
    fn flap(&self, nic: usize, times: usize, now: Instant) {
        let mut lan = self.lan.borrow_mut();
        for (step, link) in [LinkStatus::DOWN, LINK].into_iter().cycle().take(2 * times).enumerate() {
            lan.members_mut().nth(nic).unwrap().1.link = link;
            lan.attend(now + Duration::from_secs(step as u64));
        }
    }

    /// The row of a NIC in `net team`, from its state on.
    fn state(&self, nic: &str) -> String {
        let row = self.ask(TeamCommand::Describe { team: 0 }).into_iter().find(|line| line.starts_with(nic));
        row.unwrap()[69..].to_string()
    }

    /// A VM sends an IPv4 packet from this address.
    fn send(&self, port: u8, mac: MacAddress, source: [u8; 4]) {
        let mut frame = [0; 60];
        frame[6..12].copy_from_slice(&mac.0);
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[26..30].copy_from_slice(&source);
        let mut outbox = Outbox::new(port);
        outbox.add(0, |new| {
            new.head(frame.len()).copy_from_slice(&frame);
            true
        });
        let slot = outbox.fetched().unwrap();
        outbox.share(slot, 1);
        let lent: LentFrame<'_> = outbox.frame(slot);
        let put = self.lan.borrow_mut().put(lent, outbox.lend(slot), Instant(1));
        let (Put::Done(ticket) | Put::Refused(ticket)) = put else { panic!("it does not keep frames") };
        outbox.give_back(ticket);
    }
}

#[test]
fn teams_are_listed_with_their_nics() {
    let teams = FakeTeams::new(TeamPolicy::Port);
    let expected = [
        "team             policy  link vNICs   lost filtered  NICs",
        "lan              port    up       2      7        0  nic0 active in use, nic1 active in use",
        "dmz              -       down     0      7        0  missing",
    ];
    assert_eq!(teams.ask(TeamCommand::List), expected);
}

#[test]
fn all_of_a_team_is_shown() {
    let teams = FakeTeams::new(TeamPolicy::Order);
    teams.ask(TeamCommand::Nic { nic: 1, state: AdminState::Down });
    let expected = [
        "lan: policy order, failback always, up delay 1000 ms, down delay 0 ms, frames in doubt: no-duplicate",
        "lan: notices 3, 100 ms apart; no beacons",
        "NIC              role    link Mb/s carries kb/s out  kb/s in missed  state",
        "nic0             active  up   1000       2     1000        2      -  in use, receives group frames",
        "nic1             active  up   1000       0     1000        2      -  operator: down",
        "vNIC             MAC               carried by       priority     kb/s",
        "web/0            52:54:00:00:01:02 nic0                    3        0",
        "db/0             52:54:00:00:01:03 nic0                    3        0",
        "lan: lost 7 own_sent 2",
    ];
    assert_eq!(teams.ask(TeamCommand::Describe { team: 0 }), expected);
    assert_eq!(teams.ask(TeamCommand::Describe { team: 1 }), ["dmz: the machine has none of its NICs"]);
}

#[test]
fn nics_that_the_machine_lacks_are_shown() {
    let mut teams = FakeTeams::new(TeamPolicy::Order);
    teams.missing = [&[("nic2", MemberRole::Standby)], &[("nic3", MemberRole::Active)]];
    let expected = [
        "lan              order   up       2      7        0  nic0 active in use, nic1 active, nic2 standby (missing)",
        "dmz              -       down     0      7        0  nic3 active (missing)",
    ];
    assert_eq!(teams.ask(TeamCommand::List)[1..], expected);
    let live = teams.ask(TeamCommand::Describe { team: 0 });
    assert_eq!(live[5], "nic2             standby down    -       0        0        0      -  missing");
    let expected = [
        "dmz: the machine has none of its NICs",
        "nic3             active  down    -       0        0        0      -  missing",
    ];
    assert_eq!(teams.ask(TeamCommand::Describe { team: 1 }), expected);
}

#[test]
fn beacons_are_shown_with_the_cut_and_their_vlans() {
    let beacon = |vlans: &[u16]| {
        let beacon = BeaconSettings { vlans: vlans.iter().copied().collect(), ..BeaconSettings::STANDARD };
        let settings = TeamSettings { beacon: Some(beacon), ..TeamSettings::STANDARD };
        FakeTeams::with([MemberRole::Active; 2], settings).ask(TeamCommand::Describe { team: 0 })
    };
    assert_eq!(beacon(&[])[1], "lan: notices 3, 100 ms apart");
    assert_eq!(beacon(&[])[2], "lan: beacons each 1000 ms, cut off after 3 missed, no VLAN");
    assert_eq!(beacon(&[10, 20])[2], "lan: beacons each 1000 ms, cut off after 3 missed, VLANs 10, 20");
}

#[test]
fn a_nic_that_is_in_use_shows_its_fault_too_and_what_the_operator_wants() {
    let teams = FakeTeams::new(TeamPolicy::Order);
    teams.ask(TeamCommand::Nic { nic: 0, state: AdminState::Drain });
    teams.ask(TeamCommand::Nic { nic: 1, state: AdminState::Drain });
    let row = &teams.ask(TeamCommand::List)[1];
    assert!(row.ends_with("  nic0 active (operator: drain), nic1 active in use (operator: drain)"), "{row}");
    teams.ask(TeamCommand::Nic { nic: 0, state: AdminState::Down });
    let row = &teams.ask(TeamCommand::List)[1];
    assert!(row.ends_with("  nic0 active (operator: down), nic1 active in use (operator: drain)"), "{row}");
    teams.lan.borrow_mut().members_mut().nth(1).unwrap().1.link = LinkStatus::DOWN;
    teams.lan.borrow_mut().attend(Instant(6_000_000));
    assert_eq!(teams.state("nic1"), "no link, operator: drain");
}

#[test]
fn a_nic_that_is_held_down_shows_how_long_still_and_for_how_many_failures() {
    let teams = FakeTeams::new(TeamPolicy::Order);
    // It works again after five seconds.
    teams.flap(0, 3, Instant::ZERO);
    assert_eq!(teams.state("nic0"), "held down 9 s more, failures 3");
    let manual = TeamSettings { failback: FailbackMode::Manual, ..TeamSettings::STANDARD };
    let teams = FakeTeams::with([MemberRole::Active; 2], manual);
    teams.flap(0, 1, Instant::ZERO);
    assert_eq!(teams.state("nic0"), "waits for the operator, failures 1");
    teams.ask(TeamCommand::Nic { nic: 0, state: AdminState::Up });
    assert!(teams.state("nic0").starts_with("in use"));
}

#[test]
fn the_operator_is_told_that_the_last_usable_nic_goes() {
    let lost = "lan: no usable NIC is left: its guests lose their link, but for uplink_link = \"up\"";
    let teams = FakeTeams::new(TeamPolicy::Port);
    let down = |teams: &FakeTeams, nic| teams.ask(TeamCommand::Nic { nic, state: AdminState::Down });
    assert!(!down(&teams, 0).contains(&lost.into()));
    let last = down(&teams, 1);
    assert_eq!(last[0], "failover lan: nic1 -> none cause=operator moved=2 resent=0 in-doubt=0");
    assert_eq!(last.last().unwrap(), lost);
    assert_eq!(down(&teams, 1), ["lan: nothing changes"]);
    let silent = NoticeSettings { copies: 0, spacing_ms: 1 };
    let alone =
        FakeTeams::with([MemberRole::Active], TeamSettings { notice: silent, ..TeamSettings::STANDARD });
    assert!(down(&alone, 0).contains(&lost.into()));
    let up = alone.ask(TeamCommand::Nic { nic: 0, state: AdminState::Up });
    assert!(up[0].ends_with("ready to carry frames"), "{up:?}");
}

#[test]
fn decisions_that_nobody_could_read_are_counted() {
    let teams = FakeTeams::new(TeamPolicy::Order);
    teams.flap(0, 100, Instant::ZERO);
    let made = teams.lan.borrow().report_counts().0;
    let counters = teams.ask(TeamCommand::Describe { team: 0 }).pop().unwrap();
    assert!(counters.ends_with(&std::format!(" reports_lost {}", made - 128)), "{counters}");
}

#[test]
fn a_change_answers_with_what_has_moved_and_stays_in_the_history() {
    let teams = FakeTeams::new(TeamPolicy::Port);
    assert_eq!(teams.ask(TeamCommand::Events), ["lan: nothing was decided"]);
    let drained = teams.ask(TeamCommand::Nic { nic: 0, state: AdminState::Drain });
    assert_eq!(
        drained[0], "failover lan: nic0 -> nic1 cause=operator moved=1 resent=0 in-doubt=0",
        "{drained:?}"
    );
    assert!(drained.contains(&"team lan: web/0 nic0 -> nic1 (nic0: not wanted by the operator)".to_string()));
    assert_eq!(teams.kicked.get(), 1);
    let again = teams.ask(TeamCommand::Nic { nic: 0, state: AdminState::Drain });
    assert_eq!(again, ["lan: nothing changes"]);
    let policy = teams.ask(TeamCommand::Policy { team: 0, policy: TeamPolicy::Order });
    assert_eq!(policy, ["team lan: policy order, moved=0"]);
    let back = teams.ask(TeamCommand::Nic { nic: 0, state: AdminState::Up });
    assert_eq!(back[0], "failback lan: nic0 is used again, moved=2");
    let events = teams.ask(TeamCommand::Events);
    assert_eq!(events[0], std::format!("[    0.005000] {}", drained[0]));
    assert_eq!(events.len(), drained.len() + 1 + back.len());
    assert_eq!(
        teams.ask(TeamCommand::Policy { team: 1, policy: TeamPolicy::Order }),
        ["dmz: the machine has none of its NICs"]
    );
}

#[test]
fn a_team_does_not_become_one_link_while_it_has_members_on_standby() {
    let teams = FakeTeams::of([MemberRole::Active, MemberRole::Standby], TeamPolicy::Port);
    let answer = teams.ask(TeamCommand::Policy { team: 0, policy: TeamPolicy::IpHash });
    assert_eq!(
        answer,
        [
            "lan: a team with policy \"ip-hash\" has no member on standby: its ports are one link to the switch, which uses \
             them all"
        ]
    );
    assert_eq!(teams.lan.borrow().manager().policy(), TeamPolicy::Port);
}

#[test]
fn a_history_can_be_read_out_by_a_program() {
    let teams = FakeTeams::new(TeamPolicy::Port);
    let all = teams.ask(TeamCommand::RawEvents { team: None });
    assert!(
        all[0].starts_with("history lan: version ") && all.iter().all(|line| line.len() < 160),
        "{all:?}"
    );
    assert!(all.last().unwrap().starts_with("history lan: end, crc "));
    assert_eq!(teams.ask(TeamCommand::RawEvents { team: Some(0) }), all);
    assert!(teams.ask(TeamCommand::RawEvents { team: Some(1) }).is_empty(), "it has no NICs");
}

#[test]
fn the_choice_of_a_nic_is_explained() {
    let teams = FakeTeams::new(TeamPolicy::Port);
    let expected = [
        "web/0: 52:54:00:00:01:02, port 1, priority 3, on, sends 0 kb/s, addresses 1",
        "nic0: link up, 1000 Mb/s, full duplex, active, carries 1, sends 0 kb/s",
        "nic1: link up, 1000 Mb/s, full duplex, active, carries 1, sends 0 kb/s",
        "rule: policy port: the vNIC's port -> bucket 1",
        "result: nic0, where it is at home",
        "else: nic1, if nic0 failed",
    ];
    assert_eq!(teams.ask(TeamCommand::Why { vm: 0, destination: None }), expected);
    let to_db = Some(FrameDestination::Mac(DB));
    let lines = teams.ask(TeamCommand::Why { vm: 0, destination: to_db });
    assert_eq!(lines, ["web/0: the frame does not leave the machine: 52:54:00:00:01:03 is at db/0"]);
    let lines = teams.ask(TeamCommand::Why { vm: 1, destination: to_db });
    assert_eq!(lines[0], "db/0: 52:54:00:00:01:03 is its own address");
    assert_eq!(lines[1], "db/0: no NIC: its switch local has none");
    teams.ask(TeamCommand::Nic { nic: 0, state: AdminState::Drain });
    let lines = teams.ask(TeamCommand::Why { vm: 0, destination: None });
    assert!(
        lines.contains(
            &"result: nic1, since nic0, where it is at home: not wanted by the operator".to_string()
        )
    );
}

#[test]
fn by_ip_hash_the_destination_matters() {
    let teams = FakeTeams::new(TeamPolicy::IpHash);
    let why = |to: Option<&str>| {
        let destination = to.and_then(crate::names::destination);
        teams.ask(TeamCommand::Why { vm: 0, destination })
    };
    assert_eq!(why(None), ["web/0: by ip-hash the NIC depends on the destination: name one"]);
    let unknown = "web/0: its address is not known: by ip-hash it has sent no packet of this kind";
    assert_eq!(why(Some("10.0.5.1")), [unknown]);
    teams.send(1, WEB, [10, 0, 5, 2]);
    let mut nics = Vec::new();
    for host in 1..20 {
        let lines = why(Some(&std::format!("10.0.5.{host}")));
        assert!(lines[0].starts_with("web/0: from 10.0.5.2, its last address, to 10.0.5."));
        nics.extend(lines.iter().find(|line| line.starts_with("result: ")).cloned());
    }
    assert!(nics.iter().any(|line| line.contains("nic0")) && nics.iter().any(|line| line.contains("nic1")));
    assert_eq!(why(Some("fd00::1")), [unknown], "it has sent nothing by IPv6");
    assert_eq!(
        why(Some("52:54:00:00:09:09"))[0],
        "web/0: frames without IP addresses go by their source address"
    );
}
