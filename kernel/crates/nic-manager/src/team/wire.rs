//! What a team itself looks for in frames from the wire.

use super::own::{Notice, OwnFrames};
use crate::frames::duplicate::WINDOW;
use crate::frames::{
    BeaconFilter, BeaconKey, BeaconRefusal, DuplicateFilter, EchoFilter, LocalAddress, Provenance, is_answer,
    provenance,
};
use crate::{BeaconSettings, MAX_MEMBERS, MAX_VNICS, MemberId, TeamSettings, VnicInfo};
use base::{Duration, Instant, LentFrame, MacAddress, Port};
use core::net::IpAddr;

/// An answer of the gateway counts for so long.
const ANSWERS: Duration = Duration::from_secs(1);

/// What is random about a team: nobody on the wire, and no guest, may be able to know it.
#[derive(Clone, Copy, Debug)]
pub struct TeamSecrets {
    /// The key of the host's beacons.
    pub beacons: [u64; 2],
    /// The key by which copies of a frame are known.
    pub copies: [u64; 2],
}

/// What a team has said on the wire, and what it has not passed on to its switch, by cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct TeamCounters {
    /// Frames of its own that were sent.
    pub own_sent: u64,
    /// Those for which there was no room.
    pub own_dropped: u64,
    /// Beacons that show that members hear each other.
    pub beacons_heard: u64,
    /// Other beacons, by the cause of their refusal.
    pub beacons_refused: [u64; BeaconRefusal::ALL.len()],
    /// Answers of the gateway to members.
    pub answers: u64,
    /// Frames that came in at a member which is not used.
    pub unwanted: u64,
    /// Group frames that came in at a member which is not the one to receive them.
    pub group_copies: u64,
    /// Frames of a vNIC that came back from the wire.
    pub reflected: u64,
    /// Unicast frames that came in at two members.
    pub duplicates: u64,
    /// Frames that show that a VM which is off here is on elsewhere.
    pub moved_away: u64,
}

impl TeamCounters {
    /// Frames from the wire that were passed to nobody, but for those of its own.
    #[must_use]
    pub fn filtered(&self) -> u64 {
        self.group_copies + self.reflected + self.duplicates
    }

    /// All counts with their names, for the log.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let own = [
            ("own_sent", self.own_sent),
            ("own_dropped", self.own_dropped),
            ("beacons_heard", self.beacons_heard),
            ("answers", self.answers),
            ("unwanted", self.unwanted),
            ("group_copies", self.group_copies),
            ("reflected", self.reflected),
            ("duplicates", self.duplicates),
            ("moved_away", self.moved_away),
        ];
        let refused = self.beacons_refused;
        own.into_iter().chain(BeaconRefusal::ALL.map(|cause| (cause.word(), refused[cause.index()])))
    }
}

/// What a frame from the wire is to the team.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WireFrame {
    /// It is passed on.
    Passed,
    /// It is not.
    Dropped,
    /// Nor is this, a beacon that does not count.
    Refused,
    /// It is for the team itself: the beacon of a member, in the VLAN in this place of the list.
    Beacon(MemberId, usize),
    /// The gateway's answer.
    Answer,
}

/// A team's own frames, and what it looks for in those from the wire.
pub(super) struct TeamWire {
    pub(super) own: OwnFrames,
    pub(super) beacons: BeaconFilter,
    duplicates: DuplicateFilter,
    pub(super) echoes: EchoFilter,
    pub(super) gateway: Option<IpAddr>,
    /// The VLAN in which it is, and until when each member waits for its answer.
    pub(super) vlan: Option<u16>,
    answers_until: [Instant; MAX_MEMBERS],
    /// The member that receives group frames, if it is one alone.
    listener: Option<MemberId>,
    /// The one before it, and until when what lies there still counts.
    listener_before: Option<(MemberId, Instant)>,
    local: heapless::Vec<LocalAddress, MAX_VNICS>,
    /// A bit for the last six bits of each of these addresses.
    local_bits: u64,
    pub(super) counters: TeamCounters,
}

impl TeamWire {
    /// One for the team with this number.
    pub(super) fn new(
        number: u8,
        settings: &TeamSettings,
        vnics: &[VnicInfo],
        secrets: TeamSecrets,
        now: Instant,
    ) -> Self {
        let beacon = settings.beacon.clone().unwrap_or(BeaconSettings::STANDARD);
        let key = BeaconKey::new(secrets.beacons);
        let local = vnics.iter().take(MAX_VNICS).map(|vnic| LocalAddress { mac: vnic.mac, on: false });
        Self {
            own: OwnFrames::new(),
            vlan: beacon.vlans.first().copied(),
            answers_until: [Instant::ZERO; MAX_MEMBERS],
            beacons: BeaconFilter::new(number, key, beacon.vlans, now),
            duplicates: DuplicateFilter::new(secrets.copies),
            echoes: EchoFilter::new(secrets.copies),
            listener_before: None,
            gateway: beacon.gateway,
            listener: None,
            local: local.collect(),
            local_bits: vnics.iter().fold(0, |bits, vnic| bits | 1 << (vnic.mac.0[5] % 64)),
            counters: TeamCounters::default(),
        }
    }

    /// The VM of a vNIC is on, or off.
    pub(super) fn note_vnic(&mut self, index: usize, on: bool) {
        self.local.get_mut(index).into_iter().for_each(|address| address.on = on);
    }

    /// Announces an address by the NIC of this member.
    pub(super) fn announce(&mut self, nic: &mut impl Port, member: MemberId, notice: Notice, now: Instant) {
        self.own.announce(nic, member.index(), notice, &mut self.echoes, now);
    }

    /// What a frame is that this member, whose own address is this, has received.
    #[inline]
    pub(super) fn judge(
        &mut self,
        frame: &LentFrame<'_>,
        member: MemberId,
        own: MacAddress,
        now: Instant,
    ) -> WireFrame {
        let head = frame.head;
        let (Some(destination), Some(source)) =
            (head.first_chunk::<6>().map(|mac| MacAddress(*mac)), MacAddress::source_of(head))
        else {
            return WireFrame::Passed;
        };
        if destination.is_multicast() {
            if let Some(of) = self.hear(head, member) {
                return of;
            }
            if !self.listens(member, now) {
                self.counters.group_copies += 1;
                return WireFrame::Dropped;
            }
        }
        if self.local_bits >> (source.0[5] % 64) & 1 != 0 {
            match provenance(head, &self.local) {
                Provenance::Ordinary => {}
                Provenance::Reflected => {
                    self.counters.reflected += 1;
                    return WireFrame::Dropped;
                }
                Provenance::Moved => self.counters.moved_away += 1,
            }
        }
        if self.echoes.is_echo(head, frame.length, now) {
            self.counters.reflected += 1;
            return WireFrame::Dropped;
        }
        if now < self.answers_until[member.index()] && destination == own && self.is_answer(head, own) {
            self.counters.answers += 1;
            return WireFrame::Answer;
        }
        // A switch that takes the members for one line sends each frame to one of them.
        if self.listener.is_some() && self.duplicates.is_duplicate(head, frame.length, member, now) {
            self.counters.duplicates += 1;
            return WireFrame::Dropped;
        }
        WireFrame::Passed
    }

    /// Group frames are received by this member from now on; without one, by all. What lies at the one before still counts for a moment,
    /// since the new one may have dropped its copy of it.
    pub(super) fn listen(&mut self, to: Option<MemberId>, now: Instant) {
        let until = Instant(now.0.saturating_add(WINDOW));
        self.listener_before = self.listener.map(|before| (before, until));
        self.listener = to;
    }

    /// True if group frames are received by this member.
    fn listens(&self, member: MemberId, now: Instant) -> bool {
        let before = |(before, until): (MemberId, Instant)| before == member && now < until;
        self.listener.is_none_or(|listener| listener == member) || self.listener_before.is_some_and(before)
    }

    /// A member has asked the gateway.
    pub(super) fn await_answer(&mut self, member: MemberId, now: Instant) {
        self.answers_until[member.index()] = now + ANSWERS;
    }

    fn is_answer(&self, head: &[u8], own: MacAddress) -> bool {
        self.gateway.is_some_and(|gateway| is_answer(head, gateway, own))
    }

    /// The beacon in a group frame, if it is one, which is nobody else's.
    #[inline]
    fn hear(&mut self, head: &[u8], member: MemberId) -> Option<WireFrame> {
        match self.beacons.hear(head, member)? {
            Ok(beacon) => {
                self.counters.beacons_heard += 1;
                Some(WireFrame::Beacon(beacon.member, self.beacons.place_of(beacon.vlan).unwrap_or(0)))
            }
            Err(cause) => {
                self.counters.beacons_refused[cause.index()] += 1;
                Some(WireFrame::Refused)
            }
        }
    }

    /// In how many VLANs beacons are sent.
    pub(super) fn vlans(&self) -> usize {
        self.beacons.vlans()
    }
}
