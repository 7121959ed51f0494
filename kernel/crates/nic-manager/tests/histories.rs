//! Whatever happens to a team, and in whichever order, these hold.

mod support;

use base::{Duplex, Duration, LinkSpeed, LinkStatus, MacAddress, NicCondition};
use nic_manager::{
    AdminState, BeaconSettings, FailbackMode, MAX_MEMBERS, MemberId, MemberRole, MemberSample, MemberSet,
    Replay, TeamEvent, TeamNote, TeamPolicy, TeamSample, TeamSettings, VnicId,
};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{Rig, id, vnics};

fn settings() -> impl Strategy<Value = TeamSettings> {
    let policy = prop::sample::select(TeamPolicy::ALL.to_vec());
    let failback = prop_oneof![
        Just(FailbackMode::Always),
        Just(FailbackMode::Better),
        Just(FailbackMode::OnFailure),
        Just(FailbackMode::Manual)
    ];
    let beacon = prop::option::of((1_u32..2000, 1_u8..5, any::<bool>()));
    let delays = (prop_oneof![Just(0_u32), 1..3000_u32], prop_oneof![Just(0_u32), 1..500_u32]);
    (policy, failback, beacon, delays).prop_map(|(policy, failback, beacon, (up_delay_ms, down_delay_ms))| {
        let beacon = beacon.map(|(interval_ms, lost, asks)| BeaconSettings {
            interval_ms,
            lost,
            gateway: asks.then(|| "fd00::1".parse().unwrap()),
            ..BeaconSettings::STANDARD
        });
        TeamSettings { policy, failback, beacon, up_delay_ms, down_delay_ms, ..TeamSettings::STANDARD }
    })
}

fn roles() -> impl Strategy<Value = Vec<MemberRole>> {
    let role = prop_oneof![
        4 => Just(MemberRole::Active),
        2 => Just(MemberRole::Standby),
        1 => Just(MemberRole::Unused)
    ];
    prop_oneof![vec(role.clone(), 1..=3), vec(role, 1..=8)]
}

fn link() -> impl Strategy<Value = LinkStatus> {
    let speed = prop_oneof![Just(LinkSpeed::Mbps10), Just(LinkSpeed::Mbps100), Just(LinkSpeed::Mbps1000)];
    (prop::bool::weighted(0.7), speed).prop_map(|(up, speed)| match up {
        true => LinkStatus { up, speed, duplex: Duplex::Full },
        false => LinkStatus::DOWN,
    })
}

fn sample() -> impl Strategy<Value = TeamSample> {
    let count = || prop_oneof![4 => 0..200_000_000_u64, 1 => any::<u64>()];
    // Nothing, or nothing wrong, or few damaged frames among many, or too many: three seconds of that in a row matter.
    let errors = prop_oneof![5 => Just(0), 1 => 0..200_u64, 2 => count()];
    let sent = prop_oneof![1 => Just(0), 1 => count()];
    let member = (sent, errors, any::<u8>(), any::<bool>(), any::<u32>());
    let member = member.prop_map(|(sent, errors, heard, answered, longest_wait)| {
        let heard: MemberSet = (0..8).filter(|bit| heard >> bit & 1 == 1).map(id).collect();
        MemberSample { sent, received: sent, frames: sent / 1000, errors, longest_wait, heard, answered }
    });
    (any::<bool>(), vec(member, 8), vec(count(), 15)).prop_map(|(ends_round, members, vnics)| TeamSample {
        ends_round,
        members: members.into_iter().collect(),
        vnics: vnics.into_iter().collect(),
    })
}

/// Most events are of a member that there is.
fn within(event: TeamEvent, members: usize) -> TeamEvent {
    let near = |member: MemberId| id(member.index() % (members + 1).min(MAX_MEMBERS));
    match event {
        TeamEvent::Nic { member, condition, link } => {
            TeamEvent::Nic { member: near(member), condition, link }
        }
        TeamEvent::Stall { member, stalled } => TeamEvent::Stall { member: near(member), stalled },
        TeamEvent::Admin { member, state } => TeamEvent::Admin { member: near(member), state },
        other => other,
    }
}

fn event() -> impl Strategy<Value = TeamEvent> {
    let member = || (0..8_usize).prop_map(id);
    let condition = prop_oneof![
        6 => Just(NicCondition::Ready),
        1 => Just(NicCondition::Resetting),
        1 => Just(NicCondition::Failed)
    ];
    let admin =
        prop_oneof![2 => Just(AdminState::Up), 1 => Just(AdminState::Drain), 1 => Just(AdminState::Down)];
    let vlan = prop::option::of(0_u16..4096);
    prop_oneof![
        8 => (member(), condition, link()).prop_map(|(member, condition, link)| TeamEvent::Nic { member, condition, link }),
        2 => (member(), any::<bool>()).prop_map(|(member, stalled)| TeamEvent::Stall { member, stalled }),
        4 => sample().prop_map(TeamEvent::Sample),
        2 => (0_u8..17, any::<bool>()).prop_map(|(vnic, on)| TeamEvent::Vnic { vnic: VnicId(vnic), on }),
        2 => (0_u8..17, any::<u8>(), vlan).prop_map(|(vnic, mac, vlan)| {
            TeamEvent::Address { vnic: VnicId(vnic), mac: MacAddress([2, 0, 0, 0, 0, mac]), vlan }
        }),
        1 => (member(), admin).prop_map(|(member, state)| TeamEvent::Admin { member, state }),
        1 => prop::sample::select(TeamPolicy::ALL.to_vec()).prop_map(TeamEvent::Policy),
        1 => Just(TeamEvent::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 150 } else { 2000 }))]

    /// What the oracle demands holds: no frame goes to a member while a better one could carry it, or nowhere; who dies is given up once; and
    /// so on. Time never stands still; and the history replays to the same, however long it has become.
    #[test]
    fn a_team_is_never_wrong(
        settings in settings(),
        roles in roles(),
        priorities in vec(0_u8..8, 0..=15),
        starts: bool,
        history in vec((event(), 0_u64..3_000_000_000, prop::option::weighted(0.05, sample())), 0..120),
    ) {
        let vnics = vnics(&priorities);
        let mut rig = Rig::with(settings, &roles, &vnics);
        if starts {
            rig.start();
        }
        for (event, after, lasting) in history {
            rig.tell(within(event, roles.len()));
            rig.pass(Duration::from_nanos(after));
            if let Some(sample) = lasting {
                // For long enough that load counts, where a second has one sample or few.
                let time = rig.manager().round_period().saturating_mul(100).min(Duration::from_secs(40));
                rig.pass_with(time, |_| sample.clone());
            }
            prop_assert!(rig.manager().next_deadline().is_none_or(|due| due > rig.now));
            rig.actions.clear();
        }
        rig.check_replay();
    }

    /// A member whose link comes and goes moves a vNIC about as often as its hold-down has doubled, and not with each change.
    #[test]
    fn flapping_moves_little(times in vec((1_u64..20_000, 1_u64..20_000), 200)) {
        let mut rig = Rig::new(TeamSettings::STANDARD, 2, 2);
        let mut moves = 0;
        for (down, up) in times {
            rig.link(0, false);
            rig.pass(Duration::from_millis(down));
            rig.link(0, true);
            rig.pass(Duration::from_millis(up));
            moves += rig.notes().iter().filter(|note| matches!(note, TeamNote::Moved { .. })).count();
        }
        prop_assert!(moves <= 24, "{moves} moves in 200 flaps");
    }

    /// Bytes that are no history are refused, or end; nothing panics, whatever state they make of the manager.
    #[test]
    fn a_damaged_history_is_refused(
        settings in settings(),
        history in vec((event(), 0_u64..3_000_000_000), 0..20),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut rig = Rig::new(settings, 2, 2);
        for (event, after) in history {
            rig.tell(event);
            rig.pass(Duration::from_nanos(after));
        }
        let mut bytes = rig.history();
        let length = bytes.len();
        changes.iter().for_each(|(at, value)| bytes[at.index(length)] = *value);
        cut.iter().for_each(|cut| bytes.truncate(cut.index(bytes.len()) + 1));
        if let Ok(mut replay) = Replay::new(&bytes) {
            while let Ok(Some(_)) = replay.next(&mut drop) {}
        }
    }
}

#[test]
fn a_history_of_days_is_bounded_and_replays() {
    let mut rig =
        Rig::new(TeamSettings { beacon: Some(BeaconSettings::STANDARD), ..TeamSettings::STANDARD }, 4, 8);
    for minute in 0..600 {
        rig.link(minute % 4, false);
        rig.pass_with(Duration::from_secs(30), |_| support::hearing(4, |_, _| true));
        rig.link(minute % 4, true);
        rig.pass_with(Duration::from_secs(30), |_| support::hearing(4, |_, _| true));
        rig.actions.clear();
    }
    let (kept, all) = rig.recorder.counts();
    assert!(kept > 100 && kept < all / 10, "{kept} of {all}");
    rig.check_replay();
}
