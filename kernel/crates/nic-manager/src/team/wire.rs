//! What a team itself says and hears on the wire.

use crate::frames::{
    BeaconFilter, BeaconKey, BeaconRefusal, DuplicateFilter, LocalAddress, OwnFrame, Provenance, is_answer,
    provenance,
};
use crate::{BeaconSettings, MAX_VNICS, MemberId, MemberSet, TeamSettings, VnicInfo};
use base::{Instant, LentFrame, MacAddress, Outbox, Port, Put, Ticket};
use core::net::IpAddr;

/// The number of the source of its own frames, which no port of a switch has.
const SOURCE: u8 = u8::MAX;

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
    /// It is for the team itself: the beacon of a member, in the VLAN in this place of the list.
    Beacon(MemberId, usize),
    /// The gateway's answer.
    Answer,
}

/// A team's own frames, and what it looks for in those from the wire.
pub(super) struct TeamWire {
    outbox: Outbox,
    pub(super) beacons: BeaconFilter,
    duplicates: DuplicateFilter,
    pub(super) gateway: Option<IpAddr>,
    /// The VLAN in which it is, and the members that have asked it since the last sample.
    pub(super) vlan: Option<u16>,
    pub(super) asked: MemberSet,
    /// The member that receives group frames, if it is one alone, and those that receive nothing.
    pub(super) listener: Option<MemberId>,
    pub(super) deaf: MemberSet,
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
            outbox: Outbox::new(SOURCE),
            vlan: beacon.vlans.first().copied(),
            asked: MemberSet::EMPTY,
            beacons: BeaconFilter::new(number, key, beacon.vlans, now),
            duplicates: DuplicateFilter::new(secrets.copies),
            gateway: beacon.gateway,
            listener: None,
            deaf: MemberSet::EMPTY,
            local: local.collect(),
            local_bits: vnics.iter().fold(0, |bits, vnic| bits | 1 << (vnic.mac.0[5] % 64)),
            counters: TeamCounters::default(),
        }
    }

    /// The VM of a vNIC is on, or off.
    pub(super) fn note_vnic(&mut self, index: usize, on: bool) {
        self.local.get_mut(index).into_iter().for_each(|address| address.on = on);
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
        if self.deaf.contains(member) {
            self.counters.unwanted += 1;
            return WireFrame::Dropped;
        }
        if destination.is_multicast() {
            if let Some(of) = self.hear(head, member) {
                return of;
            }
            if self.listener.is_some_and(|listener| listener != member) {
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
        if destination.is_multicast() {
            return WireFrame::Passed;
        }
        if destination == own && self.asked.contains(member) && self.is_answer(head, own) {
            self.counters.answers += 1;
            return WireFrame::Answer;
        }
        if self.duplicates.is_duplicate(head, frame.length, member, now) {
            self.counters.duplicates += 1;
            return WireFrame::Dropped;
        }
        WireFrame::Passed
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
                Some(WireFrame::Dropped)
            }
        }
    }

    /// In how many VLANs beacons are sent.
    pub(super) fn vlans(&self) -> usize {
        self.beacons.vlans()
    }

    /// Sends a frame of the team's own by this NIC.
    pub(super) fn send(&mut self, nic: &mut impl Port, frame: &OwnFrame, now: Instant) {
        let bytes = frame.bytes();
        let added = self.outbox.add(0, |new| {
            let head = new.head(bytes.len());
            head.copy_from_slice(&bytes[..head.len()]);
            true
        });
        let Some(slot) = self.outbox.fetched().filter(|_| added) else {
            self.counters.own_dropped += 1;
            return;
        };
        self.outbox.share(slot, 1);
        match nic.put(self.outbox.frame(slot), self.outbox.lend(slot), now) {
            Put::Kept => self.counters.own_sent += 1,
            Put::Done(ticket) => {
                self.counters.own_sent += 1;
                self.outbox.give_back(ticket);
            }
            Put::Refused(ticket) => {
                self.counters.own_dropped += 1;
                self.outbox.give_back(ticket);
            }
        }
        nic.flush(now);
        self.settle();
    }

    /// True if none of its own frames is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Takes a frame back, if it is one of the team's own.
    #[inline]
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Ticket> {
        if ticket.source() != usize::from(SOURCE) {
            return Some(ticket);
        }
        self.outbox.give_back(ticket);
        self.settle();
        None
    }

    fn settle(&mut self) {
        while self.outbox.finished(|_, _| ()).is_some() {}
    }
}
