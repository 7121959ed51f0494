//! What has happened to a team, so that its decisions can be replayed: a bounded history of events, and the state of the manager at
//! its beginning.
//!
//! The oldest events make room for new ones. A second manager, the shadow, executes them as they go: so its state is always
//! that before the oldest event that is kept. Each event is kept with a digest of what it led to: actions, and a table.

use crate::{Manager, TeamAction, TeamEvent};
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use base::Instant;
use base::bits::low_u16;
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// Bytes of events that are kept: some minutes of samples of four members at one a second, and thousands of other events.
const KEPT: usize = 16 * 1024;

/// Bytes of one event, which has at most 543: see `the_largest_team_fits`.
const LONGEST: usize = 576;

/// The format of a history that is read out.
pub(crate) const VERSION: u8 = 2;

/// An event with its time and the digest of what it led to.
#[derive(Serialize, Deserialize)]
pub(crate) struct HistoryEntry {
    /// Nanoseconds since the event before it, modulo 2^64: time may go back, and a replay is to see the same.
    pub(crate) after: u64,
    pub(crate) event: TeamEvent,
    pub(crate) digest: u16,
}

/// What stands before the manager's state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct HistoryHead {
    pub(crate) version: u8,
    /// The number of the first event, counted from 0 at the start.
    pub(crate) first: u64,
    /// The time before it.
    pub(crate) since: Instant,
}

/// A manager that keeps a history of what happens to it.
pub struct Recorder {
    manager: Box<Manager>,
    shadow: Box<Manager>,
    /// Entries, each behind its length in two bytes.
    kept: VecDeque<u8>,
    /// When the last event before them was, and the number of the first of them.
    since: Instant,
    first: u64,
    /// When the last of them was, and how many there are.
    last: Instant,
    count: u64,
    scratch: Box<[u8]>,
}

impl Recorder {
    /// The manager of a team to which nothing has happened.
    #[must_use]
    pub fn new(manager: Manager) -> Self {
        Self {
            shadow: Box::new(manager.clone()),
            manager: Box::new(manager),
            kept: VecDeque::with_capacity(KEPT + LONGEST + 2),
            since: Instant::ZERO,
            first: 0,
            last: Instant::ZERO,
            count: 0,
            scratch: alloc::vec![0; LONGEST].into_boxed_slice(),
        }
    }

    /// The manager.
    #[must_use]
    pub fn manager(&self) -> &Manager {
        &self.manager
    }

    /// What has happened, and when: see [`Manager::handle`].
    pub fn handle(&mut self, event: TeamEvent, now: Instant, act: &mut dyn FnMut(TeamAction)) {
        let digest = ActionDigest::of(&mut self.manager, &event, now, act);
        let after = now.0.wrapping_sub(self.last.0);
        let entry = HistoryEntry { after, event, digest };
        (self.last, self.count) = (now, self.count + 1);
        let Ok(bytes) = postcard::to_slice(&entry, &mut self.scratch) else { return self.begin_anew() };
        self.kept.extend(low_u16(bytes.len() as u64).to_le_bytes());
        self.kept.extend(&*bytes);
        while self.kept.len() > KEPT {
            self.forget_one();
        }
    }

    /// Lets the shadow execute the oldest event, which is kept no longer.
    fn forget_one(&mut self) {
        let mut length = [0; 2];
        length.fill_with(|| self.kept.pop_front().unwrap_or(0));
        let bytes = &mut self.scratch[..usize::from(u16::from_le_bytes(length))];
        bytes.fill_with(|| self.kept.pop_front().unwrap_or(0));
        let Ok(HistoryEntry { after, event, .. }) = postcard::from_bytes(bytes) else {
            return self.begin_anew();
        };
        self.since = Instant(self.since.0.wrapping_add(after));
        self.shadow.handle(&event, self.since, &mut drop);
        (self.first, self.count) = (self.first + 1, self.count - 1);
    }

    /// Forgets all events: what is lacking one would replay to something else.
    fn begin_anew(&mut self) {
        self.shadow.clone_from(&self.manager);
        self.kept.clear();
        (self.first, self.count, self.since) = (self.first + self.count, 0, self.last);
    }

    /// Number of events that are kept, and of all that there were.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.count, self.first + self.count)
    }

    /// Passes the history as bytes to `take`, in pieces.
    pub fn read_out(&self, mut take: impl FnMut(&[u8])) {
        let head = HistoryHead { version: VERSION, first: self.first, since: self.since };
        encode(&head, &mut take);
        encode(&*self.shadow, &mut take);
        let (one, other) = self.kept.as_slices();
        take(one);
        take(other);
    }
}

/// Passes the encoding of a value to `take`, in pieces.
fn encode(value: &impl Serialize, take: &mut dyn FnMut(&[u8])) {
    // Only a flavour that runs out of room fails, or a sequence of unknown length.
    let passed = postcard::serialize_with_flavor(value, PassedOn(take));
    debug_assert!(passed.is_ok(), "{passed:?}");
}

/// What is encoded goes to a function.
struct PassedOn<'a>(&'a mut dyn FnMut(&[u8]));

impl Flavor for PassedOn<'_> {
    type Output = ();

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        (self.0)(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A digest of decisions: FNV-1a of the encoding of actions, and of the table where it has changed. Other than what Rust hashes of them,
/// no compiler changes it.
pub(crate) struct ActionDigest(u64);

impl ActionDigest {
    /// Lets a manager handle an event. Returns the digest of what it does.
    pub(crate) fn of(
        manager: &mut Manager,
        event: &TeamEvent,
        now: Instant,
        act: &mut dyn FnMut(TeamAction),
    ) -> u16 {
        let (mut digest, mut switched) = (Self(0xcbf2_9ce4_8422_2325), false);
        manager.handle(event, now, &mut |action| {
            digest.add(&action);
            switched |= action == TeamAction::Switch;
            act(action);
        });
        if switched {
            digest.add(manager.table());
        }
        low_u16(digest.0 ^ digest.0 >> 16 ^ digest.0 >> 32 ^ digest.0 >> 48)
    }

    fn add(&mut self, value: &impl Serialize) {
        encode(value, &mut |bytes| {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        BeaconSettings, MAX_ADDRESSES, MAX_MEMBERS, MAX_VNICS, MemberId, MemberRole, MemberSample, Replay,
        TeamPolicy, TeamSample, TeamSettings, VnicId, VnicInfo,
    };
    use alloc::vec::Vec;
    use base::{Duplex, LinkSpeed, LinkStatus, MacAddress, NicCondition};

    #[test]
    fn a_digest_tells_tables_apart_that_the_same_actions_have_led_to() {
        let link = |megabits| LinkStatus { up: true, speed: megabits, duplex: Duplex::Full };
        let mut manager = Manager::new(TeamSettings::STANDARD, &[MemberRole::Active; 2], &[]);
        for member in (0..2).filter_map(MemberId::new) {
            let link = link(LinkSpeed::Mbps1000);
            let event = TeamEvent::Nic { member, condition: NicCondition::Ready, link };
            manager.handle(&event, Instant::ZERO, &mut drop);
        }
        let digest = |manager: &Manager| {
            let (mut manager, mut actions) = (manager.clone(), Vec::new());
            let event = TeamEvent::Policy(TeamPolicy::IpHash);
            let digest =
                ActionDigest::of(&mut manager, &event, Instant(1), &mut |action| actions.push(action));
            (digest, actions)
        };
        let mut other = manager.clone();
        other.members[0].link = link(LinkSpeed::Mbps100);
        let ((digest, actions), (digest_of_other, actions_of_other)) = (digest(&manager), digest(&other));
        assert_eq!(actions, actions_of_other);
        assert_ne!(digest, digest_of_other);
    }

    /// A team in which every number is as large as it can be.
    fn largest() -> Recorder {
        let beacon = BeaconSettings {
            interval_ms: u32::MAX,
            lost: u8::MAX,
            vlans: core::iter::repeat_n(u16::MAX, crate::MAX_BEACON_VLANS).collect(),
            gateway: Some(core::net::IpAddr::V6(core::net::Ipv6Addr::from_bits(u128::MAX))),
        };
        let delays =
            TeamSettings { up_delay_ms: u32::MAX, down_delay_ms: u32::MAX, ..TeamSettings::STANDARD };
        let settings = TeamSettings { policy: TeamPolicy::Load, beacon: Some(beacon), ..delays };
        let mac = MacAddress([0xff; 6]);
        let vnic = |port| VnicInfo { port, vm: u8::MAX, number: u8::MAX, mac, priority: u8::MAX };
        let vnics: Vec<_> = (1..=MAX_VNICS as u8).map(vnic).collect();
        Recorder::new(Manager::new(settings, &[MemberRole::Active; MAX_MEMBERS], &vnics))
    }

    fn largest_sample() -> TeamEvent {
        let member = MemberSample {
            sent: u64::MAX,
            received: u64::MAX,
            frames: u64::MAX,
            errors: u64::MAX,
            longest_wait: u32::MAX,
            heard: (0..MAX_MEMBERS).filter_map(MemberId::new).collect(),
            answered: true,
        };
        let members = core::iter::repeat_n(member, MAX_MEMBERS).collect();
        TeamEvent::Sample(TeamSample {
            ends_round: true,
            members,
            vnics: core::iter::repeat_n(u64::MAX, MAX_VNICS).collect(),
        })
    }

    fn check_replay(recorder: &Recorder) {
        let mut bytes = Vec::new();
        recorder.read_out(|piece| bytes.extend_from_slice(piece));
        let mut replay = Replay::new(&bytes).expect("it is whole");
        while let Some(step) = replay.next(&mut drop).expect("it is whole") {
            assert!(step.same, "{step:?}");
        }
        assert_eq!(replay.manager(), recorder.manager());
    }

    #[test]
    fn the_largest_team_fits() {
        let (mut recorder, now) = (largest(), Instant(u64::MAX));
        let capacity = recorder.kept.capacity();
        let link = LinkStatus { up: true, speed: LinkSpeed::Mbps1000, duplex: Duplex::Full };
        for member in (0..MAX_MEMBERS).filter_map(MemberId::new) {
            recorder.handle(TeamEvent::Nic { member, condition: NicCondition::Ready, link }, now, &mut drop);
        }
        for vnic in (0..MAX_VNICS as u8).map(VnicId) {
            for last in 0..MAX_ADDRESSES as u8 {
                let (mac, vlan) = (MacAddress([0xff, 0xff, 0xff, 0xff, 0xff, last]), Some(u16::MAX));
                recorder.handle(TeamEvent::Address { vnic, mac, vlan }, now, &mut drop);
            }
            recorder.handle(TeamEvent::Vnic { vnic, on: true }, now, &mut drop);
        }
        let (before, at) = (recorder.kept.len(), Instant(now.0 - 1));
        recorder.handle(largest_sample(), at, &mut drop);
        assert_eq!(recorder.kept.len() - before, 2 + 543, "all of it");
        for _ in 0..100 {
            recorder.handle(largest_sample(), now, &mut drop);
            recorder.handle(largest_sample(), at, &mut drop);
            assert!(recorder.kept.len() <= KEPT);
        }
        assert!(recorder.kept.len() > KEPT - LONGEST && recorder.first > 0);
        assert_eq!(recorder.kept.capacity(), capacity, "nothing was allocated");
        check_replay(&recorder);
        let mut state = 0;
        encode(&*recorder.shadow, &mut |piece| state += piece.len());
        assert!((4000..5000).contains(&state), "{state} bytes of state");
    }

    #[test]
    fn time_that_goes_back_replays_to_the_same() {
        let mut recorder = largest();
        let member = MemberId::new(0).unwrap();
        for (number, at) in
            [9_000_000_000, 3, u64::MAX, 0, 5_000_000_000].into_iter().cycle().take(999).enumerate()
        {
            let link = LinkStatus { up: number % 2 == 0, ..LinkStatus::DOWN };
            recorder.handle(
                TeamEvent::Nic { member, condition: NicCondition::Ready, link },
                Instant(at),
                &mut drop,
            );
            recorder.handle(largest_sample(), Instant(at), &mut drop);
        }
        assert!(recorder.first > 0, "the shadow has executed some");
        check_replay(&recorder);
    }

    #[test]
    fn an_event_that_cannot_be_kept_begins_another_history() {
        let mut recorder = largest();
        recorder.handle(TeamEvent::Tick, Instant(5), &mut drop);
        recorder.scratch = alloc::vec![0; 100].into_boxed_slice();
        recorder.handle(largest_sample(), Instant(7), &mut drop);
        assert_eq!(recorder.counts(), (0, 2));
        recorder.handle(TeamEvent::Tick, Instant(9), &mut drop);
        assert_eq!(recorder.counts(), (1, 3));
        check_replay(&recorder);
    }
}
