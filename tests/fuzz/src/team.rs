//! A team's manager, whatever happens to its NICs and vNICs, and its history, whatever becomes of that on its way to the host.

use crate::Input;
use base::{Duplex, Duration, Instant, LinkSpeed, LinkStatus, NicCondition};
use nic_manager::{
    AdminState, BeaconSettings, FailbackMode, InDoubtPolicy, MAX_MEMBERS, MAX_VNICS, Manager, MemberId,
    MemberRole, MemberSample, MemberSet, NoticeSettings, Recorder, Replay, TeamAction, TeamEvent, TeamPolicy,
    TeamSample, TeamSettings, VnicId, VnicInfo, read_histories,
};
use testkit::frame::mac;
use testkit::{TeamOracle, check_replay};

/// Deadlines that are kept while time passes; later ones come too late.
const DEADLINES: usize = 12;

struct Bench {
    recorder: Recorder,
    oracle: TeamOracle,
    actions: Vec<TeamAction>,
    now: Instant,
}

/// The first byte chooses: any bytes for a replay, a log with histories, or events for a manager, whose history is replayed, and
/// replayed once more with other bytes in it.
///
/// # Panics
/// When a decision breaks what [`TeamOracle::check`] says, time stands still, or a history replays to something else.
pub fn target(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.u8();
    match mode & 7 {
        0 => replay(input.rest()),
        1 => {
            let log = String::from_utf8_lossy(input.rest());
            read_histories(&log).iter().flat_map(|history| history.bytes()).for_each(replay);
        }
        _ => {
            let bench = &mut Bench::new(&mut input);
            let changes: Vec<_> = (0..mode >> 5).map(|_| (input.u16(), input.u8())).collect();
            while !input.is_empty() {
                bench.tell(event(&mut input));
                bench.pass(&mut input);
            }
            check_replay(&bench.recorder);
            let mut bytes = Vec::new();
            bench.recorder.read_out(|piece| bytes.extend_from_slice(piece));
            for (at, bits) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] ^= bits;
            }
            replay(&bytes);
        }
    }
}

/// A replay of any bytes ends.
fn replay(bytes: &[u8]) {
    let Ok(mut replay) = Replay::new(bytes) else { return };
    let (mut steps, most) = (0, bytes.len() / 2);
    while let Ok(Some(_)) = replay.next(&mut drop) {
        steps += 1;
        assert!(steps <= most, "more events than bytes");
    }
}

impl Bench {
    fn new(input: &mut Input) -> Self {
        let (settings, roles, vnics) = (settings(input), roles(input), vnics(input));
        Self {
            oracle: TeamOracle::new(&settings, &roles, &vnics),
            recorder: Recorder::new(Manager::new(settings, &roles, &vnics)),
            actions: Vec::new(),
            now: Instant(1_000_000_000),
        }
    }

    fn tell(&mut self, event: TeamEvent) {
        let Self { recorder, oracle, actions, now } = self;
        oracle.note(&event, *now);
        actions.clear();
        recorder.handle(event, *now, &mut |action| actions.push(action));
        oracle.check(recorder.manager(), actions, *now);
    }

    /// Time passes, or goes back a little.
    fn pass(&mut self, input: &mut Input) {
        let choice = input.u8();
        let step = u64::from(choice >> 3) + 1;
        let end = match choice & 7 {
            0 => self.now,
            1 => self.now + Duration::from_nanos(step),
            2 | 3 => self.now + Duration::from_millis(step),
            4 | 5 => self.now + Duration::from_millis(step * 100),
            6 => self.now + Duration::from_secs(step * 10),
            _ => Instant(self.now.0 - step * 1000),
        };
        for _ in 0..DEADLINES {
            let manager = self.recorder.manager();
            let due = manager.next_deadline().into_iter().fold(manager.sample_due(), Instant::min);
            if due > end {
                break;
            }
            self.now = self.now.max(due);
            let sample = self.now >= self.recorder.manager().sample_due();
            self.tell(if sample { TeamEvent::Sample(TeamSample::default()) } else { TeamEvent::Tick });
            let next = self.recorder.manager().next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "time stands still");
        }
        self.now = end;
    }
}

fn settings(input: &mut Input) -> TeamSettings {
    use FailbackMode::{Always, Better, Manual, OnFailure};
    let (choice, delays) = (input.u8(), input.u8());
    let beacon = (choice & 1 != 0).then(|| BeaconSettings {
        interval_ms: 1 + u32::from(input.u16()) % 2000,
        lost: 1 + input.u8() % 4,
        gateway: (choice & 2 != 0).then(|| "fd00::1".parse().expect("an address")),
        ..BeaconSettings::STANDARD
    });
    TeamSettings {
        policy: input.choose(&TeamPolicy::ALL),
        failback: input.choose(&[Always, Better, OnFailure, Manual]),
        up_delay_ms: u32::from(delays >> 4) * 300,
        down_delay_ms: u32::from(delays & 15) * 50,
        beacon,
        notice: NoticeSettings { copies: choice >> 4, spacing_ms: 1 + u32::from(choice >> 2 & 3) * 50 },
        in_doubt: InDoubtPolicy::NoDuplicate,
    }
}

/// Two bits for each member.
fn roles(input: &mut Input) -> Vec<MemberRole> {
    let (count, roles) = (1 + usize::from(input.u8()) % MAX_MEMBERS, input.u16());
    let role = |place: usize| match roles >> (2 * place) & 3 {
        0 | 1 => MemberRole::Active,
        2 => MemberRole::Standby,
        _ => MemberRole::Unused,
    };
    (0..count).map(role).collect()
}

fn vnics(input: &mut Input) -> Vec<VnicInfo> {
    let count = input.u8() % (MAX_VNICS as u8 + 1);
    let vnic = |vm| VnicInfo { port: vm + 1, vm, number: 0, mac: mac(vm), priority: input.u8() & 7 };
    (0..count).map(vnic).collect()
}

/// Any member, one that the team does not have among them.
fn member(number: u8) -> MemberId {
    MemberId::new(usize::from(number) % MAX_MEMBERS).expect("below the bound")
}

/// The lower half of the first byte chooses the event, the upper half a member.
fn event(input: &mut Input) -> TeamEvent {
    let choice = input.u8();
    let member = member(choice >> 4);
    match choice & 15 {
        0..5 => TeamEvent::Nic { member, condition: NicCondition::Ready, link: link(input) },
        5 => {
            let others = [NicCondition::Resetting, NicCondition::Failed, NicCondition::Starting];
            TeamEvent::Nic { member, condition: input.choose(&others), link: link(input) }
        }
        6 => TeamEvent::Stall { member, stalled: input.u8() & 1 != 0 },
        7 | 8 => TeamEvent::Sample(sample(input)),
        9 => TeamEvent::Vnic { vnic: VnicId(input.u8() % 17), on: true },
        10 => TeamEvent::Vnic { vnic: VnicId(input.u8() % 17), on: false },
        11 | 12 => {
            let (vnic, source) = (VnicId(choice >> 4), input.u8());
            TeamEvent::Address { vnic, mac: mac(source), vlan: (source & 1 != 0).then_some(input.u16()) }
        }
        13 => {
            let state = input.choose(&[AdminState::Up, AdminState::Drain, AdminState::Down]);
            TeamEvent::Admin { member, state }
        }
        14 => TeamEvent::Policy(input.choose(&TeamPolicy::ALL)),
        _ => TeamEvent::Tick,
    }
}

fn link(input: &mut Input) -> LinkStatus {
    let choice = input.u8();
    let speeds = [LinkSpeed::Mbps1000, LinkSpeed::Mbps100, LinkSpeed::Mbps10, LinkSpeed::Mbps1000];
    match choice & 1 {
        0 => LinkStatus { up: true, speed: speeds[usize::from(choice >> 1 & 3)], duplex: Duplex::Full },
        _ => LinkStatus::DOWN,
    }
}

/// Numbers of any size, in a few bytes.
fn sample(input: &mut Input) -> TeamSample {
    let count = |input: &mut Input| {
        let value = u64::from(input.u8());
        value << ((value & 7) * 8)
    };
    let mut member = |_| MemberSample {
        sent: count(input),
        received: count(input),
        frames: count(input),
        errors: count(input),
        longest_wait: count(input) as u32,
        heard: {
            let heard = input.u8();
            (0..8).filter(|bit| heard >> bit & 1 != 0).map(self::member).collect::<MemberSet>()
        },
        answered: input.u8() & 1 != 0,
    };
    let members = (0..MAX_MEMBERS).map(&mut member).collect();
    TeamSample {
        ends_round: input.u8() & 3 != 0,
        members,
        vnics: (0..MAX_VNICS).map(|_| count(input)).collect(),
    }
}
