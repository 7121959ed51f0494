//! Beacons: frames that the members of a team send to each other through the wire. A member that hears none of the
//! others, and that none hears, is cut off somewhere behind its own link.
//!
//! # What a beacon withstands
//!
//! Beacons go to a group address, so every station of the VLAN gets them, guests too. Nobody can make one without the
//! key, or change one: all of it and its source address are under a keyed hash. One that is recorded and played back
//! is refused as well: a receiver takes each only once, and only until the round after the next begins, since both
//! ends are the same host and know what was sent last. In another VLAN it is refused, since it says in which one it
//! was sent.
//!
//! What cannot be prevented: somebody who hears one side of a broken wire and can send on the other carries fresh
//! beacons across, and both sides take themselves for connected. He is then a bridge, but may pass on nothing else.
//! And whoever can make a switch drop frames to the group can let members look cut off.

use super::siphash::siphash;
use super::{OwnFrame, payload, untag};
use crate::{MAX_BEACON_VLANS, MAX_MEMBERS, MemberId};
use base::{Instant, MacAddress};
use core::fmt;
use serde::{Deserialize, Serialize};

/// EtherType of beacons: the second for local experiments [IEEE 802].
pub const ETHER_TYPE: u16 = 0x88b6;

/// What beacons begin with; the last byte is the version of their format.
const MAGIC: [u8; 5] = *b"Weir\x01";
/// Bytes of a beacon: what makes a frame without a tag the shortest that Ethernet allows. So there is no padding that
/// is not under the hash.
const LENGTH: usize = 46;
/// Where the hash is.
const HASH: usize = LENGTH - 8;
/// How many rounds a beacon is fresh for: the one in which it is sent, and the next one, for beacons under way.
const FRESH: u64 = 2;

/// A beacon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beacon {
    /// The team that it is from.
    pub team: u8,
    /// The member that has sent it.
    pub member: MemberId,
    /// The VLAN in which it was sent, from 1 to 4094.
    pub vlan: Option<u16>,
    /// The round in which it was sent.
    pub sequence: u64,
}

/// What the hash of beacons is made with: a secret of this host since its boot.
#[derive(Clone)]
pub struct BeaconKey {
    secret: [u64; 2],
    /// What hosts know their own beacons by.
    host: u64,
}

impl BeaconKey {
    /// The key from a seed, which is random.
    #[must_use]
    pub fn new(seed: [u64; 2]) -> Self {
        Self { secret: seed, host: siphash(seed, b"host") }
    }
}

/// Why a beacon does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum BeaconRefusal {
    /// It is from another Weir, from this one before its last boot, or from something else that uses the same address.
    Foreign,
    /// It says that it is from this host, and its hash is wrong.
    Forged,
    /// It was sent in another VLAN: two VLANs are connected, or it was carried across.
    Misplaced,
    /// It is from another team of this host.
    OtherTeam,
    /// It came back to the member that had sent it.
    Own,
    /// It was heard before, or is too old.
    Replayed,
}

impl BeaconRefusal {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 6] =
        [Self::Foreign, Self::Forged, Self::Misplaced, Self::OtherTeam, Self::Own, Self::Replayed];

    /// Its place in [`ALL`](Self::ALL), for a table of counters.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// Its word in the shell.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Forged => "forged",
            Self::Misplaced => "misplaced",
            Self::OtherTeam => "other team",
            Self::Own => "own",
            Self::Replayed => "replayed",
        }
    }
}

impl fmt::Display for BeaconRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// True for a frame that is sent as beacons are. No guest has to get such a frame; those that guests send to the group are
/// dropped by the switch.
#[must_use]
pub fn is_beacon(frame: &[u8]) -> bool {
    MacAddress::destination_of(frame) == Some(MacAddress::BEACONS) && payload(frame, ETHER_TYPE).is_some()
}

impl Beacon {
    /// The frame that carries it, from the NIC with the address `source`.
    #[must_use]
    pub fn frame(&self, key: &BeaconKey, source: MacAddress) -> OwnFrame {
        let mut payload = [0; LENGTH];
        payload[..5].copy_from_slice(&MAGIC);
        payload[5] = self.team;
        payload[6] = base::bits::low_u8(self.member.index() as u64);
        payload[8..10].copy_from_slice(&self.vlan.unwrap_or(0).to_be_bytes());
        payload[10..18].copy_from_slice(&self.sequence.to_be_bytes());
        payload[18..26].copy_from_slice(&key.host.to_be_bytes());
        let hash = hash(key, source, &payload);
        payload[HASH..].copy_from_slice(&hash.to_be_bytes());
        OwnFrame::new([MacAddress::BEACONS, source], self.vlan, ETHER_TYPE, &payload)
    }

    /// The beacon in a frame, if it is one, whether it is fresh or not.
    ///
    /// # Errors
    /// It is from another host, is not what was sent, or not where it was sent.
    #[must_use]
    pub fn read(frame: &[u8], key: &BeaconKey) -> Option<Result<Self, BeaconRefusal>> {
        is_beacon(frame).then(|| Self::verified(frame, key))
    }

    fn verified(frame: &[u8], key: &BeaconKey) -> Result<Self, BeaconRefusal> {
        let payload: &[u8; LENGTH] = payload(frame, ETHER_TYPE)
            .and_then(|payload| payload.first_chunk())
            .ok_or(BeaconRefusal::Forged)?;
        let source = MacAddress::source_of(frame).ok_or(BeaconRefusal::Forged)?;
        let number = |at: usize| u64::from_be_bytes(payload[at..at + 8].try_into().unwrap_or_default());
        if payload[..5] != MAGIC || number(18) != key.host {
            return Err(BeaconRefusal::Foreign);
        }
        // One comparison of whole words: how long it takes does not tell how much of a guess was right.
        if number(HASH) != hash(key, source, payload) {
            return Err(BeaconRefusal::Forged);
        }
        let vlan = Some(u16::from_be_bytes([payload[8], payload[9]])).filter(|vlan| *vlan != 0);
        if vlan != untag(frame).0 {
            return Err(BeaconRefusal::Misplaced);
        }
        let member = MemberId::new(payload[6].into()).ok_or(BeaconRefusal::Forged)?;
        Ok(Self { team: payload[5], member, vlan, sequence: number(10) })
    }
}

/// The keyed hash of what precedes it in a beacon, and of its source.
fn hash(key: &BeaconKey, source: MacAddress, payload: &[u8; LENGTH]) -> u64 {
    let mut message = [0; HASH + 6];
    message[..HASH].copy_from_slice(&payload[..HASH]);
    message[HASH..].copy_from_slice(&source.0);
    siphash(key.secret, &message)
}

/// Makes the beacons of a team, and tells which of those that it hears are fresh.
pub struct BeaconFilter {
    team: u8,
    key: BeaconKey,
    vlans: heapless::Vec<u16, MAX_BEACON_VLANS>,
    round: u64,
    /// The last round that a member has heard, by receiver, sender and VLAN.
    heard: [[[u64; MAX_BEACON_VLANS]; MAX_MEMBERS]; MAX_MEMBERS],
}

impl BeaconFilter {
    /// One for the team with this number, for beacons in these VLANs, or without a tag if there are none. Rounds are
    /// numbered from the present time in nanoseconds, so that no number comes back that an earlier filter with this
    /// key has used.
    #[must_use]
    pub fn new(team: u8, key: BeaconKey, vlans: heapless::Vec<u16, MAX_BEACON_VLANS>, now: Instant) -> Self {
        let heard = [[[0; MAX_BEACON_VLANS]; MAX_MEMBERS]; MAX_MEMBERS];
        Self { team, key, vlans, round: now.as_nanos(), heard }
    }

    /// In how many VLANs, counting that without a tag, a member sends one.
    #[must_use]
    pub fn vlans(&self) -> usize {
        self.vlans.len().max(1)
    }

    /// The place of a VLAN among these.
    #[must_use]
    pub fn place_of(&self, vlan: Option<u16>) -> Option<usize> {
        match vlan {
            Some(vlan) => self.vlans.iter().position(|known| *known == vlan),
            None => self.vlans.is_empty().then_some(0),
        }
    }

    /// The next round begins, in which each member sends one beacon in each VLAN.
    pub fn begin_round(&mut self) {
        self.round += 1;
    }

    /// The beacons that a member with the address `source` sends in this round.
    pub fn beacons(&self, member: MemberId, source: MacAddress) -> impl Iterator<Item = OwnFrame> {
        let untagged = self.vlans.is_empty().then_some(None);
        let vlans = untagged.into_iter().chain(self.vlans.iter().copied().map(Some));
        vlans.map(move |vlan| {
            Beacon { team: self.team, member, vlan, sequence: self.round }.frame(&self.key, source)
        })
    }

    /// The beacon in a frame that a member has received, if it is one.
    ///
    /// # Errors
    /// It does not show that this member hears the other one.
    pub fn hear(&mut self, frame: &[u8], receiver: MemberId) -> Option<Result<Beacon, BeaconRefusal>> {
        let beacon = Beacon::read(frame, &self.key)?;
        Some(beacon.and_then(|beacon| self.take(beacon, receiver)))
    }

    fn take(&mut self, beacon: Beacon, receiver: MemberId) -> Result<Beacon, BeaconRefusal> {
        if beacon.team != self.team {
            return Err(BeaconRefusal::OtherTeam);
        }
        if beacon.member == receiver {
            return Err(BeaconRefusal::Own);
        }
        // In a VLAN that the team does not use, the beacon of an earlier filter.
        let place = self.place_of(beacon.vlan).ok_or(BeaconRefusal::Replayed)?;
        let last = &mut self.heard[receiver.index()][beacon.member.index()][place];
        let is_fresh = self.round.checked_sub(beacon.sequence).is_some_and(|age| age < FRESH);
        if !is_fresh || beacon.sequence <= *last {
            return Err(BeaconRefusal::Replayed);
        }
        *last = beacon.sequence;
        Ok(beacon)
    }
}
