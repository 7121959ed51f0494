//! Whatever happens to a whole team between its switch and its NICs, no frame is sent twice, lost without being counted, passes one of
//! its flow, or is given to a NIC that does not work.

#[path = "support/wired.rs"]
mod wired;

use base::{Instant, LinkSpeed, MacAddress, NicCondition};
use nic_manager::{
    AdminState, BeaconSettings, FailbackMode, FrameKey, InDoubtPolicy, MemberFault, MemberId, MemberRole,
    NoticeSettings, TeamPolicy, TeamSettings,
};
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use testkit::frame::mac;
use wired::{FLOWS, GATEWAY, WiredTeam, number};

const GUESTS: usize = 3;
const MOST_MEMBERS: usize = 4;
/// A NIC that works sends so many frames in so many milliseconds at least, more than the team has of its own: who sends none of the guests'
/// for 2 s is waited for no longer.
const PIECE: u64 = 50;
const ENOUGH: usize = 16;

/// What happens between two steps. Members beyond the last one count from the first again.
#[derive(Clone, Debug)]
enum TeamStep {
    /// A guest sends a burst of one of its flows, of those that there are in this history.
    Arrive { guest: usize, flow: usize, count: usize },
    /// A NIC accepts so many more frames from now on.
    Space { member: usize, space: usize },
    /// It sends some of what it has kept.
    Send { member: usize, count: usize },
    /// It sends some more, and loses its link; of what it has fetched, so many frames are in doubt.
    Die { member: usize, sends: usize, doubt: usize },
    /// It does not send any more, although it has its link; that is seen at once, or when it has taken too long.
    Hang { member: usize, seen: bool },
    /// Its links have this speed.
    Speed { member: usize, speed: LinkSpeed },
    /// It is behind another switch than the other members, or not any more.
    Apart { member: usize, apart: bool },
    /// It is in this condition, with a link only if it is ready.
    Condition { member: usize, condition: NicCondition },
    /// The operator wants this of it.
    Admin { member: usize, state: AdminState },
    /// The operator wants another policy.
    Policy(TeamPolicy),
    /// So many milliseconds pass.
    Wait(u64),
}

fn step() -> impl Strategy<Value = TeamStep> {
    use TeamStep::*;
    let (guest, flow, member) = (0..GUESTS, 0..FLOWS, 0..MOST_MEMBERS);
    let conditions = vec![NicCondition::Resetting, NicCondition::Failed];
    let states = vec![AdminState::Up, AdminState::Up, AdminState::Drain, AdminState::Down];
    prop_oneof![
        8 => (guest, flow, 1_usize..50).prop_map(|(guest, flow, count)| Arrive { guest, flow, count }),
        2 => (member.clone(), 0_usize..50).prop_map(|(member, space)| Space { member, space }),
        5 => (member.clone(), 1_usize..60).prop_map(|(member, count)| Send { member, count }),
        4 => (member.clone(), 0_usize..20, 0_usize..3).prop_map(|(member, sends, doubt)| {
            Die { member, sends, doubt }
        }),
        2 => (member.clone(), any::<bool>()).prop_map(|(member, seen)| Hang { member, seen }),
        1 => (member.clone(), speed()).prop_map(|(member, speed)| Speed { member, speed }),
        1 => (member.clone(), any::<bool>()).prop_map(|(member, apart)| Apart { member, apart }),
        1 => (member.clone(), prop::sample::select(conditions)).prop_map(|(member, condition)| {
            Condition { member, condition }
        }),
        4 => member.clone().prop_map(|member| Condition { member, condition: NicCondition::Ready }),
        2 => (member, prop::sample::select(states)).prop_map(|(member, state)| Admin { member, state }),
        2 => prop::sample::select(TeamPolicy::ALL.to_vec()).prop_map(Policy),
        3 => prop_oneof![2 => 0_u64..15, 2 => 0_u64..250, 1 => 0_u64..3000].prop_map(Wait),
    ]
}

fn speed() -> impl Strategy<Value = LinkSpeed> {
    prop::sample::select(vec![LinkSpeed::Mbps10, LinkSpeed::Mbps100, LinkSpeed::Mbps1000])
}

/// The first member is always an active one.
fn roles() -> impl Strategy<Value = Vec<MemberRole>> {
    let role = prop_oneof![
        3 => Just(MemberRole::Active),
        3 => Just(MemberRole::Standby),
        1 => Just(MemberRole::Unused)
    ];
    vec(role, 1..MOST_MEMBERS).prop_map(|others| [vec![MemberRole::Active], others].concat())
}

fn settings() -> impl Strategy<Value = TeamSettings> {
    use FailbackMode::{Always, Better, Manual, OnFailure};
    let failback = prop::sample::select(vec![Always, Better, OnFailure, Manual]);
    let delays = (prop_oneof![Just(0_u32), Just(1000)], prop_oneof![3 => Just(0_u32), 1 => Just(30)]);
    let policy = prop::sample::select(TeamPolicy::ALL.to_vec());
    let in_doubt = prop::sample::select(vec![InDoubtPolicy::NoDuplicate, InDoubtPolicy::NoLoss]);
    (policy, failback, delays, 0_u8..3, in_doubt, beacon()).prop_map(
        |(policy, failback, (up_delay_ms, down_delay_ms), copies, in_doubt, beacon)| {
            let notice = NoticeSettings { copies, spacing_ms: 10 };
            TeamSettings { policy, failback, up_delay_ms, down_delay_ms, beacon, notice, in_doubt }
        },
    )
}

/// None in half of all teams; else without a tag or in a VLAN, and with a gateway or without.
fn beacon() -> impl Strategy<Value = Option<BeaconSettings>> {
    let settings = (40_u32..400, 1_u8..4, any::<bool>(), any::<bool>());
    prop::option::of(settings.prop_map(|(interval_ms, lost, is_tagged, asks)| BeaconSettings {
        interval_ms,
        lost,
        vlans: is_tagged.then_some(7).into_iter().collect(),
        gateway: (asks && !is_tagged).then(|| GATEWAY.into()),
    }))
}

/// Few flows in each history, so that they meet.
fn flows() -> impl Strategy<Value = Vec<usize>> {
    prop::sample::subsequence((0..FLOWS).collect::<Vec<_>>(), 1..=3)
}

fn apply(team: &mut WiredTeam, step: TeamStep) {
    let (members, now) = (team.roles.len(), Instant(team.now));
    match step {
        TeamStep::Arrive { guest, flow, count } => {
            team.arrive(guest, team.chosen[flow % team.chosen.len()], count)
        }
        TeamStep::Space { member, space } => team.member(member % members).set_space(space),
        TeamStep::Send { member, count } => team.leave(member % members, count),
        TeamStep::Die { member, sends, doubt } => {
            team.leave(member % members, sends);
            team.member(member % members).unplug(doubt);
        }
        TeamStep::Hang { member, seen } => team.member(member % members).hang(seen, now),
        TeamStep::Speed { member, speed } => team.member(member % members).set_speed(speed),
        TeamStep::Apart { member, apart } => team.apart[member % members] = apart,
        TeamStep::Condition { member, condition } => team.member(member % members).set_condition(condition),
        TeamStep::Admin { member, state } => {
            team.wanted[member % members] = state != AdminState::Down;
            team.team.administer(wired::id(member % members), state, now);
        }
        TeamStep::Policy(policy) => team.team.set_policy(policy, now),
        TeamStep::Wait(millis) => wait(team, millis),
    }
}

/// Time passes, in which NICs that work send something.
fn wait(team: &mut WiredTeam, millis: u64) {
    for piece in (0..millis).step_by(PIECE as usize) {
        (0..team.roles.len()).for_each(|member| team.leave(member, ENOUGH));
        team.now += PIECE.min(millis - piece) * 1_000_000;
        team.attend();
        run(team);
    }
}

/// The switch has its turn. No NIC is given frames of guests that the team does not use, as far as it knows.
fn run(team: &mut WiredTeam) {
    let usable = team.team.manager().usable();
    let unused: Vec<_> =
        (0..team.roles.len()).filter(|member| !usable.contains(wired::id(*member))).collect();
    let before: Vec<_> = unused.iter().map(|member| team.member(*member).nic.sent.len()).collect();
    team.run();
    for (place, before) in unused.into_iter().zip(before) {
        let known = team.known[place];
        let member = team.member(place);
        let given = member.nic.sent.iter().skip(before).filter_map(|frame| number(frame)).count();
        assert_eq!(given, 0, "frames are given to member {place}, which is not used");
        let empty = known || !member.stopped || member.holds() == 0;
        assert!(empty, "member {place} keeps what others could send");
    }
}

/// A member is used only if it can be, or could a moment ago where that is allowed; and one is used if any can.
fn check_usable(team: &WiredTeam) {
    let usable = team.team.manager().usable();
    let delayed = team.team.manager().settings().down_delay_ms > 0;
    let works = |place: &usize| team.known[*place];
    let wanted = |place: &usize| team.wanted[*place] && team.roles[*place] != MemberRole::Unused;
    for place in usable.iter().map(MemberId::index) {
        assert!(wanted(&place) && (works(&place) || delayed), "member {place} is used");
    }
    let any = (0..team.roles.len()).any(|place| works(&place) && wanted(&place));
    assert!(!usable.is_empty() || !any, "nobody is used, and somebody could be");
}

/// All is well again, and everything is sent.
fn finish(team: &mut WiredTeam) {
    for member in 0..team.roles.len() {
        apply(team, TeamStep::Apart { member, apart: false });
        apply(team, TeamStep::Admin { member, state: AdminState::Up });
        apply(team, TeamStep::Condition { member, condition: NicCondition::Ready });
    }
    let busy = |team: &WiredTeam| team.guests.iter().any(|guest| guest.lent() + guest.incoming.len() > 0);
    wait(team, 1);
    let mut rounds = 0;
    while busy(team) {
        rounds += 1;
        assert!(rounds < 1000, "frames stay behind");
        (0..team.roles.len()).for_each(|member| team.leave(member, usize::MAX));
        wait(team, 10);
    }
}

/// Of all frames each is on the wire, or counted; those of a flow in the order in which its guest has sent them. None is there twice, or
/// counted as well, but those that NICs have given back though they had left them: those that are sent again are in order, too.
fn check_wire(team: &WiredTeam) {
    let doubtful: usize = team.team.members().map(|member| member.in_doubt).sum();
    let all = team.wire.len() as u64 + team.dropped() + doubtful as u64;
    let (sent, repeated) = (team.flows.len() as u64, team.repeated as u64);
    assert_eq!(all, sent + repeated, "{} on the wire, {doubtful} in doubt", team.wire.len());
    let twice = team.wire.len() - team.wire.iter().collect::<HashSet<_>>().len();
    assert!(twice <= team.repeated, "{twice} are sent twice");
    let (mut times, mut last) = (HashMap::new(), HashMap::new());
    for number in &team.wire {
        let times = times.entry(*number).and_modify(|times| *times += 1).or_insert(1_u32);
        let before = last.insert((team.flows[*number as usize], *times), *number);
        assert!(before.is_none_or(|before| before < *number), "{before:?} before {number}, {times} times");
    }
    // The members' questions to the gateway are for all stations, and what has waited in a NIC for long is no echo any more.
    let heard = team.guests.iter().flat_map(|guest| &guest.sent);
    let mut beacons = heard.clone().filter(|frame| frame[..6] == MacAddress::BEACONS.0);
    let mut echoes = heard.filter(|frame| (1..=GUESTS as u8).any(|guest| frame[6..12] == mac(guest).0));
    assert_eq!((echoes.next(), beacons.next()), (None, None), "a guest has heard what its team has said");
}

/// Whatever was wrong with members, they are seen to work again.
fn check_found(team: &WiredTeam) {
    for (place, member) in team.team.manager().members().enumerate() {
        let gone = matches!(member.fault, Some(MemberFault::CutOff | MemberFault::Stall | MemberFault::Link));
        assert!(!gone, "member {place}: {:?}, {:?} beacons missed", member.fault, member.missed);
    }
}

/// What comes next goes where the manager's table says, whatever decides about it and whatever has come before.
fn check_routes(team: &mut WiredTeam) {
    for (guest, policy) in
        [TeamPolicy::Port, TeamPolicy::SourceMac, TeamPolicy::IpHash].into_iter().enumerate()
    {
        team.team.set_policy(policy, Instant(team.now));
        wait(team, 1);
        for flow in (0..FLOWS).chain((0..FLOWS).rev()) {
            let bucket = wired::bucket(FrameKey::of(policy), guest, flow);
            let carrier = team.team.manager().table().get(bucket).expect("all members work").index();
            team.arrive(guest, flow, 1);
            run(team);
            team.leave(carrier, usize::MAX);
            let number = team.flows.len() as u32 - 1;
            assert_eq!(
                team.wire.last(),
                Some(&number),
                "flow {flow} of guest {guest} by {carrier}, {policy}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2500))]

    #[test]
    fn frames_are_sent_once_in_order_by_nics_that_work_or_are_counted(
        settings in settings(),
        roles in roles(),
        reset_ms in 1_u64..=220,
        flows in flows(),
        steps in vec((step(), prop::bool::weighted(0.7)), 1..100),
    ) {
        let mut team = WiredTeam::new(settings, &roles, GUESTS, reset_ms);
        team.chosen = flows;
        for (step, attends) in steps {
            apply(&mut team, step);
            if attends {
                team.attend();
                check_usable(&team);
            }
            run(&mut team);
        }
        finish(&mut team);
        check_wire(&team);
        // Who was cut off must be heard for a second.
        wait(&mut team, 2500);
        check_found(&team);
        check_routes(&mut team);
        testkit::check_replay(team.team.recorder());
    }
}
