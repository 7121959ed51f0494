//! Which member carries what: by port, by source address, by IP addresses, by load.

mod support;

use base::{Duration, LentFrame, LinkSpeed, LinkStatus, MacAddress, NicCondition};
use nic_manager::{
    BUCKETS, FrameKey, MemberRole, MemberSample, MoveReason, TeamEvent, TeamNote, TeamPolicy, TeamSample,
    TeamSettings, VnicId,
};
use support::{LINK, Rig, id, mac, vnics};

const SECOND: Duration = Duration::from_secs(1);

fn by(policy: TeamPolicy, members: usize, vnics: usize) -> Rig {
    Rig::new(TeamSettings { policy, ..TeamSettings::STANDARD }, members, vnics)
}

/// How many buckets each of four members has.
fn shares(rig: &Rig) -> [usize; 4] {
    let mut shares = [0; 4];
    rig.manager().table().iter().flatten().for_each(|member| shares[member.index()] += 1);
    shares
}

#[test]
fn f20_vnics_are_divided_evenly_and_stay_where_they_are_when_others_fail() {
    let mut rig = by(TeamPolicy::Port, 4, 12);
    let before = rig.carriers();
    for member in 0..4 {
        assert_eq!(before.iter().filter(|carrier| **carrier == Some(member)).count(), 3);
    }
    rig.link(2, false);
    let after = rig.carriers();
    for (before, after) in before.iter().zip(&after) {
        assert!(before == after || *before == Some(2), "only those of the failed member move");
    }
    for member in [0, 1, 3] {
        assert_eq!(after.iter().filter(|carrier| **carrier == Some(member)).count(), 4, "{after:?}");
    }
    rig.link(2, true);
    rig.pass(SECOND * 2);
    assert_eq!(rig.carriers(), before);
}

#[test]
fn f20_all_members_are_used_from_the_start_without_any_setting() {
    let rig = Rig::new(TeamSettings::STANDARD, 4, 4);
    assert_eq!(rig.carriers(), [0, 1, 2, 3].map(Some));
}

#[test]
fn f21_source_addresses_are_spread_over_256_buckets_in_proportion_to_the_speeds() {
    let mut rig = by(TeamPolicy::SourceMac, 4, 1);
    assert_eq!(shares(&rig), [64; 4]);
    rig.nic(3, NicCondition::Ready, LinkStatus { speed: LinkSpeed::Mbps100, ..LINK });
    let [a, b, c, d] = shares(&rig);
    assert!(
        a.abs_diff(82) < 3 && b.abs_diff(82) < 3 && c.abs_diff(82) < 3 && d.abs_diff(8) < 3,
        "{a} {b} {c} {d}"
    );
    rig.link(0, false);
    let after = shares(&rig);
    assert_eq!((after[0], after.iter().sum::<usize>()), (0, BUCKETS));
    assert!(after[3] < 16 && after[1].abs_diff(after[2]) < 3, "{after:?}");
}

#[test]
fn f21_an_address_has_one_bucket_in_each_vlan_and_frames_of_it_no_other() {
    let frame = |mac: MacAddress, vlan: Option<u16>, payload: u8| {
        let tag = vlan.map(|vlan| [&[0x81, 0][..], &vlan.to_be_bytes()].concat()).unwrap_or_default();
        [&[0xff; 6][..], &mac.0, &tag, &[0x08, 0x00], &[payload; 60]].concat()
    };
    let mut used = std::collections::BTreeSet::new();
    for number in 0..200 {
        for vlan in [None, Some(1), Some(4094)] {
            let bucket = |payload, port| {
                FrameKey::SourceMac.bucket(&LentFrame::whole(&frame(mac(number), vlan, payload)), port)
            };
            assert_eq!(bucket(1, 1), bucket(2, 3));
            used.insert(bucket(0, 0));
        }
    }
    assert!(used.len() > 200, "{} buckets of 256", used.len());
}

#[test]
fn f21_switches_are_told_of_the_addresses_in_buckets_that_have_moved_and_of_no_others() {
    let mut rig = by(TeamPolicy::SourceMac, 2, 15);
    rig.link(0, false);
    let told = rig.announced();
    assert!(!told.is_empty() && told.len() < 15, "about half of them were there: {told:?}");
    rig.link(0, true);
    rig.actions.clear();
    rig.pass(Duration::from_millis(1000));
    let back: std::collections::BTreeSet<_> = rig.announced().into_iter().map(|(mac, ..)| mac).collect();
    assert_eq!(back, told.into_iter().map(|(mac, ..)| mac).collect());
}

/// An IPv4 packet, or a fragment of one, between these hosts.
fn ipv4(from: u8, to: u8, port: u16, fragment: u16) -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &mac(1).0, &[0x08, 0x00, 0x45, 0, 0, 60, 0, 1]].concat();
    frame.extend(fragment.to_be_bytes());
    frame.extend([64, 17, 0, 0, 10, 0, 5, from, 10, 0, 6, to]);
    frame.extend(port.to_be_bytes());
    frame.resize(80, 0);
    frame
}

/// The same of IPv6.
fn ipv6(from: u8, to: u8, next: u8) -> Vec<u8> {
    let mut frame = [&[0xff; 6][..], &mac(1).0, &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, next, 64]].concat();
    for host in [from, to] {
        frame.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    }
    frame.resize(90, 0);
    frame
}

#[test]
fn f22_packets_between_two_hosts_have_one_bucket_fragments_and_all() {
    let bucket = |frame: &[u8]| FrameKey::IpHash.bucket(&LentFrame::whole(frame), 0);
    let tagged = |frame: &[u8]| [&frame[..12], &[0x81, 0, 0, 5], &frame[12..]].concat();
    let mut used = [std::collections::BTreeSet::new(), std::collections::BTreeSet::new()];
    for to in 0..200 {
        let one = bucket(&ipv4(2, to, 80, 0x2000));
        assert_eq!(one, bucket(&ipv4(2, to, 0xffff, 185)), "a later fragment, without ports");
        assert_eq!(one, bucket(&tagged(&ipv4(2, to, 80, 0))));
        let other = bucket(&ipv6(2, to, 6));
        assert_eq!(other, bucket(&ipv6(2, to, 44)), "a fragment");
        assert_eq!(other, bucket(&tagged(&ipv6(2, to, 6))));
        used[0].insert(one);
        used[1].insert(other);
    }
    assert!(used.iter().all(|used| used.len() > 100), "{} and {}", used[0].len(), used[1].len());
    let arp = [&[0xff; 6][..], &mac(1).0, &[0x08, 0x06], &[0; 46]].concat();
    let source = FrameKey::SourceMac.bucket(&LentFrame::whole(&arp), 0);
    assert_eq!(bucket(&arp), source, "what is no IP goes by its source");
    for short in 0..40 {
        bucket(&ipv4(1, 2, 3, 0)[..short]);
        bucket(&ipv6(1, 2, 3)[..short]);
    }
}

#[test]
fn f22_with_an_ip_hash_switches_are_told_nothing() {
    let mut rig = by(TeamPolicy::IpHash, 2, 3);
    rig.link(0, false);
    assert_eq!(rig.announced(), []);
}

/// A second in which the vNICs send so many megabits, by the members that carry them.
fn load(rig: &Rig, megabits: &[u64]) -> TeamSample {
    let bytes = |megabits: u64| megabits * 125_000;
    let mut members = [MemberSample::default(); 4];
    for (carrier, megabits) in rig.carriers().iter().zip(megabits) {
        members[carrier.expect("one")].sent += bytes(*megabits);
    }
    TeamSample {
        ends_round: true,
        members: members[..rig.members].iter().copied().collect(),
        vnics: megabits.iter().map(|megabits| bytes(*megabits)).collect(),
    }
}

fn seconds(rig: &mut Rig, count: usize, megabits: &[u64]) {
    for _ in 0..count {
        let sample = load(rig, megabits);
        rig.now = rig.now + SECOND;
        rig.tell(TeamEvent::Sample(sample));
    }
}

#[test]
fn f23_a_vnic_moves_when_its_member_was_loaded_for_thirty_seconds_and_that_helps() {
    let mut rig = by(TeamPolicy::Load, 2, 4);
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(0), Some(1)]);
    let loads = [500, 50, 400, 50];
    seconds(&mut rig, 29, &loads);
    assert_eq!(rig.notes(), []);
    seconds(&mut rig, 2, &loads);
    let moved = rig.carriers();
    assert!(
        moved == [Some(0), Some(1), Some(1), Some(1)] || moved == [Some(1), Some(1), Some(0), Some(1)],
        "{moved:?}"
    );
    assert!(matches!(rig.notes()[..], [TeamNote::Moved { reason: MoveReason::Load, .. }]));
    seconds(&mut rig, 600, &loads);
    assert_eq!((rig.carriers(), rig.notes()), (moved, vec![]), "and stays there");
    rig.check_replay();
}

#[test]
fn f23_a_heavy_flow_never_oscillates() {
    let mut rig = by(TeamPolicy::Load, 2, 3);
    // One vNIC alone loads whichever member it is on.
    seconds(&mut rig, 1000, &[950, 10, 10]);
    let moves = rig.notes().iter().filter(|note| matches!(note, TeamNote::Moved { .. })).count();
    assert!(moves <= 1, "{moves} moves: at most the small one beside it");
    let mut rig = by(TeamPolicy::Load, 2, 1);
    seconds(&mut rig, 1000, &[950]);
    assert_eq!(rig.notes(), []);
}

#[test]
fn f23_a_short_burst_and_a_load_below_three_quarters_move_nothing() {
    let mut rig = by(TeamPolicy::Load, 2, 4);
    for _ in 0..20 {
        seconds(&mut rig, 25, &[500, 0, 450, 0]);
        seconds(&mut rig, 2, &[0, 0, 0, 0]);
    }
    seconds(&mut rig, 200, &[370, 0, 370, 0]);
    assert_eq!(rig.notes(), []);
}

#[test]
fn f23_of_those_that_could_move_the_least_important_one_does() {
    let settings = TeamSettings { policy: TeamPolicy::Load, ..TeamSettings::STANDARD };
    for important in [0, 2] {
        let mut priorities = [1; 4];
        priorities[important] = 7;
        let mut rig = Rig::with(settings.clone(), &[MemberRole::Active; 2], &vnics(&priorities));
        rig.start();
        let before = rig.carriers();
        let member = before[important].unwrap();
        let beside: Vec<usize> = (0..4).filter(|vnic| before[*vnic] == Some(member)).collect();
        let mut loads = [20; 4];
        beside.iter().for_each(|vnic| loads[*vnic] = 450);
        seconds(&mut rig, 40, &loads);
        assert_eq!(rig.carriers()[important], Some(member), "it keeps its NIC");
        assert_ne!(rig.carriers(), before);
    }
}

#[test]
fn f23_what_load_has_moved_comes_back_there_after_a_failure() {
    let mut rig = by(TeamPolicy::Load, 2, 4);
    seconds(&mut rig, 40, &[500, 50, 400, 50]);
    let moved = rig.carriers();
    rig.link(1, false);
    assert_eq!(rig.carriers(), [Some(0); 4]);
    rig.link(1, true);
    rig.pass(SECOND * 2);
    assert_eq!(rig.carriers(), moved);
    rig.tell(TeamEvent::Policy(TeamPolicy::Port));
    assert_eq!(rig.carriers(), [Some(0), Some(1), Some(0), Some(1)], "by port they are where they were");
}

#[test]
fn counters_that_go_back_when_a_nic_is_reset_move_nothing_and_panic_nowhere() {
    let mut rig = by(TeamPolicy::Load, 2, 2);
    let huge = MemberSample { sent: u64::MAX, errors: u64::MAX, frames: u64::MAX, ..MemberSample::default() };
    for _ in 0..5 {
        let members = [huge; 2].into_iter().collect();
        rig.tell(TeamEvent::Sample(TeamSample {
            ends_round: true,
            members,
            vnics: [u64::MAX; 2].into_iter().collect(),
        }));
        rig.now = rig.now + SECOND;
    }
    rig.tell(TeamEvent::Nic { member: id(0), condition: NicCondition::Failed, link: LinkStatus::DOWN });
    assert_eq!(rig.carriers(), [Some(1); 2]);
    rig.tell(TeamEvent::Vnic { vnic: VnicId(200), on: true });
    rig.tell(TeamEvent::Nic { member: id(7), condition: NicCondition::Ready, link: LINK });
}
